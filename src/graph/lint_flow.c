/*
 * Lints about what flows between nodes.
 *
 * cast-island: nodes that compute in one float type between Casts from another and back. Told once
 * an island, at its first node; the larger part of a model is no island in the smaller.
 *
 * unplanned-size: a node whose output has a size that is still unknown when the sizes of the inputs
 * of a run are: memory for it, and for what depends on it, is asked for during the run.
 */
#include "graph/lint.h"

static bool is_float(const lmn_lint *l, lmn_vid v)
{
    const lmn_fact *f = &l->g->values[v].fact;
    return v && f->kind == LMN_FACT_TENSOR && lmn_dtype_class(f->dtype) == LMN_CLASS_FLOAT;
}

static lamina_dtype type_of(const lmn_lint *l, lmn_vid v)
{
    return l->g->values[v].fact.dtype;
}

/* Cast between two float types. */
static bool is_cast(const lmn_lint *l, const lmn_gnode *n)
{
    return lmn_lint_is(n, "Cast") && n->op.n_in > 0 && n->op.n_out > 0 && is_float(l, n->in[0]) &&
           is_float(l, n->out[0]) && type_of(l, n->in[0]) != type_of(l, n->out[0]);
}

typedef struct island {
    uint32_t nodes;      /* in this component; counted at its root */
    lamina_dtype inside; /* of its float values */
    lamina_dtype beyond; /* on the other side of its Casts */
    bool open;           /* a float comes in or leaves otherwise, or types differ */
    bool in, out;        /* there is a Cast in, one out */
} island;

static uint32_t root(uint32_t *up, uint32_t i)
{
    while (up[i] != i) i = up[i] = up[up[i]];
    return i;
}

static void meet(lamina_dtype *have, lamina_dtype dt, bool *open)
{
    *open |= *have && *have != dt;
    *have = dt;
}

/* The float inputs of node i: Casts, or nodes of the same island. */
static void note_inputs(const lmn_lint *l, const lmn_gnode *n, island *s)
{
    for (int32_t k = 0; k < n->op.n_in; k++) {
        const lmn_vid v = n->in[k];
        if (!is_float(l, v) || l->g->values[v].constant) continue;
        meet(&s->inside, type_of(l, v), &s->open);
        const uint32_t made = l->g->values[v].producer;
        if (made == LMN_NO_NODE) {
            s->open = true;
        } else if (is_cast(l, &l->g->nodes[made])) {
            meet(&s->beyond, type_of(l, l->g->nodes[made].in[0]), &s->open);
            s->in = true;
        }
    }
}

static void note_outputs(const lmn_lint *l, const lmn_gnode *n, island *s)
{
    for (int32_t k = 0; k < n->op.n_out; k++) {
        const lmn_vid v = n->out[k];
        if (!is_float(l, v)) continue;
        meet(&s->inside, type_of(l, v), &s->open);
        s->open |= l->g->values[v].is_output;
        const uint32_t *readers;
        const uint32_t n_readers = lmn_lint_readers(l, v, &readers);
        for (uint32_t r = 0; r < n_readers; r++) {
            const lmn_gnode *to = &l->g->nodes[readers[r]];
            if (!is_cast(l, to)) continue;
            meet(&s->beyond, type_of(l, to->out[0]), &s->open);
            s->out = true;
        }
    }
}

void lmn_lint_cast_island(lmn_lint *l)
{
    const lmn_graph *g = l->g;
    uint32_t *up = LMN_ARENA_ARRAY(&l->tmp, uint32_t, g->n_nodes + 1), real = 0;
    island *isles = LMN_ARENA_ARRAY(&l->tmp, island, g->n_nodes + 1);
    if (!up || !isles) return;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        up[i] = i;
        if (is_cast(l, &g->nodes[i])) continue;
        real++;
        for (int32_t k = 0; k < g->nodes[i].op.n_in; k++) {
            const lmn_vid v = g->nodes[i].in[k];
            const uint32_t made = g->values[v].producer;
            if (is_float(l, v) && made != LMN_NO_NODE && !is_cast(l, &g->nodes[made]))
                up[root(up, i)] = root(up, made); /* a maker stands before: roots are the first */
        }
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (is_cast(l, &g->nodes[i])) continue;
        island *s = &isles[root(up, i)];
        s->nodes++;
        note_inputs(l, &g->nodes[i], s);
        note_outputs(l, &g->nodes[i], s);
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const island *s = &isles[i];
        if (!s->nodes || s->open || !s->in || !s->out || s->nodes > real / 2) continue;
        lmn_lint_say(
            l, &g->nodes[i], "leave the Casts out: operators compute wide inside and round once",
            "%u node%s of %s between Casts from and to %s", s->nodes, s->nodes == 1 ? "" : "s",
            lamina_dtype_name(s->inside), lamina_dtype_name(s->beyond));
    }
}

