/*
 * Mappings as inference and evaluation (mapeval.h): two builders that infer or run a node at once
 * instead of appending it. References count from 1; the first are the node's inputs.
 */
#include "ops/mapeval.h"

#include "ops/wide.h"

#include <string.h>

/* A value: an input of the node, a constant, or what a node gave. */
typedef struct entry {
    lmn_fact fact;
    lamina_tensor *t; /* while evaluating; NULL while inferring */
    lamina_tensor slot;
} entry;

typedef struct maker {
    lmn_infer *ic; /* one of them */
    lmn_eval *ec;
    lmn_arena *arena;
    entry **at; /* [1 .. n] */
    int32_t n, cap;
    lamina_status status;
} maker;

static entry *add_entry(maker *m)
{
    entry *e = m->n < m->cap ? LMN_ARENA_NEW(m->arena, entry) : NULL;
    if (!e) {
        m->status = m->n < m->cap ? LAMINA_E_NOMEM : LAMINA_E_LIMIT;
        return NULL;
    }
    e->slot.kind = LAMINA_KIND_NONE;
    m->at[++m->n] = e;
    return e;
}

static lmn_ref make_constant(void *ctx, lamina_dtype dt, int32_t rank, const int64_t *dims,
                             const void *data)
{
    maker *m = ctx;
    entry *e = add_entry(m);
    if (!e) return 0;
    lamina_tensor *t = &e->slot;
    lamina_tensor shape = {0};
    m->status = lmn_tensor_describe(&shape, NULL, dt, rank, dims);
    if (m->status != LAMINA_OK) return 0;
    void *copy = lmn_arena_alloc(m->arena, shape.data_bytes, LMN_TENSOR_ALIGN);
    if (!copy) return m->status = LAMINA_E_NOMEM, 0;
    if (shape.data_bytes) memcpy(copy, data, shape.data_bytes);
    t->kind = LAMINA_KIND_TENSOR;
    t->dtype = dt;
    t->rank = rank;
    memcpy(t->dims, shape.dims, sizeof t->dims);
    memcpy(t->strides, shape.strides, sizeof t->strides);
    t->data = copy;
    t->data_bytes = shape.data_bytes;
    t->engine = m->ec ? m->ec->engine : NULL;
    e->t = t;
    e->fact = lmn_fact_of(t, m->arena);
    return (lmn_ref)m->n;
}

static lamina_status infer_node(maker *m, const lmn_opnode *node, const lmn_ref *in,
                                const lmn_ref *out)
{
    const size_t n_in = (size_t)node->n_in, n_out = (size_t)node->n_out;
    const lmn_fact **fin = LMN_ARENA_ARRAY(m->arena, const lmn_fact *, n_in);
    const lamina_tensor **cin = LMN_ARENA_ARRAY(m->arena, const lamina_tensor *, n_in);
    lmn_fact *fout = LMN_ARENA_ARRAY(m->arena, lmn_fact, n_out);
    if (!fin || !cin || !fout) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < n_in; i++) {
        fin[i] = in[i] ? &m->at[in[i]]->fact : NULL;
        cin[i] = in[i] ? m->at[in[i]]->t : NULL;
    }
    for (size_t i = 0; i < n_out; i++) fout[i] = lmn_fact_unknown();
    lmn_infer ic = *m->ic;
    ic.node = node;
    ic.in = fin;
    ic.in_const = cin;
    ic.out = fout;
    LMN_TRY(lmn_op_infer(&ic));
    for (size_t i = 0; i < n_out; i++) m->at[out[i]]->fact = fout[i];
    return LAMINA_OK;
}

