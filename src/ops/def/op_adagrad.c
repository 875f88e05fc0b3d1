/*
 * Adagrad (ai.onnx.preview.training, since 1): H' = H + G^2, X' = X - R / (1 + T decay) G /
 * (sqrt(H') + epsilon), with G regularised by norm_coefficient X.
 */
#include "ops/optim.h"

#include <math.h>

static void step_adagrad(const lmn_optim *o, double *x, double g, double *s0, double *s1)
{
    (void)s1;
    g += o->norm * *x;
    *s0 += g * g;
    *x -= o->rate * g / (sqrt(*s0) + o->epsilon);
}

static lamina_status infer_adagrad(lmn_infer *ic)
{
    return lmn_optim_infer(ic, 1);
}

static lamina_status eval_adagrad(lmn_eval *ec)
{
    double rate;
    int64_t count;
    LMN_TRY(lmn_optim_args(ec, &rate, &count));
    const lmn_optim o = {.rate = rate /
                                 (1.0 + (double)count * lmn_attr_f(ec->node, "decay_factor", 0.0F)),
                         .norm = lmn_attr_f(ec->node, "norm_coefficient", 0.0F),
                         .epsilon = lmn_attr_f(ec->node, "epsilon", 1e-6F)};
    return lmn_optim_eval(ec, 1, &o, step_adagrad);
}

static const lmn_port IN[] = LMN_OPTIM_IN;
static const lmn_port OUT[] = LMN_OPTIM_OUT;
static const lmn_attr_schema ATTRS[] = {{"decay_factor", LMN_ATTR_FLOAT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"norm_coefficient", LMN_ATTR_FLOAT, 0},
                                        {0}};

const lmn_op_def lmn_op_Adagrad = {
    .name = "Adagrad",
    .domain = "ai.onnx.preview.training",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_adagrad,
    .eval = eval_adagrad,
};