/* ---- unplanned-size ---------------------------------------------------------------------------
 */

/* Any extent that keeps common divisions whole. */
#define SOME_EXTENT 5040

static bool sized(const lmn_lint *l, const int64_t *syms, lmn_vid v)
{
    const lmn_fact *f = &l->g->values[v].fact;
    int64_t n;
    if (!v || l->g->values[v].constant) return true;
    if (f->kind == LMN_FACT_SEQUENCE || f->kind == LMN_FACT_OPTIONAL)
        return true; /* never planned */
    if (f->rank < 0) return false;
    for (int32_t i = 0; i < f->rank; i++)
        if (!lmn_dim_eval(l->g->dims, f->dims[i], syms, &n)) return false;
    return true;
}

static void bind_inputs(const lmn_lint *l, int64_t *syms, size_t n_syms)
{
    for (size_t i = 0; i < n_syms; i++) syms[i] = -1;
    for (size_t i = 0; i < l->g->n_inputs; i++) {
        const lmn_fact *f = &l->g->values[l->g->inputs[i]].fact;
        for (int32_t k = 0; k < f->rank; k++) {
            const int64_t s =
                lmn_dim_is_const(f->dims[k]) ? -1 : lmn_dim_as_sym(l->g->dims, f->dims[k]);
            if (s >= 0) syms[s] = SOME_EXTENT;
        }
    }
}

/* Does the size of an output follow from data, rather than from a broadcast of symbols that a run
   will know, here or before? */
static bool from_data(const lmn_lint *l, const int64_t *syms, const lmn_gnode *n)
{
    for (int32_t k = 0; k < n->op.n_in; k++)
        if (!sized(l, syms, n->in[k])) return false;
    if (n->op.def->flags & LMN_OP_ELEMENTWISE) return false;
    if (n->op.def->flags & LMN_OP_DYNAMIC) return true;
    for (int32_t k = 0; k < n->op.n_in; k++) {
        const lmn_value *v = &l->g->values[n->in[k]];
        const lmn_fact *f = &v->fact;
        const lmn_dclass c = lmn_dtype_class(f->dtype);
        if (!n->in[k] || v->constant || f->kind != LMN_FACT_TENSOR || f->rank > 1) continue;
        if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT) continue;
        if (f->n_elems < 0) return true;
        for (int32_t i = 0; i < f->n_elems; i++)
            if (!lmn_dim_known(f->elems[i])) return true;
    }
    return false;
}

/* What an input declares, and how much depends on what was told. */
static void size_summary(lmn_lint *l, size_t behind)
{
    for (size_t i = 0; i < l->g->n_inputs; i++) {
        const lmn_value *v = &l->g->values[l->g->inputs[i]];
        if (v->fact.kind == LMN_FACT_TENSOR && v->fact.rank < 0)
            lmn_lint_say(l, NULL, "declare its shape, with names for the dimensions that vary",
                         "input \"%.80s\" declares no rank: shapes are known during the run only",
                         v->name);
    }
    if (behind)
        lmn_lint_say(l, NULL, "see the nodes named before",
                     "%zu more nodes have sizes that depend on those", behind);
}

static void taint(const lmn_lint *l, const lmn_gnode *n, const int64_t *syms, bool *tainted)
{
    for (int32_t k = 0; k < n->op.n_out; k++)
        tainted[n->out[k]] = n->out[k] && !sized(l, syms, n->out[k]);
}

void lmn_lint_size(lmn_lint *l)
{
    const lmn_graph *g = l->g;
    if (g->parent) return; /* bodies are planned anew each turn in any case */
    const size_t n_syms = lmn_dim_sym_count(g->dims);
    int64_t *syms = LMN_ARENA_ARRAY(&l->tmp, int64_t, n_syms + 1);
    bool *tainted = LMN_ARENA_ARRAY(&l->tmp, bool, g->n_values);
    if (!syms || !tainted) return;
    bind_inputs(l, syms, n_syms);
    size_t behind = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        int32_t out = 0, in = 0;
        while (out < n->op.n_out && sized(l, syms, n->out[out])) out++;
        while (in < n->op.n_in && !tainted[n->in[in]]) in++;
        if (out == n->op.n_out || (in == n->op.n_in && !from_data(l, syms, n))) continue;
        taint(l, n, syms, tainted);
        if (in < n->op.n_in) {
            behind++;
            continue;
        }
        lmn_lint_say(
            l, n, "pad to a fixed size where the model is made, if speed matters here",
            "the size of \"%.80s\" depends on data: memory for it, and for what is made of "
            "it, is asked for during the run",
            g->values[n->out[out]].name);
    }
    size_summary(l, behind);
}
