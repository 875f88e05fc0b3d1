/*
 * Nodes that move nothing: Identity, Dropout at inference, Cast to the same type, reshaping to the
 * shape that is there already, Transpose that keeps the order, operators over one operand. Chains
 * of views become one view, a Transpose of a Transpose one Transpose or none.
 */
#include "graph/passes/match.h"

#include <string.h>

/* May readers of `from` read `to` instead? A graph output keeps a maker of its own: inputs,
   constants and other outputs do not step into its place. */
static bool replaceable(const lmn_match *m, lmn_vid from, lmn_vid to)
{
    const lmn_value *a = &m->g->values[from], *b = &m->g->values[to];
    if (!from || !to || a->fact.kind != LMN_FACT_TENSOR) return false;
    return !a->is_output || (!b->is_input && !b->constant && !b->is_output);
}

/* Is v one number for sure? */
static bool has_one(const lmn_match *m, lmn_vid v)
{
    const lmn_fact *f = &m->g->values[v].fact;
    bool one = f->kind == LMN_FACT_TENSOR && f->rank >= 0;
    for (int32_t i = 0; one && i < f->rank; i++)
        one = lmn_dim_is_const(f->dims[i]) && lmn_dim_value(f->dims[i]) == 1;
    return one;
}

/* Dropout looks at its ratio even where it does nothing. */
static bool no_training(const lmn_match *m, const lmn_gnode *n)
{
    if (n->op.n_out > 1 && n->out[1]) return false;
    if (n->op.n_in > 1 && n->in[1] && !has_one(m, n->in[1])) return false;
    if (n->op.n_in < 3 || !n->in[2]) return true;
    const lamina_tensor *t = lmn_match_const(m, n->in[2]);
    return t && lmn_count(t) == 1 && lmn_get_i64(t, 0) == 0;
}

static bool same_type(const lmn_match *m, const lmn_gnode *n)
{
    const lamina_dtype dt = m->g->values[n->in[0]].fact.dtype;
    return dt && lmn_attr_i(&n->op, "to", 0) == dt;
}

static bool keeps_order(const int64_t *perm, int32_t rank)
{
    for (int32_t i = 0; i < rank; i++)
        if (perm[i] != i) return false;
    return rank >= 0;
}

/* Does output 0 hold what input 0 holds, for sure? */
static bool is_noop(const lmn_match *m, const lmn_gnode *n)
{
    static const char *const SHAPED[] = {"Reshape", "Expand", "Flatten", "Squeeze", "Unsqueeze"};
    static const char *const ONE[] = {"Sum", "Max", "Min", "Mean"};
    int64_t perm[LMN_MAX_RANK];
    if (lmn_match_op(n, "Identity")) return true;
    if (lmn_match_op(n, "Dropout")) return no_training(m, n);
    if (lmn_match_op(n, "Cast")) return same_type(m, n);
    if (lmn_match_op(n, "Transpose")) return keeps_order(perm, lmn_match_perm(m, n, perm));
    for (size_t i = 0; i < LMN_COUNT(SHAPED); i++)
        if (lmn_match_op(n, SHAPED[i])) return lmn_match_same_shape(m, n->in[0], n->out[0]);
    for (size_t i = 0; i < LMN_COUNT(ONE); i++)
        if (n->op.n_in == 1 && lmn_match_op(n, ONE[i])) return true;
    /* A scalar has no axis to join along. */
    return n->op.n_in == 1 && lmn_match_op(n, "Concat") && m->g->values[n->in[0]].fact.rank > 0;
}

/* Reshape of a view: the shape is complete in itself unless a 0 copies an extent. */
static lamina_status shorten_views(lmn_match *m, lmn_gnode *n)
{
    static const char *const VIEWS[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"};
    const lamina_tensor *shape = n->op.n_in == 2 ? lmn_match_const(m, n->in[1]) : NULL;
    if (!lmn_match_op(n, "Reshape") || !shape || shape->dtype != LAMINA_I64) return LAMINA_OK;
    for (int64_t i = 0; i < lmn_count(shape); i++)
        if (lmn_get_i64(shape, i) == 0) return LAMINA_OK;
    const lmn_gnode *view = NULL;
    for (size_t i = 0; !view && i < LMN_COUNT(VIEWS); i++)
        view = lmn_match_made_by(m, n->in[0], VIEWS[i]);
    if (!view) return LAMINA_OK;
    const lmn_vid in[2] = {view->in[0], n->in[1]};
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = "Reshape",
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = 2,
                                           .attrs = n->op.attrs,
                                           .n_attrs = n->op.n_attrs});
}

static lamina_status join_transposes(lmn_match *m, lmn_gnode *n)
{
    const lmn_gnode *first =
        lmn_match_op(n, "Transpose") ? lmn_match_made_by(m, n->in[0], "Transpose") : NULL;
    int64_t a[LMN_MAX_RANK], b[LMN_MAX_RANK];
    if (!first) return LAMINA_OK;
    const int32_t rank = lmn_match_perm(m, first, a);
    if (rank < 0 || lmn_match_perm(m, n, b) != rank) return LAMINA_OK;
    int64_t *perm = LMN_ARENA_ARRAY(&m->g->arena, int64_t, (size_t)rank);
    if (!perm) return LAMINA_E_NOMEM;
    for (int32_t i = 0; i < rank; i++) perm[i] = a[b[i]];
    const lmn_attr attr = {.name = "perm", .type = LMN_ATTR_INTS, .n = rank, .u.ints = perm};
    const lmn_vid in[1] = {first->in[0]};
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = "Transpose",
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = 1,
                                           .attrs = &attr,
                                           .n_attrs = 1});
}

static void elide(lmn_match *m, lmn_gnode *n, lmn_vid *alias)
{
    const lmn_vid from = n->out[0], to = n->in[0];
    alias[from] = to;
    m->uses[to] += m->uses[from] - 1;
    m->uses[from] = 0;
    if (m->g->values[from].is_output) {
        m->g->values[from].is_output = false;
        m->g->values[to].is_output = true;
    }
    n->dead = true;
    m->ctx->n_changed++;
}

static lamina_status run(lmn_match *m)
{
    lmn_graph *g = m->g;
    lmn_vid *alias = LMN_ARENA_ARRAY(&m->tmp, lmn_vid, g->n_values);
    if (!alias) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        if (n->dead) continue;
        for (int32_t k = 0; k < n->op.n_in; k++)
            if (alias[n->in[k]]) n->in[k] = alias[n->in[k]];
        if (n->op.n_in < 1 || n->op.n_out < 1 || !n->in[0]) continue;
        LMN_TRY(join_transposes(m, n));
        LMN_TRY(shorten_views(m, n));
        if (is_noop(m, n) && replaceable(m, n->out[0], n->in[0])) elide(m, n, alias);
    }
    for (size_t i = 0; i < g->n_outputs; i++)
        if (alias[g->outputs[i]]) g->outputs[i] = alias[g->outputs[i]];
    return LAMINA_OK;
}

lamina_status lmn_pass_elide(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_elide(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
