/*
 * SequenceInsert (ai.onnx, since 11): the sequence with one tensor more, before `position`
 * (default: at the end; negative counts from the back).
 */
#include "ops/gather.h"
#include "ops/sequence.h"

static lamina_status infer_sequenceinsert(lmn_infer *ic)
{
    lmn_fact item = lmn_infer_item(ic, 0);
    if (item.kind == LMN_FACT_TENSOR && lmn_infer_has(ic, 1)) lmn_fact_widen(&item, ic->in[1]);
    lmn_infer_sequence(ic, 0, &item);
    return LAMINA_OK;
}

static lamina_status eval_sequenceinsert(lmn_eval *ec)
{
    const lamina_tensor *seq, *t;
    lamina_tensor **items;
    int64_t pos;
    LMN_TRY(lmn_need_sequence(ec, 0, &seq));
    LMN_TRY(lmn_need(ec, 1, &t));
    if (t->dtype != seq->dtype)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the tensor is %s, the sequence holds %s",
                             lamina_dtype_name(t->dtype), lamina_dtype_name(seq->dtype));
    LMN_TRY(lmn_seq_position(ec, 2, seq->n_items, true, &pos));
    LMN_TRY(lmn_seq_items(ec, seq->n_items + 1, &items));
    for (int64_t k = 0; k < seq->n_items; k++) items[k + (k >= pos)] = seq->items[k];
    items[pos] = ec->in[1];
    return lmn_out_sequence(ec, 0, seq->dtype, seq->n_items + 1, items);
}

static const lmn_port IN[] = {{"input_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL},
                              {"tensor", 'T', 0, LMN_D_ALL},
                              {"position", 0, LMN_PORT_OPTIONAL, LMN_D_INDEX},
                              {0}};
static const lmn_port OUT[] = {{"output_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_SequenceInsert = {
    .name = "SequenceInsert",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .infer = infer_sequenceinsert,
    .eval = eval_sequenceinsert,
};
