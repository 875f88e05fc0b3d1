/*
 * Loop (ai.onnx, since 1): runs body(turn, cond, states) -> (cond, states, scans) while cond holds
 * and turn < M. Without M there is no bound, without cond the first turn always runs. Final states
 * come first, then each scan output stacked on a leading axis. States may change shape from turn to
 * turn.
 */
#include "ops/control.h"

static lamina_status infer_loop(lmn_infer *ic)
{
    const int32_t formal = ic->node->n_in - ic->node->n_caps, n_out = ic->node->n_out;
    const int32_t n_states = formal > 2 ? formal - 2 : 0;
    lmn_call_facts c;
    if (n_states > n_out)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "name an output for every state",
                              "%d states but %d outputs", n_states, n_out);
    LMN_TRY(lmn_call_facts_make(ic, n_states + 2, n_out + 1, &c));
    c.own[0] = lmn_fact_tensor(LAMINA_I64, 0);
    c.own[1] = lmn_fact_tensor(LAMINA_BOOL, 0);
    for (int32_t k = 0; k < n_states; k++)
        if (ic->in[2 + k]) c.own[2 + k] = *ic->in[2 + k];
    LMN_TRY(lmn_call_facts_settle(ic, &c, 2, 1, n_states));
    for (int32_t k = 0; k < n_states; k++) {
        ic->out[k] = c.own[2 + k]; /* holds for no turn at all and after any turn */
        ic->out[k].n_elems = -1;
        ic->out[k].elems = NULL;
    }
    for (int32_t k = n_states; k < n_out; k++)
        LMN_TRY(lmn_infer_stacked(ic, k, &c.out[1 + k], 0, LMN_DIM_UNKNOWN));
    return LAMINA_OK;
}

typedef struct loop {
    int32_t n_states, n_out;
    lamina_tensor **state; /* n_states refs */
    lmn_stack *scan;       /* n_out - n_states */
    lamina_tensor **args;  /* 2 + n_states + n_caps, borrowed */
    lamina_tensor **got;   /* 1 + n_out refs */
} loop;

static lamina_status loop_begin(lmn_eval *ec, loop *l)
{
    const int32_t caps = ec->node->n_caps, formal = ec->n_in - caps;
    *l = (loop){.n_states = formal > 2 ? formal - 2 : 0, .n_out = ec->n_out};
    if (l->n_states > ec->n_out)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "%d states but %d outputs", l->n_states,
                             ec->n_out);
    lamina_tensor **state = NULL;
    LMN_TRY(lmn_seq_items(ec, l->n_states, &state));
    LMN_TRY(lmn_seq_items(ec, (int64_t)2 + l->n_states + caps, &l->args));
    LMN_TRY(lmn_seq_items(ec, (int64_t)1 + l->n_out, &l->got));
    const size_t bytes = (size_t)(l->n_out - l->n_states + 1) * sizeof *l->scan;
    l->scan = lmn_scratch(ec, bytes);
    if (!l->scan) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the scan outputs");
    for (int32_t k = 0; k <= l->n_out - l->n_states; k++) l->scan[k] = (lmn_stack){0};
    for (int32_t k = 0; k < caps; k++) l->args[2 + l->n_states + k] = ec->in[formal + k];
    l->state = state;
    for (int32_t k = 0; k < l->n_states; k++) {
        if (!ec->in[2 + k])
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "state %d has no initial value", k);
        LMN_TRY(lmn_keep(ec, ec->in[2 + k], &state[k]));
    }
    return LAMINA_OK;
}

static void loop_end(loop *l)
{
    lmn_seq_unref(l->state, l->n_states);
    for (int32_t k = 0; l->scan && k < l->n_out - l->n_states; k++) lmn_stack_release(&l->scan[k]);
}

