/*
 * Not (ai.onnx, since 1): logical negation.
 */
#include "ops/ew.h"

LMN_EW_UN(b8_fn, uint8_t, uint8_t, !x)

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    (void)ic;
    return lmn_dim_is_const(v[0]) ? lmn_dim_c(lmn_dim_value(v[0]) == 0) : LMN_DIM_UNKNOWN;
}

static lamina_status infer_op(lmn_infer *ic)
{
    return lmn_ew_infer(ic, dim_fn);
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.b8 = b8_fn};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_BOOL}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_BOOL}, {0}};

const lmn_op_def lmn_op_Not = {
    .domain = "",
    .name = "Not",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_op,
    .eval = eval_op,
};
