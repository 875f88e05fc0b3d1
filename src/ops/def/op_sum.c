/*
 * Sum (ai.onnx, since 1): the sum of all inputs, with broadcast; added in f64, rounded once.
 */
#include "ops/ew.h"

LMN_EW_BIN(f64_fn, double, double, a + b)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f64 = f64_fn, .fold = true};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static const lmn_port IN[] = {{"data_0", 'T', LMN_PORT_VARIADIC, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"sum", 'T', 0, LMN_D_FLOAT}, {0}};

const lmn_op_def lmn_op_Sum = {
    .domain = "",
    .name = "Sum",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_COMMUTES,
    .in = IN,
    .out = OUT,
    .eval = eval_op,
};
