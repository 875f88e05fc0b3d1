/*
 * Selu (ai.onnx, since 1): gamma * x above zero, gamma * alpha * (e^x - 1) below. Opset 1 had
 * rounder defaults than 6.
 */
#include "ops/ew.h"

#include <math.h>

#define ALPHA 1.67326319217681884765625f
#define GAMMA 1.05070102214813232421875f

static void f64_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const double *x = in[0];
    const double alpha = ((const double *)arg)[0], gamma = ((const double *)arg)[1];
    double *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = gamma * (x[i] <= 0 ? alpha * expm1(x[i]) : x[i]);
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f64 = f64_fn};
    const double arg[2] = {(double)lmn_attr_f(ec->node, "alpha", ALPHA),
                           (double)lmn_attr_f(ec->node, "gamma", GAMMA)};
    return lmn_ew_eval(ec, &IMPL, arg);
}

static lamina_status canon_op(lmn_canon *c)
{
    if (c->opset >= 6) return LAMINA_OK;
    lmn_canon_drop_attr(c, "consumed_inputs");
    const bool ok = lmn_canon_set_f(c, "alpha", lmn_attr_f(c->node, "alpha", 1.6732f)) &&
                    lmn_canon_set_f(c, "gamma", lmn_attr_f(c->node, "gamma", 1.0507f));
    return ok ? LAMINA_OK : lmn_canon_fail(c, LAMINA_E_LIMIT, NULL, "has too many attributes");
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"alpha", LMN_ATTR_FLOAT, 0}, {"gamma", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_Selu = {
    .domain = "",
    .name = "Selu",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_op,
    .canon = canon_op,
};
