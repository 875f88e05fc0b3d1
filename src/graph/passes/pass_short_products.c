/*
 * In sessions that multiply in bf16 products round the rows that they read, each of them anew for
 * every block of weights. Here their maker rounds them: a LayerNormalization that products by
 * constant weights read becomes ShortLayerNorm, which keeps f32 beside for others, the products
 * ShortMatMul, and so does what a product hands to such products alone. The same values are
 * rounded, once.
 */
#include "graph/passes/match.h"
#include "ops/fused.h"

#include <string.h>

enum { LEAST_K = 32, LEAST_N = 16, MAX_ATTRS = 3 }; /* as the CPU device has it (cpu_half.c) */

typedef struct shorts {
    lmn_match *m;
    uint32_t *products; /* of a value: products that could read it as bf16 */
    lmn_vid *turned;    /* of a value: the same as bf16; 0: none */
} shorts;

/* MatMul or FusedMatMul of rows of f32 by weights that are worth it. */
static bool is_product(const lmn_match *m, const lmn_gnode *n)
{
    lmn_fused f;
    const bool fused = !n->dead && strcmp(n->op.def->domain, "lamina") == 0 &&
                       strcmp(n->op.def->name, "FusedMatMul") == 0;
    if (!fused && (n->dead || !lmn_match_op(n, "MatMul"))) return false;
    if (n->op.n_in < 2 || n->op.n_caps || (fused && lmn_fused_read(&n->op, 2, &f))) return false;
    const lamina_tensor *w = lmn_match_const(m, n->in[1]);
    return w && w->dtype == LAMINA_F32 && w->rank == 2 && w->dims[0] >= LEAST_K &&
           w->dims[1] >= LEAST_N && lmn_match_is_f32(m, n->in[0]) &&
           m->g->values[n->in[0]].fact.rank >= 2 && lmn_match_is_f32(m, n->out[0]);
}

/* LayerNormalization of the last axis, of whose results only the first is wanted. */
static bool is_norm(const lmn_match *m, const lmn_gnode *n)
{
    if (n->dead || !lmn_match_op(n, "LayerNormalization") || n->op.n_in < 2) return false;
    for (int32_t o = 1; o < n->op.n_out; o++)
        if (n->out[o]) return false;
    for (int32_t k = 0; k < n->op.n_in; k++)
        if (n->in[k] && !lmn_match_is_f32(m, n->in[k])) return false;
    const int32_t rank = m->g->values[n->in[0]].fact.rank;
    const int64_t axis = lmn_attr_i(&n->op, "axis", -1);
    return (axis == -1 || axis == rank - 1) && lmn_attr_i(&n->op, "stash_type", 1) == 1;
}

/* Does nobody else read v? */
static bool is_alone(const shorts *s, lmn_vid v)
{
    return s->products[v] == s->m->uses[v] && !s->m->g->values[v].is_output;
}

/* A new value: v as bf16, output o of node i. */
static lmn_vid short_value(shorts *s, lmn_vid v, uint32_t i)
{
    lmn_graph *g = s->m->g;
    lmn_fact f = g->values[v].fact;
    f.dtype = LAMINA_BF16;
    f.n_elems = -1;
    const lmn_vid t = lmn_graph_value(g, "", &f);
    if (!t) return 0;
    g->values[t].producer = i, g->values[t].producer_out = 0;
    return s->turned[v] = t;
}

static lamina_status turn_norm(shorts *s, uint32_t i)
{
    lmn_graph *g = s->m->g;
    lmn_gnode *n = &g->nodes[i];
    const lmn_vid y = n->out[0];
    const bool alone = is_alone(s, y);
    lmn_attr attrs[MAX_ATTRS];
    int32_t n_attrs = 0;
    for (int32_t k = 0; k < n->op.n_attrs && n_attrs < MAX_ATTRS; k++)
        if (strcmp(n->op.attrs[k].name, "stash_type") != 0) attrs[n_attrs++] = n->op.attrs[k];
    lmn_vid *outs = LMN_ARENA_ARRAY(&g->arena, lmn_vid, 2);
    const lmn_vid t = outs ? short_value(s, y, i) : 0;
    if (!t) return LAMINA_E_NOMEM;
    LMN_TRY(lmn_match_become(s->m, n,
                             &(lmn_rewrite){.domain = "lamina",
                                            .op = "ShortLayerNorm",
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = n->in,
                                            .n_in = n->op.n_in,
                                            .attrs = attrs,
                                            .n_attrs = n_attrs}));
    outs[0] = t, outs[1] = alone ? 0 : y;
    n->out = outs;
    n->op.n_out = alone ? 1 : 2;
    g->values[y].producer_out = 1;
    if (alone) g->values[y].producer = LMN_NO_NODE;
    return LAMINA_OK;
}

/* A product whose rows come as bf16. */
static lamina_status turn_product(shorts *s, uint32_t i)
{
    lmn_graph *g = s->m->g;
    lmn_gnode *n = &g->nodes[i];
    const lmn_vid y = n->out[0];
    const bool hands_on = s->products[y] && is_alone(s, y);
    lmn_vid in[2 + LMN_EPI_MAX];
    lmn_attr attrs[MAX_ATTRS];
    int32_t n_attrs = 0;
    for (int32_t k = 0; k < n->op.n_attrs && n_attrs + 1 < MAX_ATTRS; k++)
        attrs[n_attrs++] = n->op.attrs[k];
    if (hands_on)
        attrs[n_attrs++] = (lmn_attr){.name = "short", .type = LMN_ATTR_INT, .n = 1, .u.i = 1};
    memcpy(in, n->in, (size_t)n->op.n_in * sizeof *in);
    in[0] = s->turned[in[0]];
    const lmn_vid t = hands_on ? short_value(s, y, i) : y;
    if (!t) return LAMINA_E_NOMEM;
    n = &g->nodes[i];
    LMN_TRY(lmn_match_become(s->m, n,
                             &(lmn_rewrite){.domain = "lamina",
                                            .op = "ShortMatMul",
                                            .name = n->op.name,
                                            .opset = n->op.opset,
                                            .in = in,
                                            .n_in = n->op.n_in,
                                            .attrs = attrs,
                                            .n_attrs = n_attrs}));
    n->out[0] = t;
    if (hands_on) g->values[y].producer = LMN_NO_NODE;
    return LAMINA_OK;
}

static lamina_status run(lmn_match *m)
{
    lmn_graph *g = m->g;
    shorts s = {.m = m};
    const size_t n_values = g->n_values;
    s.products = LMN_ARENA_ARRAY(&m->tmp, uint32_t, n_values);
    s.turned = LMN_ARENA_ARRAY(&m->tmp, lmn_vid, n_values);
    if (!s.products || !s.turned) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (is_product(m, &g->nodes[i])) s.products[g->nodes[i].in[0]]++;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (is_norm(m, n) && s.products[n->out[0]]) LMN_TRY(turn_norm(&s, i));
        if (is_product(m, n) && s.turned[n->in[0]]) LMN_TRY(turn_product(&s, i));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_short_products(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_short_products(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    if (!ctx->short_images || !lmn_op_find("lamina", "ShortMatMul") ||
        !lmn_op_find("lamina", "ShortLayerNorm") || !lmn_op_find("", "Cast"))
        return LAMINA_OK;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
