/*
 * Scan (ai.onnx, since 8): runs body(states, elements) -> (states, scans) once a place of the
 * scanned axes. Directions and axes by attribute. The opset 8 form has a batch axis in front of
 * everything, an optional sequence_lens input first, and scans axis 1; places past a length give
 * zeros.
 */
#include "ops/control.h"

#include <string.h>

/* The opset 8 form is told by the version the node came with. */
static bool batched(const lmn_opnode *n)
{
    return n->opset < 9;
}

/* Entry k of an ints attribute, def past its end. */
static int64_t entry(const lmn_opnode *n, const char *name, int32_t k, int64_t def)
{
    const int64_t *v;
    const int32_t len = lmn_attr_ints(n, name, &v);
    return k < len ? v[k] : def;
}

/* How the ports divide: `first` input of the states, counts. */
typedef struct ports {
    int32_t first, n_states, n_scans, n_outs; /* n_outs: stacked outputs */
} ports;

static bool read_ports(const lmn_opnode *n, ports *p)
{
    const int64_t m = lmn_attr_i(n, "num_scan_inputs", 0);
    const int32_t first = batched(n) ? 1 : 0, free = n->n_in - n->n_caps - first;
    if (m < 1 || m > free) return false;
    *p = (ports){first, free - (int32_t)m, (int32_t)m, n->n_out - (free - (int32_t)m)};
    return p->n_outs >= 0;
}

/* ---- inference ----------------------------------------------------------------------------------
 */

/* Drop axis `a` of a fact. */
static void drop_axis(lmn_fact *f, int32_t a)
{
    for (int32_t k = a; k + 1 < f->rank; k++) f->dims[k] = f->dims[k + 1];
    f->rank--;
    f->n_elems = -1;
    f->elems = NULL;
}

/* The element of scan input k, and the length and batch as far as known. */
static lamina_status scan_element(lmn_infer *ic, const ports *p, int32_t k, lmn_fact *f,
                                  lmn_dim *len, lmn_dim *batch)
{
    const int32_t i = p->first + p->n_states + k, lead = batched(ic->node) ? 1 : 0;
    int32_t axis = 0;
    if (!lmn_infer_has(ic, i)) return LAMINA_OK;
    *f = *ic->in[i];
    if (f->rank < 0) return LAMINA_OK;
    if (lead && f->rank < 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape it [batch, length, ...]",
                              "scan input %d has rank %d", k, f->rank);
    if (!lead)
        LMN_TRY(lmn_infer_axis(ic, entry(ic->node, "scan_input_axes", k, 0), f->rank, &axis));
    if (lead) {
        if (!lmn_dim_unify(ic->dims, *batch, f->dims[0], batch))
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "scan inputs differ in batch size");
        drop_axis(f, 0);
    }
    if (!lmn_dim_unify(ic->dims, *len, f->dims[axis], len))
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give all scan inputs one length",
                              "scan input %d has another length than those before it", k);
    drop_axis(f, axis);
    return LAMINA_OK;
}

static lamina_status scan_facts(lmn_infer *ic, const ports *p, const lmn_call_facts *c, lmn_dim len,
                                lmn_dim batch)
{
    const bool lead = batched(ic->node);
    for (int32_t k = 0; k < p->n_states; k++) {
        ic->out[k] = c->own[k];
        ic->out[k].n_elems = -1;
        ic->out[k].elems = NULL;
        if (lead) LMN_TRY(lmn_infer_stacked(ic, k, &c->own[k], 0, batch));
    }
    for (int32_t k = 0; k < p->n_outs; k++) {
        const int32_t o = p->n_states + k;
        const int64_t axis = lead ? 0 : entry(ic->node, "scan_output_axes", k, 0);
        LMN_TRY(lmn_infer_stacked(ic, o, &c->out[o], axis, len));
        if (!lead) continue;
        const lmn_fact one = ic->out[o];
        LMN_TRY(lmn_infer_stacked(ic, o, &one, 0, batch));
    }
    return LAMINA_OK;
}

