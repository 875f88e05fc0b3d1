/*
 * If (ai.onnx, since 1): the outputs of then_branch or else_branch. Both branches must give the
 * same types; where their shapes differ the shape is unknown until run time. A branch may be
 * impossible for the shapes at hand (it serves others, and is not taken then): nothing is known of
 * its outputs, and evaluation says what is wrong if it is taken after all.
 */
#include "ops/control.h"

/* 1 or 0 if the condition is a known constant, else -1. */
static int known_condition(const lmn_infer *ic)
{
    const lamina_tensor *t = ic->in_const ? ic->in_const[0] : NULL;
    if (!t || t->dtype != LAMINA_BOOL || lmn_count(t) != 1) return -1;
    return *(const uint8_t *)t->data != 0;
}

static lamina_status infer_quietly(lmn_infer *ic, const char *branch, lmn_call_facts *c)
{
    lmn_diags *diags = ic->diags;
    ic->diags = NULL;
    lamina_status st = lmn_call_facts_run(ic, branch, c);
    ic->diags = diags;
    return st;
}

static lamina_status infer_branches(lmn_infer *ic, int take, lmn_call_facts *yes,
                                    lmn_call_facts *no)
{
    if (take >= 0)
        return lmn_call_facts_run(ic, take ? "then_branch" : "else_branch", take ? yes : no);
    lamina_status a = infer_quietly(ic, "then_branch", yes),
                  b = infer_quietly(ic, "else_branch", no);
    if (a == LAMINA_E_NOMEM || b == LAMINA_E_NOMEM) return LAMINA_E_NOMEM;
    if (a == LAMINA_OK || b == LAMINA_OK) return LAMINA_OK;
    return lmn_call_facts_run(ic, "then_branch", yes); /* once more, to say what is wrong */
}

static lamina_status infer_if(lmn_infer *ic)
{
    const int32_t n_out = ic->node->n_out;
    const int take = known_condition(ic);
    lmn_call_facts yes, no;
    LMN_TRY(lmn_call_facts_make(ic, 0, n_out, &yes));
    LMN_TRY(lmn_call_facts_make(ic, 0, n_out, &no));
    LMN_TRY(infer_branches(ic, take, &yes, &no));
    for (int32_t o = 0; o < n_out; o++) {
        ic->out[o] = take == 0 ? no.out[o] : yes.out[o];
        if (take >= 0) continue;
        const lamina_dtype a = yes.out[o].dtype, b = no.out[o].dtype;
        if (a && b && a != b)
            return lmn_infer_fail(ic, LAMINA_E_DTYPE, "give both branches one type",
                                  "output %d is %s in then_branch and %s in else_branch", o,
                                  lamina_dtype_name(a), lamina_dtype_name(b));
        lmn_fact_widen(&ic->out[o], &no.out[o]);
        if (!ic->out[o].dtype) ic->out[o].dtype = a ? a : b;
    }
    return LAMINA_OK;
}

static lamina_status eval_if(lmn_eval *ec)
{
    lamina_tensor **out;
    bool yes = false;
    LMN_TRY(lmn_truth(ec, lmn_in(ec, 0), "the condition", &yes));
    LMN_TRY(lmn_seq_items(ec, ec->n_out, &out));
    const int32_t caps = ec->node->n_caps;
    lamina_status st =
        lmn_run_graph(ec, lmn_attr_find(ec->node, yes ? "then_branch" : "else_branch"),
                      ec->in + (ec->n_in - caps), caps, out, ec->n_out);
    for (int32_t o = 0; o < ec->n_out && st == LAMINA_OK; o++) st = lmn_out_value(ec, o, out[o]);
    lmn_seq_unref(out, ec->n_out);
    return st;
}

static const lmn_port IN[] = {{"cond", 0, 0, LMN_D_BOOL}, {0}};
static const lmn_port OUT[] = {
    {"outputs", 0, LMN_PORT_VARIADIC | LMN_PORT_HETERO | LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"else_branch", LMN_ATTR_GRAPH, LMN_ATTR_REQUIRED},
                                        {"then_branch", LMN_ATTR_GRAPH, LMN_ATTR_REQUIRED},
                                        {0}};

const lmn_op_def lmn_op_If = {
    .name = "If",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_if,
    .eval = eval_if,
};
