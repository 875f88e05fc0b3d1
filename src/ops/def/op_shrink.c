/*
 * Shrink (ai.onnx, since 9): x + bias below -lambd, x - bias above lambd, else 0; NaN gives 0.
 * Integers are computed in f64 and truncated.
 */
#include "ops/ew.h"

static void f64_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const double *a = in[0];
    const double bias = ((const double *)arg)[0], lambd = ((const double *)arg)[1];
    double *y = out;
    for (int64_t i = 0; i < n; i++) {
        const double x = a[i];
        y[i] = x < -lambd ? x + bias : x > lambd ? x - bias : 0;
    }
}

static lamina_status eval_op(lmn_eval *ec)
{
    const double arg[2] = {(double)lmn_attr_f(ec->node, "bias", 0.0f),
                           (double)lmn_attr_f(ec->node, "lambd", 0.5f)};
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    const lamina_dtype as = LAMINA_F64;
    const lmn_ew_job job = {.fn = f64_fn,
                            .arg = arg,
                            .in = &x,
                            .in_as = &as,
                            .n_in = 1,
                            .out_as = LAMINA_F64,
                            .out_dtype = x->dtype};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    return y ? lmn_ew_run(ec, &job, x->rank, x->dims, y->data) : LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"bias", LMN_ATTR_FLOAT, 0}, {"lambd", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_Shrink = {
    .domain = "",
    .name = "Shrink",
    .since = 9,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_op,
};
