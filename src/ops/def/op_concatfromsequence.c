/*
 * ConcatFromSequence (ai.onnx, since 11): the items joined along `axis`, or with new_axis=1 stacked
 * on a fresh axis there. An empty sequence is an error: nothing says the shape.
 */
#include "ops/join.h"
#include "ops/sequence.h"

static lamina_status infer_concatfromsequence(lmn_infer *ic)
{
    const bool fresh = lmn_attr_i(ic->node, "new_axis", 0) != 0;
    const lmn_fact item = lmn_infer_item(ic, 0);
    int32_t axis;
    lmn_fact *f;
    if (item.rank < 0) return lmn_infer_shape(ic, 0, -1, NULL);
    const int32_t rank = item.rank + (fresh ? 1 : 0);
    LMN_TRY(lmn_infer_shape(ic, 0, rank, &f));
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), rank, &axis));
    for (int32_t k = 0, s = 0; k < rank; k++) {
        if (k != axis)
            f->dims[k] = item.dims[s++];
        else if (!fresh)
            s++;
    }
    return LAMINA_OK;
}

static lamina_status eval_concatfromsequence(lmn_eval *ec)
{
    const lamina_tensor *seq;
    LMN_TRY(lmn_need_sequence(ec, 0, &seq));
    return lmn_join(ec, 0, seq->items, seq->n_items, lmn_attr_i(ec->node, "axis", 0),
                    lmn_attr_i(ec->node, "new_axis", 0) != 0);
}

static const lmn_port IN[] = {{"input_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"concat_result", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {"new_axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_ConcatFromSequence = {
    .name = "ConcatFromSequence",
    .domain = "",
    .since = 11,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_concatfromsequence,
    .eval = eval_concatfromsequence,
};
