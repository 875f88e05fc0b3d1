/*
 * SequenceErase (ai.onnx, since 11): the sequence without the item at `position` (default: the
 * last).
 */
#include "ops/gather.h"
#include "ops/sequence.h"

static lamina_status infer_sequenceerase(lmn_infer *ic)
{
    const lmn_fact item = lmn_infer_item(ic, 0);
    lmn_infer_sequence(ic, 0, &item);
    return LAMINA_OK;
}

static lamina_status eval_sequenceerase(lmn_eval *ec)
{
    const lamina_tensor *seq;
    lamina_tensor **items;
    int64_t pos;
    LMN_TRY(lmn_need_sequence(ec, 0, &seq));
    LMN_TRY(lmn_seq_position(ec, 1, seq->n_items, false, &pos));
    LMN_TRY(lmn_seq_items(ec, seq->n_items, &items));
    for (int64_t k = 0, o = 0; k < seq->n_items; k++)
        if (k != pos) items[o++] = seq->items[k];
    return lmn_out_sequence(ec, 0, seq->dtype, seq->n_items - 1, items);
}

static const lmn_port IN[] = {{"input_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL},
                              {"position", 0, LMN_PORT_OPTIONAL, LMN_D_INDEX},
                              {0}};
static const lmn_port OUT[] = {{"output_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_SequenceErase = {
    .name = "SequenceErase",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .infer = infer_sequenceerase,
    .eval = eval_sequenceerase,
};
