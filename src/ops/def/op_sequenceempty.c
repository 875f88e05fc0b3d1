/*
 * SequenceEmpty (ai.onnx, since 11): a sequence without items; element type by attribute dtype
 * (default float32).
 */
#include "ops/sequence.h"

static lamina_status infer_sequenceempty(lmn_infer *ic)
{
    const lmn_fact item = lmn_fact_tensor(lmn_attr_dtype(ic->node, "dtype", LAMINA_F32), -1);
    lmn_infer_sequence(ic, 0, &item);
    return LAMINA_OK;
}

static lamina_status eval_sequenceempty(lmn_eval *ec)
{
    return lmn_out_sequence(ec, 0, lmn_attr_dtype(ec->node, "dtype", LAMINA_F32), 0, NULL);
}

static const lmn_port IN[] = {{0}};
static const lmn_port OUT[] = {{"output", 'S', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dtype", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_SequenceEmpty = {
    .name = "SequenceEmpty",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_sequenceempty,
    .eval = eval_sequenceempty,
};