static lamina_status infer_scan(lmn_infer *ic)
{
    lmn_dim len = LMN_DIM_UNKNOWN, batch = LMN_DIM_UNKNOWN;
    lmn_call_facts c;
    ports p;
    if (!read_ports(ic->node, &p))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set num_scan_inputs to the scanned inputs",
                              "num_scan_inputs does not fit %d inputs and %d outputs",
                              ic->node->n_in - ic->node->n_caps, ic->node->n_out);
    LMN_TRY(lmn_call_facts_make(ic, p.n_states + p.n_scans, ic->node->n_out, &c));
    for (int32_t k = 0; k < p.n_states; k++) {
        if (!lmn_infer_has(ic, p.first + k)) continue;
        c.own[k] = *ic->in[p.first + k];
        if (!batched(ic->node) || c.own[k].rank < 1) continue;
        drop_axis(&c.own[k], 0);
    }
    for (int32_t k = 0; k < p.n_scans; k++)
        LMN_TRY(scan_element(ic, &p, k, &c.own[p.n_states + k], &len, &batch));
    LMN_TRY(lmn_call_facts_settle(ic, &c, 0, 0, p.n_states));
    return scan_facts(ic, &p, &c, len, batch);
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

typedef struct scan {
    ports p;
    lmn_cutter *in;        /* n_scans */
    int32_t *axis;         /* n_scans: of the cutter's tensor */
    int64_t len;           /* places of the scanned axes */
    lamina_tensor **state; /* n_states refs */
    lamina_tensor **args;  /* n_states + n_scans + n_caps */
    lamina_tensor **got;   /* n_out refs */
    lmn_stack *out;        /* n_outs */
} scan;

static lamina_status scan_memory(lmn_eval *ec, scan *s)
{
    const int32_t caps = ec->node->n_caps, args = s->p.n_states + s->p.n_scans + caps;
    lamina_tensor **state = NULL;
    LMN_TRY(lmn_seq_items(ec, s->p.n_states, &state));
    LMN_TRY(lmn_seq_items(ec, args, &s->args));
    LMN_TRY(lmn_seq_items(ec, ec->n_out, &s->got));
    s->in = lmn_scratch(ec, (size_t)s->p.n_scans * sizeof *s->in);
    s->axis = lmn_scratch(ec, (size_t)s->p.n_scans * sizeof *s->axis);
    lmn_stack *out = lmn_scratch(ec, (size_t)(s->p.n_outs + 1) * sizeof *out);
    if (!s->in || !s->axis || !out) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory to scan");
    memset(out, 0, (size_t)(s->p.n_outs + 1) * sizeof *out);
    for (int32_t k = 0; k < caps; k++) s->args[args - caps + k] = ec->in[ec->n_in - caps + k];
    s->state = state;
    s->out = out;
    return LAMINA_OK;
}

/* Look at the scan inputs: `lead` axes (0 or 1) stand before the element. */
static lamina_status scan_inputs(lmn_eval *ec, scan *s, lamina_tensor *const *x)
{
    s->len = -1;
    for (int32_t k = 0; k < s->p.n_scans; k++) {
        if (!x[k] || x[k]->kind != LAMINA_KIND_TENSOR)
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "scan input %d must be a tensor", k);
        const int64_t axis = batched(ec->node) ? 0 : entry(ec->node, "scan_input_axes", k, 0);
        s->in[k] = (lmn_cutter){.x = x[k], .squeeze = true};
        LMN_TRY(lmn_axis(ec, axis, x[k]->rank, &s->axis[k]));
        LMN_TRY(lmn_plain_in(ec, x[k], &s->in[k].in));
        const int64_t len = x[k]->dims[s->axis[k]];
        if (s->len >= 0 && s->len != len)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "scan inputs have lengths %lld and %lld",
                                 (long long)s->len, (long long)len);
        s->len = len;
    }
    return LAMINA_OK;
}