/* A part failed: its sentence becomes the whole's, who is the node that the file has. */
static lamina_status tell_as_whole(maker *m, const lmn_opnode *part, lamina_status st)
{
    lamina_error *err = m->ec->err;
    char who[160], what[LAMINA_ERROR_MSG_BYTES]; /* as lmn_eval_fail begins its sentences */
    const size_t n =
        part->name[0]
            ? lmn_format(who, sizeof who, "node \"%.80s\" (%s): ", part->name, part->def->name)
            : lmn_format(who, sizeof who, "%s: ", part->def->name);
    if (!err || err->status != st || strncmp(err->msg, who, n) != 0) return st;
    (void)lmn_format(what, sizeof what, "%s", err->msg + n);
    return lmn_eval_fail(m->ec, st, "%s", what);
}

static lamina_status eval_node(maker *m, const lmn_opnode *node, const lmn_ref *in,
                               const lmn_ref *out)
{
    lamina_tensor **tin = LMN_ARENA_ARRAY(m->arena, lamina_tensor *, (size_t)node->n_in);
    lamina_tensor **tout = LMN_ARENA_ARRAY(m->arena, lamina_tensor *, (size_t)node->n_out);
    if (!tin || !tout) return LAMINA_E_NOMEM;
    if (!node->def->eval)
        return lmn_eval_fail(m->ec, LAMINA_E_UNSUPPORTED, "%s has no evaluation", node->def->name);
    for (int32_t i = 0; i < node->n_in; i++) tin[i] = in[i] ? m->at[in[i]]->t : NULL;
    for (int32_t i = 0; i < node->n_out; i++) {
        tout[i] = &m->at[out[i]]->slot;
        tout[i]->engine = m->ec->engine;
    }
    lmn_eval ec = *m->ec;
    ec.node = node;
    ec.in = tin;
    ec.n_in = node->n_in;
    ec.out = tout;
    ec.n_out = node->n_out;
    ec.plan_data = NULL;
    ec.plan_bytes = NULL;
    const lamina_status st = node->def->eval(&ec);
    m->ec->scratch_head = ec.scratch_head;
    if (st != LAMINA_OK) return tell_as_whole(m, node, st);
    for (int32_t i = 0; i < node->n_out; i++) {
        entry *e = m->at[out[i]];
        e->t = &e->slot;
        e->fact = lmn_fact_of(e->t, m->arena);
    }
    return LAMINA_OK;
}

/* Of the default domain, or "lamina:Op". */
static const lmn_op_def *def_of(const char *op)
{
    static const char own[] = "lamina:";
    const bool ours = strncmp(op, own, sizeof own - 1) == 0;
    return ours ? lmn_op_find("lamina", op + sizeof own - 1) : lmn_op_find("", op);
}

static bool make_node(void *ctx, const char *op, const lmn_ref *in, int32_t n_in,
                      const lmn_attr *attrs, int32_t n_attrs, lmn_ref *out, int32_t n_out)
{
    maker *m = ctx;
    const lmn_opnode *origin = m->ec ? m->ec->node : m->ic->node;
    const lmn_opnode node = {.def = def_of(op),
                             .name = origin->name,
                             .opset = origin->opset,
                             .n_in = n_in,
                             .n_out = n_out,
                             .attrs = attrs,
                             .n_attrs = n_attrs,
                             .id = origin->id};
    lmn_assert(node.def);
    for (int32_t i = 0; i < n_out; i++) {
        if (!add_entry(m)) return false;
        out[i] = (lmn_ref)m->n;
    }
    m->status = m->ec ? eval_node(m, &node, in, out) : infer_node(m, &node, in, out);
    return m->status == LAMINA_OK;
}

static const lmn_fact *fact_of(void *ctx, lmn_ref r)
{
    return &((maker *)ctx)->at[r]->fact;
}

static const lamina_tensor *data_of(void *ctx, lmn_ref r)
{
    return ((maker *)ctx)->at[r]->t;
}

static lmn_ref find_none(void *ctx, lmn_str name)
{
    (void)ctx, (void)name;
    return 0;
}

static bool gradient_none(void *ctx, lmn_ref y, const lmn_ref *x, int32_t n_x, lmn_ref *dx)
{
    (void)ctx, (void)y, (void)x, (void)n_x, (void)dx;
    return false;
}

