/*
 * Momentum (ai.onnx.preview.training, since 1): V' = alpha V + beta G (beta counts as 1 while T is
 * 0), X' = X - R V', or in mode "nesterov" X' = X - R (G + alpha V'); G regularised by
 * norm_coefficient X.
 */
#include "ops/optim.h"

static void step_momentum(const lmn_optim *o, double *x, double g, double *s0, double *s1)
{
    (void)s1;
    g += o->norm * *x;
    *s0 = o->a * *s0 + o->b * g;
    *x -= o->rate * (o->nesterov ? g + o->a * *s0 : *s0);
}

static lamina_status infer_momentum(lmn_infer *ic)
{
    if (!lmn_attr_is(ic->node, "mode", "nesterov", "") &&
        !lmn_attr_is(ic->node, "mode", "standard", ""))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use nesterov or standard",
                              "mode \"%.40s\" is not known", lmn_attr_s(ic->node, "mode", ""));
    return lmn_optim_infer(ic, 1);
}

static lamina_status eval_momentum(lmn_eval *ec)
{
    lmn_optim o = {.a = lmn_attr_f(ec->node, "alpha", 0.0F),
                   .b = lmn_attr_f(ec->node, "beta", 0.0F),
                   .norm = lmn_attr_f(ec->node, "norm_coefficient", 0.0F),
                   .nesterov = lmn_attr_is(ec->node, "mode", "nesterov", "")};
    int64_t count;
    LMN_TRY(lmn_optim_args(ec, &o.rate, &count));
    if (count <= 0) o.b = 1.0;
    return lmn_optim_eval(ec, 1, &o, step_momentum);
}

static const lmn_port IN[] = LMN_OPTIM_IN;
static const lmn_port OUT[] = LMN_OPTIM_OUT;
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, LMN_ATTR_REQUIRED},
                                        {"beta", LMN_ATTR_FLOAT, LMN_ATTR_REQUIRED},
                                        {"mode", LMN_ATTR_STRING, LMN_ATTR_REQUIRED},
                                        {"norm_coefficient", LMN_ATTR_FLOAT, LMN_ATTR_REQUIRED},
                                        {0}};

const lmn_op_def lmn_op_Momentum = {
    .name = "Momentum",
    .domain = "ai.onnx.preview.training",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_momentum,
    .eval = eval_momentum,
};
