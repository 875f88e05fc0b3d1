/*
 * SequenceAt (ai.onnx, since 11): the item at `position`, from the back when negative.
 */
#include "ops/gather.h"
#include "ops/sequence.h"

static lamina_status infer_sequenceat(lmn_infer *ic)
{
    const lmn_fact item = lmn_infer_item(ic, 0);
    if (item.kind != LMN_FACT_UNKNOWN) ic->out[0] = item;
    return LAMINA_OK;
}

static lamina_status eval_sequenceat(lmn_eval *ec)
{
    const lamina_tensor *seq;
    int64_t pos;
    LMN_TRY(lmn_need_sequence(ec, 0, &seq));
    LMN_TRY(lmn_seq_position(ec, 1, seq->n_items, false, &pos));
    return lmn_out_value(ec, 0, seq->items[pos]);
}

static const lmn_port IN[] = {
    {"input_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {"position", 0, 0, LMN_D_INDEX}, {0}};
static const lmn_port OUT[] = {{"tensor", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_SequenceAt = {
    .name = "SequenceAt",
    .domain = "",
    .since = 11,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .infer = infer_sequenceat,
    .eval = eval_sequenceat,
};