/* Take over what a turn gave: the condition, the states and one more of every scan. */
static lamina_status loop_take(lmn_eval *ec, loop *l, bool *go)
{
    lamina_status st = lmn_truth(ec, l->got[0], "the condition the body gives", go);
    lamina_tensor_unref(l->got[0]);
    for (int32_t k = 0; k < l->n_states; k++) {
        lamina_tensor_unref(l->state[k]);
        l->state[k] = l->got[1 + k];
    }
    for (int32_t k = l->n_states; k < l->n_out; k++) {
        if (st == LAMINA_OK)
            st = lmn_stack_push(ec, &l->scan[k - l->n_states], l->got[1 + k]);
        else
            lamina_tensor_unref(l->got[1 + k]);
    }
    return st;
}

static lamina_status loop_turn(lmn_eval *ec, loop *l, int64_t turn, bool *go)
{
    lamina_status st;
    if (lmn_eval_cancelled(ec))
        return lmn_eval_fail(ec, LAMINA_E_CANCELLED, "the run was cancelled");
    LMN_TRY(lmn_scalar(ec, LAMINA_I64, turn, &l->args[0]));
    st = lmn_scalar(ec, LAMINA_BOOL, *go, &l->args[1]);
    for (int32_t k = 0; k < l->n_states; k++) l->args[2 + k] = l->state[k];
    if (st == LAMINA_OK) {
        st = lmn_run_graph(ec, lmn_attr_find(ec->node, "body"), l->args,
                           2 + l->n_states + ec->node->n_caps, l->got, 1 + l->n_out);
        if (st == LAMINA_OK) st = loop_take(ec, l, go);
        lamina_tensor_unref(l->args[1]);
    }
    lamina_tensor_unref(l->args[0]);
    return st;
}

static lamina_status loop_outputs(lmn_eval *ec, loop *l)
{
    for (int32_t k = 0; k < l->n_states; k++) LMN_TRY(lmn_out_value(ec, k, l->state[k]));
    const int32_t n_formal = 2 + l->n_states;
    lmn_fact *formal = lmn_scratch(ec, (size_t)n_formal * sizeof *formal);
    if (!formal) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the scan outputs");
    formal[0] = lmn_fact_tensor(LAMINA_I64, 0);
    formal[1] = lmn_fact_tensor(LAMINA_BOOL, 0);
    for (int32_t k = 0; k < l->n_states; k++) formal[2 + k] = lmn_fact_of(l->state[k], NULL);
    for (int32_t k = l->n_states; k < l->n_out; k++) {
        const lmn_stacked how = {formal, n_formal, 1 + k, 0, false};
        LMN_TRY(lmn_stack_out(ec, k, &l->scan[k - l->n_states], &how));
    }
    return LAMINA_OK;
}

static lamina_status eval_loop(lmn_eval *ec)
{
    const int32_t formal = ec->n_in - ec->node->n_caps;
    int64_t max = INT64_MAX;
    bool go = true;
    loop l = {0};
    if (formal > 0) LMN_TRY(lmn_int(ec, 0, INT64_MAX, &max));
    if (formal > 1 && lmn_in(ec, 1)) LMN_TRY(lmn_truth(ec, lmn_in(ec, 1), "cond", &go));
    lamina_status st = loop_begin(ec, &l);
    for (int64_t turn = 0; st == LAMINA_OK && go && turn < max; turn++)
        st = loop_turn(ec, &l, turn, &go);
    if (st == LAMINA_OK) st = loop_outputs(ec, &l);
    loop_end(&l);
    return st;
}

static const lmn_port IN[] = {
    {"M", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
    {"cond", 0, LMN_PORT_OPTIONAL, LMN_D_BOOL},
    {"v_initial", 0, LMN_PORT_OPTIONAL | LMN_PORT_VARIADIC | LMN_PORT_HETERO | LMN_PORT_ANYKIND,
     LMN_D_ALL},
    {0}};
static const lmn_port OUT[] = {{"v_final_and_scan_outputs", 0,
                                LMN_PORT_VARIADIC | LMN_PORT_HETERO | LMN_PORT_ANYKIND, LMN_D_ALL},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"body", LMN_ATTR_GRAPH, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_Loop = {
    .name = "Loop",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_loop,
    .eval = eval_loop,
};
