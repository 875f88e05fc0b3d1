/*
 * Constant folding: a node whose inputs are all known is computed once. Values that inference knows
 * element by element (Shape of a static tensor, say) become constants too. Bounded by bytes, so
 * that a small file cannot unfold into gigabytes; what would be too big simply stays a node.
 * Quantised weights stay quantised until the pass `qdq` has seen them.
 */
#include "graph/passes/pass.h"

#include <string.h>

static bool has_graph(const lmn_gnode *n)
{
    for (int32_t i = 0; i < n->op.n_attrs; i++)
        if (n->op.attrs[i].type == LMN_ATTR_GRAPH) return true;
    return false;
}

/* Known bytes of all outputs within the bound? Unknown shapes are not folded. */
static bool small_enough(const lmn_graph *g, const lmn_gnode *n, const lmn_pass_ctx *ctx,
                         uint64_t *bytes)
{
    *bytes = 0;
    for (int32_t i = 0; i < n->op.n_out; i++) {
        int64_t dims[LMN_MAX_RANK], count;
        size_t b;
        if (!n->out[i]) continue;
        const lmn_fact *f = &g->values[n->out[i]].fact;
        if (f->kind != LMN_FACT_TENSOR || !lmn_fact_static(f, dims)) return false;
        if (!lmn_dims_count(f->rank, dims, &count) || !lmn_dense_bytes(f->dtype, count, &b))
            return false;
        *bytes += b;
    }
    return *bytes <= ctx->max_const_bytes && ctx->folded_bytes + *bytes <= 4 * ctx->max_const_bytes;
}

static void set_constant(lmn_graph *g, lmn_vid v, lamina_tensor *owned)
{
    lmn_value *x = &g->values[v];
    x->constant = owned;
    x->producer = LMN_NO_NODE;
    x->fact = lmn_fact_of(owned, &g->arena);
}

/* A value whose elements inference proved: build the tensor from them. */
static lamina_status fold_lattice(lmn_graph *g, lmn_vid v, bool *folded)
{
    const lmn_fact *f = &g->values[v].fact;
    int64_t dims[LMN_MAX_RANK];
    *folded = false;
    if (f->kind != LMN_FACT_TENSOR || f->n_elems < 0 || !lmn_fact_static(f, dims)) return LAMINA_OK;
    for (int32_t i = 0; i < f->n_elems; i++)
        if (!lmn_dim_is_exact(f->elems[i])) return LAMINA_OK;
    lmn_dclass c = lmn_dtype_class(f->dtype);
    if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT && c != LMN_CLASS_BOOL) return LAMINA_OK;
    lamina_tensor *t = NULL;
    LMN_TRY(lamina_tensor_create(g->engine, f->dtype, f->rank, dims, &t));
    for (int32_t i = 0; i < f->n_elems; i++) lmn_set_i64(t, i, lmn_dim_value(f->elems[i]));
    set_constant(g, v, t);
    *folded = true;
    return LAMINA_OK;
}

static bool dequantises(const lmn_gnode *n)
{
    return !n->op.def->domain[0] && strcmp(n->op.def->name, "DequantizeLinear") == 0;
}

/* The node read them for the last time: what nobody else reads gives its memory back now, so that a
   chain over large weights holds two of its results and not all. */
static void let_go(lmn_graph *g, const lmn_gnode *n, uint32_t *uses)
{
    for (int32_t i = 0; i < n->op.n_in; i++) {
        lmn_value *v = &g->values[n->in[i]];
        if (!n->in[i] || --uses[n->in[i]] || v->is_input) continue;
        lamina_tensor_unref(v->constant);
        v->constant = NULL;
    }
}

static lamina_status fold_eval(lmn_graph *g, lmn_gnode *n, lmn_pass_ctx *ctx, uint32_t *uses)
{
    uint64_t bytes;
    if (!n->op.def->eval || has_graph(n) || !small_enough(g, n, ctx, &bytes)) return LAMINA_OK;
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    lamina_tensor **in = LMN_ARENA_ARRAY(&tmp, lamina_tensor *, (size_t)n->op.n_in);
    lamina_tensor **out = LMN_ARENA_ARRAY(&tmp, lamina_tensor *, (size_t)n->op.n_out);
    lamina_status st = tmp.failed ? LAMINA_E_NOMEM : LAMINA_OK;
    for (int32_t i = 0; st == LAMINA_OK && i < n->op.n_in; i++)
        in[i] = g->values[n->in[i]].constant;
    if (st == LAMINA_OK) st = lmn_graph_eval_node(g, n, in, out, ctx->par, NULL);
    if (st == LAMINA_OK) {
        for (int32_t i = 0; i < n->op.n_out; i++)
            if (n->out[i] && out[i]) set_constant(g, n->out[i], out[i]);
        n->dead = true;
        let_go(g, n, uses);
        ctx->folded_bytes += bytes;
        ctx->n_changed++;
    }
    lmn_arena_finish(&tmp);
    return st == LAMINA_E_NOMEM
               ? st
               : LAMINA_OK; /* what fails here fails again, with a sentence, at run */
}

static lamina_status fold(lmn_graph *g, lmn_pass_ctx *ctx, uint32_t *uses)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        if (n->dead || (n->op.def->flags & LMN_OP_RANDOM)) continue;
        bool known = true, all = true;
        for (int32_t k = 0; k < n->op.n_in; k++) {
            const lmn_value *v = &g->values[n->in[k]];
            if (n->in[k] &&
                (!v->constant || v->is_input || v->constant->kind != LAMINA_KIND_TENSOR))
                known = false;
        }
        if (known && !ctx->fold_weights && dequantises(n)) continue;
        if (known) {
            LMN_TRY(fold_eval(g, n, ctx, uses));
            continue;
        }
        for (int32_t k = 0; k < n->op.n_out; k++) {
            bool folded = false;
            if (n->out[k]) LMN_TRY(fold_lattice(g, n->out[k], &folded));
            if (folded) n->out[k] = 0; /* a constant has no maker, also when the node lives on */
            all = all && !n->out[k];
        }
        n->dead = all;
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_fold(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_fold(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    uint32_t *uses = lmn_graph_uses(g, &tmp);
    const lamina_status st = uses ? fold(g, ctx, uses) : LAMINA_E_NOMEM;
    lmn_arena_finish(&tmp);
    return st;
}
