/*
 * SwiGLU (ai.onnx, since 28): A * sigmoid(alpha * A) * B. Both inputs have one shape: no broadcast.
 */
#include "ops/ew.h"

#include <math.h>

static void f64_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const double *a = in[0], *b = in[1], alpha = *(const double *)arg;
    double *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = a[i] / (1.0 + exp(-alpha * a[i])) * b[i];
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f64 = f64_fn};
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    const double alpha = (double)lmn_attr_f(ec->node, "alpha", 1.0f);
    if (a && b && !lmn_dims_equal(a->rank, a->dims, b->rank, b->dims))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "A and B must have the same shape");
    return lmn_ew_eval(ec, &IMPL, &alpha);
}

static lamina_status infer_op(lmn_infer *ic)
{
    if (!lmn_infer_has(ic, 0) || !lmn_infer_has(ic, 1)) return LAMINA_OK;
    lmn_fact both = *ic->in[0];
    if (!lmn_fact_unify(ic->dims, &both, ic->in[1])) {
        char a[128], b[128];
        (void)lmn_fact_format(ic->dims, ic->in[0], a, sizeof a);
        (void)lmn_fact_format(ic->dims, ic->in[1], b, sizeof b);
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give both the same shape, nothing is broadcast",
                              "A is %s but B is %s", a, b);
    }
    ic->out[0] = both;
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_FLOAT}, {"B", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_SwiGLU = {
    .domain = "",
    .name = "SwiGLU",
    .since = 28,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
};