static lamina_status scan_take(lmn_eval *ec, scan *s)
{
    lamina_status st = LAMINA_OK;
    for (int32_t k = 0; k < s->p.n_states; k++) {
        lamina_tensor_unref(s->state[k]);
        s->state[k] = s->got[k];
    }
    for (int32_t k = 0; k < s->p.n_outs; k++) {
        lamina_tensor *t = s->got[s->p.n_states + k];
        if (st == LAMINA_OK)
            st = lmn_stack_push(ec, &s->out[k], t);
        else
            lamina_tensor_unref(t);
    }
    return st;
}

/* One turn at place t of `len`. */
static lamina_status scan_turn(lmn_eval *ec, scan *s, int64_t t, int64_t len)
{
    const char *dirs = batched(ec->node) ? "directions" : "scan_input_directions";
    lamina_tensor **elem = s->args + s->p.n_states;
    lamina_status st = LAMINA_OK;
    int32_t made = 0;
    if (lmn_eval_cancelled(ec))
        return lmn_eval_fail(ec, LAMINA_E_CANCELLED, "the run was cancelled");
    for (int32_t k = 0; k < s->p.n_states; k++) s->args[k] = s->state[k];
    for (; made < s->p.n_scans && st == LAMINA_OK; made += st == LAMINA_OK) {
        const bool back = entry(ec->node, dirs, made, 0) != 0;
        const lmn_cut cut = {s->axis[made], back ? len - 1 - t : t, 1};
        st = lmn_cut_tensor(ec, &s->in[made], cut, &elem[made]);
    }
    if (st == LAMINA_OK) {
        st = lmn_run_graph(ec, lmn_attr_find(ec->node, "body"), s->args,
                           s->p.n_states + s->p.n_scans + ec->node->n_caps, s->got, ec->n_out);
        if (st == LAMINA_OK) st = scan_take(ec, s);
    }
    lmn_seq_unref(elem, made);
    return st;
}

static void scan_end(scan *s)
{
    if (s->state) lmn_seq_unref(s->state, s->p.n_states);
    for (int32_t k = 0; s->out && k < s->p.n_outs; k++) lmn_stack_release(&s->out[k]);
}

/* Facts of the body's formal inputs by the node's; NULL: no memory. */
static lmn_fact *formal_facts(lmn_eval *ec, const ports *p)
{
    const bool lead = batched(ec->node);
    lmn_fact *f = lmn_scratch(ec, (size_t)(p->n_states + p->n_scans + 1) * sizeof *f);
    for (int32_t k = 0; f && k < p->n_states + p->n_scans; k++) {
        const lamina_tensor *x = ec->in[p->first + k];
        int32_t axis = 0;
        f[k] = x ? lmn_fact_of(x, NULL) : lmn_fact_unknown();
        if (f[k].kind != LMN_FACT_TENSOR) continue;
        if (f[k].rank > 0 && lead) drop_axis(&f[k], 0);
        if (k < p->n_states) continue;
        if (!lead) axis = (int32_t)entry(ec->node, "scan_input_axes", k - p->n_states, 0);
        if (axis < 0) axis += f[k].rank;
        if (axis >= 0 && axis < f[k].rank) drop_axis(&f[k], axis);
    }
    return f;
}

static lamina_status run_plain(lmn_eval *ec, scan *s)
{
    LMN_TRY(scan_inputs(ec, s, ec->in + s->p.n_states));
    for (int32_t k = 0; k < s->p.n_states; k++) {
        if (!lmn_in(ec, k)) return lmn_eval_fail(ec, LAMINA_E_INVALID, "state %d is missing", k);
        LMN_TRY(lmn_keep(ec, ec->in[k], &s->state[k]));
    }
    for (int64_t t = 0; t < s->len; t++) LMN_TRY(scan_turn(ec, s, t, s->len));
    for (int32_t k = 0; k < s->p.n_states; k++) LMN_TRY(lmn_out_value(ec, k, s->state[k]));
    const lmn_fact *formal = formal_facts(ec, &s->p);
    if (!formal) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory to scan");
    for (int32_t k = 0; k < s->p.n_outs; k++) {
        const lmn_stacked how = {formal, s->p.n_states + s->p.n_scans, s->p.n_states + k,
                                 entry(ec->node, "scan_output_axes", k, 0),
                                 entry(ec->node, "scan_output_directions", k, 0) != 0};
        LMN_TRY(lmn_stack_out(ec, s->p.n_states + k, &s->out[k], &how));
    }
    return LAMINA_OK;
}

