/*
 * Adam (ai.onnx.preview.training, since 1): V' = alpha V + (1 - alpha) G, H' = beta H + (1 - beta)
 * G^2, X' = (1 - norm_coefficient_post) (X - R' V' / (sqrt(H') + epsilon)), with G regularised by
 * norm_coefficient X and R' = R sqrt(1 - beta^T) / (1 - alpha^T) for T > 0.
 */
#include "ops/optim.h"

#include <math.h>

static void step_adam(const lmn_optim *o, double *x, double g, double *s0, double *s1)
{
    g += o->norm * *x;
    *s0 = o->a * *s0 + (1.0 - o->a) * g;
    *s1 = o->b * *s1 + (1.0 - o->b) * g * g;
    *x = (1.0 - o->norm_post) * (*x - o->rate * *s0 / (sqrt(*s1) + o->epsilon));
}

static lamina_status infer_adam(lmn_infer *ic)
{
    return lmn_optim_infer(ic, 2);
}

static lamina_status eval_adam(lmn_eval *ec)
{
    double rate;
    int64_t count;
    LMN_TRY(lmn_optim_args(ec, &rate, &count));
    lmn_optim o = {.rate = rate,
                   .a = lmn_attr_f(ec->node, "alpha", 0.9F),
                   .b = lmn_attr_f(ec->node, "beta", 0.999F),
                   .norm = lmn_attr_f(ec->node, "norm_coefficient", 0.0F),
                   .norm_post = lmn_attr_f(ec->node, "norm_coefficient_post", 0.0F),
                   .epsilon = lmn_attr_f(ec->node, "epsilon", 1e-6F)};
    if (count > 0) o.rate *= sqrt(1.0 - pow(o.b, (double)count)) / (1.0 - pow(o.a, (double)count));
    return lmn_optim_eval(ec, 2, &o, step_adam);
}

static const lmn_port IN[] = LMN_OPTIM_IN;
static const lmn_port OUT[] = LMN_OPTIM_OUT;
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0},
                                        {"beta", LMN_ATTR_FLOAT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"norm_coefficient", LMN_ATTR_FLOAT, 0},
                                        {"norm_coefficient_post", LMN_ATTR_FLOAT, 0},
                                        {0}};

const lmn_op_def lmn_op_Adam = {
    .name = "Adam",
    .domain = "ai.onnx.preview.training",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_adam,
    .eval = eval_adam,
};