/* The mapping of the node over the entries of its inputs; out[n_out] receives what came out. */
static lamina_status run_mapping(maker *m, lmn_diags *diags, lmn_ref *out)
{
    const lmn_opnode *n = m->ec ? m->ec->node : m->ic->node;
    const lmn_builder b = {m, make_constant, make_node, fact_of, data_of, find_none, gradient_none};
    lmn_canon c = {.node = n,
                   .opset = n->opset,
                   .op = n->def->name,
                   .n_attrs = n->n_attrs,
                   .n_in = n->n_in,
                   .out = out,
                   .n_out = n->n_out,
                   .b = &b,
                   .diags = diags,
                   .at = {n->name, n->def->name, n->opset}};
    c.attrs = LMN_ARENA_ARRAY(m->arena, lmn_attr, (size_t)n->n_attrs + 8);
    c.in = LMN_ARENA_ARRAY(m->arena, lmn_ref, (size_t)n->n_in + 8);
    if (!c.attrs || !c.in) return LAMINA_E_NOMEM;
    if (n->n_attrs) memcpy(c.attrs, n->attrs, (size_t)n->n_attrs * sizeof *c.attrs);
    for (int32_t i = 0; i < n->n_in; i++) {
        const bool there = m->ec ? lmn_in(m->ec, i) != NULL : m->ic->in[i] != NULL;
        entry *e = add_entry(m);
        if (!e) return m->status;
        if (!there) continue;
        c.in[i] = (lmn_ref)m->n;
        e->t = m->ec ? m->ec->in[i] : NULL;
        e->fact = m->ec ? lmn_fact_of(e->t, m->arena) : *m->ic->in[i];
    }
    const lamina_status st = n->def->canon(&c);
    return m->status != LAMINA_OK ? m->status : st;
}

/* Room for every value that a mapping of n_in inputs may make. */
static bool make_room(maker *m, int32_t n_in)
{
    m->cap = 8 * n_in + 64;
    m->at = LMN_ARENA_ARRAY(m->arena, entry *, (size_t)m->cap + 1);
    return m->at != NULL;
}

lamina_status lmn_mapped_infer(lmn_infer *ic)
{
    const lmn_opnode *n = ic->node;
    maker m = {.ic = ic, .arena = ic->arena};
    lmn_ref *out = LMN_ARENA_ARRAY(ic->arena, lmn_ref, (size_t)n->n_out + 1);
    if (!out || !make_room(&m, n->n_in)) return LAMINA_E_NOMEM;
    LMN_TRY(run_mapping(&m, ic->diags, out));
    for (int32_t i = 0; i < n->n_out; i++)
        if (out[i]) ic->out[i] = m.at[out[i]]->fact;
    return LAMINA_OK;
}

lamina_status lmn_mapped_eval(lmn_eval *ec)
{
    lmn_arena arena;
    lmn_diags diags;
    LMN_TRY(lmn_eval_ready(ec));
    lmn_arena_init(&arena, &ec->engine->alloc, 0);
    lmn_diags_init(&diags, &ec->engine->alloc);
    maker m = {.ec = ec, .arena = &arena};
    lmn_ref *out = LMN_ARENA_ARRAY(&arena, lmn_ref, (size_t)ec->node->n_out + 1);
    lamina_status st = LAMINA_E_NOMEM;
    if (out && make_room(&m, ec->node->n_in)) st = run_mapping(&m, &diags, out);
    if (st != LAMINA_OK && diags.n_errors) (void)lmn_diags_to_error(&diags, ec->err);
    for (int32_t i = 0; st == LAMINA_OK && i < ec->n_out; i++)
        if (out[i]) st = lmn_out_value(ec, i, m.at[out[i]]->t);
    for (int32_t i = 1; i <= m.n; i++)
        if (m.at[i]->slot.buf || m.at[i]->slot.items) lmn_slot_clear(&m.at[i]->slot);
    lmn_diags_finish(&diags);
    lmn_arena_finish(&arena);
    return st;
}