/* ---- the opset 8 form ---------------------------------------------------------------------------
 */

typedef struct batch_scan {
    scan s;
    int64_t n;            /* batch size */
    lamina_tensor **part; /* states, then scan inputs, of one batch entry */
    lmn_stack *all;       /* n_out: one tensor a batch entry */
} batch_scan;

/* The stack of one output of one batch entry as a tensor [max_len, ...], zeros past its length. */
static lamina_status pack_entry(lmn_eval *ec, lmn_stack *turns, int64_t max_len,
                                lamina_tensor **out)
{
    int64_t dims[LMN_MAX_RANK + 1] = {max_len};
    lmn_plain whole, one;
    if (turns->n == 0)
        return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED, "a sequence of length 0 has no scan output");
    const lamina_tensor *first = turns->at[0];
    for (int32_t k = 0; k < first->rank; k++) dims[1 + k] = first->dims[k];
    LMN_TRY(lmn_check_grown(ec, first->dtype, first->rank + 1, dims));
    LMN_TRY(lmn_plain_temp(ec, first->dtype, max_len * lmn_count(first), &whole));
    memset(whole.p, 0, (size_t)whole.n * whole.eb);
    for (int64_t t = 0; t < turns->n; t++) {
        if (!lmn_dims_equal(first->rank, first->dims, turns->at[t]->rank, turns->at[t]->dims) ||
            turns->at[t]->dtype != first->dtype)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "a scan output changes its shape");
        LMN_TRY(lmn_plain_in(ec, turns->at[t], &one));
        if (one.n) memcpy(whole.p + (size_t)(t * one.n) * one.eb, one.p, (size_t)one.n * one.eb);
    }
    lamina_tensor *t = NULL;
    lamina_status st = lamina_tensor_create(ec->engine, first->dtype, first->rank + 1, dims, &t);
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for a scan output");
    st = lmn_plain_store(ec, &whole, t);
    if (st != LAMINA_OK)
        lamina_tensor_unref(t);
    else
        *out = t;
    return st;
}

/* Cut entry b out of every state and scan input. */
static lamina_status cut_entry(lmn_eval *ec, batch_scan *bs, int64_t b)
{
    const int32_t n = bs->s.p.n_states + bs->s.p.n_scans;
    for (int32_t k = 0; k < n; k++) {
        lmn_cutter c = {.squeeze = true};
        LMN_TRY(lmn_need(ec, 1 + k, &c.x));
        if (c.x->rank < 1 || c.x->dims[0] != bs->n)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d has no batch of %lld", 1 + k,
                                 (long long)bs->n);
        LMN_TRY(lmn_plain_in(ec, c.x, &c.in));
        lamina_tensor_unref(bs->part[k]);
        bs->part[k] = NULL;
        LMN_TRY(lmn_cut_tensor(ec, &c, (lmn_cut){0, b, 1}, &bs->part[k]));
    }
    return LAMINA_OK;
}

