/*
 * Not (ai.onnx, since 1): logical negation.
 */
#include "ops/ew.h"

LMN_EW_UN(b8_fn, uint8_t, uint8_t, !x)

static const lmn_ew_impl IMPL = {.b8 = b8_fn};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    (void)ic;
    return lmn_dim_is_const(v[0]) ? lmn_dim_c(lmn_dim_value(v[0]) == 0) : LMN_DIM_UNKNOWN;
}

LMN_EW_OP_UN(Not, 1, "X", "Y", LMN_D_BOOL);
