/*
 * SoftmaxCrossEntropyLoss (ai.onnx, since 12): log softmax along axis 1, then the negative log
 * likelihood of the labels; the second output is the log softmax. Rules of ignore_index in loss.h.
 */
#include "ops/loss.h"

static lamina_status eval_sce(lmn_eval *ec)
{
    return lmn_loss_eval(ec, true);
}

static const lmn_port IN[] = {{"scores", 'T', 0, LMN_D_FLOAT},
                              {"labels", 'I', 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)},
                              {"weights", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, LMN_D_FLOAT}, {"log_prob", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"ignore_index", LMN_ATTR_INT, 0}, {"reduction", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_SoftmaxCrossEntropyLoss = {
    .name = "SoftmaxCrossEntropyLoss",
    .domain = "",
    .since = 12,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_loss_infer,
    .eval = eval_sce,
};
