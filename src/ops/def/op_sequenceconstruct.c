/*
 * SequenceConstruct (ai.onnx, since 11): its inputs as a sequence.
 */
#include "ops/sequence.h"

static lamina_status infer_sequenceconstruct(lmn_infer *ic)
{
    lmn_fact item = ic->node->n_in > 0 && ic->in[0] ? *ic->in[0] : lmn_fact_unknown();
    for (int32_t i = 1; i < ic->node->n_in; i++)
        if (ic->in[i]) lmn_fact_widen(&item, ic->in[i]);
    lmn_infer_sequence(ic, 0, &item);
    return LAMINA_OK;
}

static lamina_status eval_sequenceconstruct(lmn_eval *ec)
{
    const lamina_tensor *first, *t;
    LMN_TRY(lmn_need(ec, 0, &first));
    for (int32_t i = 1; i < ec->n_in; i++) {
        LMN_TRY(lmn_need(ec, i, &t));
        if (t->dtype != first->dtype)
            return lmn_eval_fail(ec, LAMINA_E_DTYPE, "input %d is %s, the first is %s", i,
                                 lamina_dtype_name(t->dtype), lamina_dtype_name(first->dtype));
    }
    return lmn_out_sequence(ec, 0, first->dtype, ec->n_in, ec->in);
}

static const lmn_port IN[] = {{"inputs", 'T', LMN_PORT_VARIADIC, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_SequenceConstruct = {
    .name = "SequenceConstruct",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .infer = infer_sequenceconstruct,
    .eval = eval_sequenceconstruct,
};
