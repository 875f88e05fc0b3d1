/*
 * SequenceLength (ai.onnx, since 11): the number of items as an int64 scalar.
 */
#include "ops/sequence.h"

static lamina_status infer_sequencelength(lmn_infer *ic)
{
    return lmn_infer_shape(ic, 0, 0, NULL);
}

static lamina_status eval_sequencelength(lmn_eval *ec)
{
    const lamina_tensor *seq;
    lamina_tensor *t;
    LMN_TRY(lmn_need_sequence(ec, 0, &seq));
    LMN_TRY(lmn_out(ec, 0, LAMINA_I64, 0, NULL, &t));
    if (t) *(int64_t *)t->data = seq->n_items;
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input_sequence", 0, LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"length", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};

const lmn_op_def lmn_op_SequenceLength = {
    .name = "SequenceLength",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .infer = infer_sequencelength,
    .eval = eval_sequencelength,
};
