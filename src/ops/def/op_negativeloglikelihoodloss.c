/*
 * NegativeLogLikelihoodLoss (ai.onnx, since 12): -weight[label] * input[n, label, ...], reduced by
 * "none", "sum" or "mean" (weighted). Rules of ignore_index in loss.h.
 */
#include "ops/loss.h"

static lamina_status eval_nll(lmn_eval *ec)
{
    return lmn_loss_eval(ec, false);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"target", 'I', 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)},
                              {"weight", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"loss", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"ignore_index", LMN_ATTR_INT, 0}, {"reduction", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_NegativeLogLikelihoodLoss = {
    .name = "NegativeLogLikelihoodLoss",
    .domain = "",
    .since = 12,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_loss_infer,
    .eval = eval_nll,
};
