/*
 * SequenceMap (ai.onnx, since 17): runs `body` once an item of the first sequence. Further
 * sequences (not shorter) give their item of the same place, tensors go in as they are; each output
 * of the body makes one sequence.
 */
#include "ops/sequence.h"

static lamina_status infer_sequencemap(lmn_infer *ic)
{
    const lmn_attr *body = lmn_attr_find(ic->node, "body");
    const int32_t n_in = ic->node->n_in, n_out = ic->node->n_out, formal = n_in - ic->node->n_caps;
    lmn_fact *item = LMN_ARENA_ARRAY(ic->arena, lmn_fact, (size_t)n_in + 1);
    const lmn_fact **in = LMN_ARENA_ARRAY(ic->arena, const lmn_fact *, (size_t)n_in + 1);
    lmn_fact *out = LMN_ARENA_ARRAY(ic->arena, lmn_fact, (size_t)n_out + 1);
    if (!item || !in || !out) return LAMINA_E_NOMEM;
    for (int32_t i = 0; i < n_in; i++) {
        in[i] = ic->in[i];
        if (i >= formal || !ic->in[i] || ic->in[i]->kind != LMN_FACT_SEQUENCE) continue;
        item[i] = lmn_infer_item(ic, i);
        in[i] = &item[i];
    }
    for (int32_t o = 0; o < n_out; o++) out[o] = lmn_fact_unknown();
    if (ic->subgraph) LMN_TRY(ic->subgraph(ic, body, in, n_in, out, n_out));
    for (int32_t o = 0; o < n_out; o++) lmn_infer_sequence(ic, o, &out[o]);
    return LAMINA_OK;
}

/* Run the body for item k: results go to got[o * n + k]. */
static lamina_status run_item(lmn_eval *ec, int64_t k, int64_t n, lamina_tensor **args,
                              lamina_tensor **got)
{
    const int32_t formal = ec->n_in - ec->node->n_caps;
    lamina_tensor **res = args + ec->n_in;
    for (int32_t i = 0; i < ec->n_in; i++) {
        args[i] = ec->in[i];
        if (i >= formal || !args[i] || args[i]->kind != LAMINA_KIND_SEQUENCE) continue;
        if (k >= args[i]->n_items)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "sequence %d is shorter than the first one",
                                 i);
        args[i] = args[i]->items[k];
    }
    LMN_TRY(lmn_run_graph(ec, lmn_attr_find(ec->node, "body"), args, ec->n_in, res, ec->n_out));
    for (int32_t o = 0; o < ec->n_out; o++) got[o * n + k] = res[o];
    return LAMINA_OK;
}

static lamina_status eval_sequencemap(lmn_eval *ec)
{
    const lamina_tensor *seq;
    lamina_tensor **args, **got;
    int64_t total;
    LMN_TRY(lmn_need_sequence(ec, 0, &seq));
    const int64_t n = seq->n_items;
    LMN_TRY(lmn_seq_items(ec, (int64_t)ec->n_in + ec->n_out, &args));
    if (!lmn_mul_i64(n, ec->n_out, &total))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "too many items");
    LMN_TRY(lmn_seq_items(ec, total, &got));
    lamina_status st = LAMINA_OK;
    for (int64_t k = 0; k < n && st == LAMINA_OK; k++) st = run_item(ec, k, n, args, got);
    for (int32_t o = 0; o < ec->n_out && st == LAMINA_OK; o++)
        st = lmn_out_sequence(ec, o, n ? got[o * n]->dtype : seq->dtype, n, got + o * n);
    lmn_seq_unref(got, total);
    return st;
}

static const lmn_port IN[] = {
    {"input_sequence", 0, LMN_PORT_ANYKIND, LMN_D_ALL},
    {"additional_inputs", 0,
     LMN_PORT_OPTIONAL | LMN_PORT_VARIADIC | LMN_PORT_HETERO | LMN_PORT_ANYKIND, LMN_D_ALL},
    {0}};
static const lmn_port OUT[] = {
    {"out_sequence", 0, LMN_PORT_VARIADIC | LMN_PORT_HETERO | LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"body", LMN_ATTR_GRAPH, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_SequenceMap = {
    .name = "SequenceMap",
    .domain = "",
    .since = 17,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_sequencemap,
    .eval = eval_sequencemap,
};