static lamina_status run_entry(lmn_eval *ec, batch_scan *bs, int64_t b)
{
    scan *s = &bs->s;
    const lamina_tensor *lens = lmn_in(ec, 0);
    LMN_TRY(cut_entry(ec, bs, b));
    LMN_TRY(scan_inputs(ec, s, bs->part + s->p.n_states));
    for (int32_t k = 0; k < s->p.n_states; k++) s->state[k] = lamina_tensor_ref(bs->part[k]);
    const int64_t len = lens ? lmn_get_i64(lens, b) : s->len;
    if (len < 0 || len > s->len)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "sequence length %lld is outside [0, %lld]",
                             (long long)len, (long long)s->len);
    for (int64_t t = 0; t < len; t++) LMN_TRY(scan_turn(ec, s, t, len));
    for (int32_t k = 0; k < s->p.n_states; k++) {
        lamina_tensor *t = s->state[k];
        s->state[k] = NULL;
        LMN_TRY(lmn_stack_push(ec, &bs->all[k], t));
    }
    for (int32_t k = 0; k < s->p.n_outs; k++) {
        lamina_tensor *t = NULL;
        LMN_TRY(pack_entry(ec, &s->out[k], s->len, &t));
        lmn_stack_release(&s->out[k]);
        LMN_TRY(lmn_stack_push(ec, &bs->all[s->p.n_states + k], t));
    }
    return LAMINA_OK;
}

static lamina_status run_batch(lmn_eval *ec, batch_scan *bs)
{
    const lamina_tensor *x, *lens = lmn_in(ec, 0);
    LMN_TRY(lmn_need(ec, 1 + bs->s.p.n_states, &x));
    if (x->rank < 2) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "scan inputs need a batch axis");
    bs->n = x->dims[0];
    if (lens && (lens->dtype != LAMINA_I64 || lmn_count(lens) != bs->n))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "sequence_lens must hold one int64 a batch entry");
    LMN_TRY(lmn_seq_items(ec, (int64_t)bs->s.p.n_states + bs->s.p.n_scans, &bs->part));
    bs->all = lmn_scratch(ec, (size_t)(ec->n_out + 1) * sizeof *bs->all);
    if (!bs->all) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory to scan");
    memset(bs->all, 0, (size_t)(ec->n_out + 1) * sizeof *bs->all);
    for (int64_t b = 0; b < bs->n; b++) LMN_TRY(run_entry(ec, bs, b));
    const lmn_fact *formal = formal_facts(ec, &bs->s.p);
    if (!formal) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory to scan");
    for (int32_t o = 0; o < ec->n_out; o++) {
        const lmn_stacked how = {formal, bs->s.p.n_states + bs->s.p.n_scans, o, 0, false};
        LMN_TRY(lmn_stack_out(ec, o, &bs->all[o], &how));
    }
    return LAMINA_OK;
}

static lamina_status eval_scan(lmn_eval *ec)
{
    batch_scan bs = {0};
    if (!read_ports(ec->node, &bs.s.p))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "num_scan_inputs does not fit the inputs");
    lamina_status st = scan_memory(ec, &bs.s);
    if (st == LAMINA_OK) st = batched(ec->node) ? run_batch(ec, &bs) : run_plain(ec, &bs.s);
    scan_end(&bs.s);
    lmn_seq_unref(bs.part, bs.s.p.n_states + bs.s.p.n_scans);
    for (int32_t o = 0; bs.all && o < ec->n_out; o++) lmn_stack_release(&bs.all[o]);
    return st;
}

static const lmn_port IN[] = {{"initial_state_and_scan_inputs", 0,
                               LMN_PORT_OPTIONAL | LMN_PORT_VARIADIC | LMN_PORT_HETERO, LMN_D_ALL},
                              {0}};
static const lmn_port OUT[] = {
    {"final_state_and_scan_outputs", 0, LMN_PORT_VARIADIC | LMN_PORT_HETERO, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"body", LMN_ATTR_GRAPH, LMN_ATTR_REQUIRED},
                                        {"num_scan_inputs", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"directions", LMN_ATTR_INTS, 0},
                                        {"scan_input_axes", LMN_ATTR_INTS, 0},
                                        {"scan_input_directions", LMN_ATTR_INTS, 0},
                                        {"scan_output_axes", LMN_ATTR_INTS, 0},
                                        {"scan_output_directions", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_Scan = {
    .name = "Scan",
    .domain = "",
    .since = 8,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_scan,
    .eval = eval_scan,
};
