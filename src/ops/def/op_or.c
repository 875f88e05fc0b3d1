/*
 * Or (ai.onnx, since 1): logical A or B of bools, with broadcast.
 */
#include "ops/ew.h"

LMN_EW_BIN(b8_fn, uint8_t, uint8_t, a | b)

static const lmn_ew_impl IMPL = {.b8 = b8_fn, .out_bool = true};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    (void)ic;
    if (v[0] == lmn_dim_c(1) || v[1] == lmn_dim_c(1)) return lmn_dim_c(1);
    if (!lmn_dim_is_const(v[0]) || !lmn_dim_is_const(v[1])) return LMN_DIM_UNKNOWN;
    return lmn_dim_c((lmn_dim_value(v[0]) != 0) || (lmn_dim_value(v[1]) != 0));
}

LMN_EW_OP_BOOL(Or, 1, LMN_D_BOOL, LMN_OP_COMMUTES);
