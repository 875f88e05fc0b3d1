/*
 * Mean (ai.onnx, since 1): the mean of all inputs, with broadcast; added in f64, rounded once.
 */
#include "ops/ew.h"

LMN_EW_BIN(f64_fn, double, double, a + b)

static void divide_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const double *a = in[0], count = (double)*(const int64_t *)arg;
    double *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = a[i] / count;
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f64 = f64_fn, .fold = true, .last = divide_fn};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static const lmn_port IN[] = {{"data_0", 'T', LMN_PORT_VARIADIC, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"mean", 'T', 0, LMN_D_FLOAT}, {0}};

const lmn_op_def lmn_op_Mean = {
    .domain = "",
    .name = "Mean",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_COMMUTES,
    .in = IN,
    .out = OUT,
    .eval = eval_op,
};
