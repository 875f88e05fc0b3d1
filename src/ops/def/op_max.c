/*
 * Max (ai.onnx, since 1): the largest of all inputs, with broadcast; a NaN wins.
 */
#include "ops/ew.h"

LMN_EW_BIN(f32_fn, float, float, a != a || a > b ? a : b)
LMN_EW_BIN(f64_fn, double, double, a != a || a > b ? a : b)
LMN_EW_BIN(i64_fn, int64_t, int64_t, a > b ? a : b)
LMN_EW_BIN(u64_fn, uint64_t, uint64_t, a > b ? a : b)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {
        .f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn, .fold = true};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    lmn_dim r = v[0];
    for (int32_t i = 1; i < ic->node->n_in; i++) r = lmn_dim_max(ic->dims, r, v[i]);
    return r;
}

static lamina_status infer_op(lmn_infer *ic)
{
    return lmn_ew_infer(ic, dim_fn);
}

static const lmn_port IN[] = {{"data_0", 'T', LMN_PORT_VARIADIC, LMN_D_NUM}, {0}};
static const lmn_port OUT[] = {{"max", 'T', 0, LMN_D_NUM}, {0}};

const lmn_op_def lmn_op_Max = {
    .domain = "",
    .name = "Max",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INT_LATTICE | LMN_OP_COMMUTES,
    .in = IN,
    .out = OUT,
    .infer = infer_op,
    .eval = eval_op,
};
