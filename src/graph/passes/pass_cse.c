/*
 * Common subexpressions: two nodes with the same operator, attributes and inputs compute the same
 * values; two initialisers with the same bytes are one. Random operators and nodes with subgraphs
 * stay apart.
 */
#include "graph/passes/pass.h"

#include <string.h>

static uint64_t mix(uint64_t h, uint64_t x)
{
    return (h ^ x) * 0x9e3779b97f4a7c15u + (h >> 29);
}

static uint64_t hash_node(const lmn_gnode *n)
{
    uint64_t h = mix(1, (uint64_t)(uintptr_t)n->op.def);
    for (int32_t i = 0; i < n->op.n_in; i++) h = mix(h, n->in[i]);
    return mix(mix(h, (uint64_t)n->op.n_out), (uint64_t)n->op.n_attrs);
}

static bool same_attr(const lmn_attr *a, const lmn_attr *b)
{
    if (a->type != b->type || a->n != b->n || strcmp(a->name, b->name)) return false;
    switch (a->type) {
    case LMN_ATTR_FLOAT: return memcmp(&a->u.f, &b->u.f, sizeof a->u.f) == 0;
    case LMN_ATTR_INT: return a->u.i == b->u.i;
    case LMN_ATTR_STRING: return a->u.s.n == b->u.s.n && !memcmp(a->u.s.p, b->u.s.p, a->u.s.n);
    case LMN_ATTR_INTS:
        return !a->n || !memcmp(a->u.ints, b->u.ints, (size_t)a->n * sizeof(int64_t));
    case LMN_ATTR_FLOATS:
        return !a->n || !memcmp(a->u.floats, b->u.floats, (size_t)a->n * sizeof(float));
    default: return false;
    }
}

static bool same_node(const lmn_gnode *a, const lmn_gnode *b)
{
    if (a->op.def != b->op.def || a->op.n_in != b->op.n_in || a->op.n_out != b->op.n_out ||
        a->op.n_attrs != b->op.n_attrs)
        return false;
    if (a->op.n_in && memcmp(a->in, b->in, (size_t)a->op.n_in * sizeof *a->in)) return false;
    for (int32_t i = 0; i < a->op.n_attrs; i++)
        if (!same_attr(&a->op.attrs[i], &b->op.attrs[i])) return false;
    for (int32_t i = 0; i < a->op.n_out; i++)
        if (!a->out[i] && b->out[i]) return false;
    return true;
}

lamina_status lmn_pass_cse(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_cse(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    size_t cap = 16;
    while (cap < 2 * g->n_nodes) cap *= 2;
    uint32_t *table = LMN_ARENA_ARRAY(&tmp, uint32_t, cap); /* node index + 1 */
    lmn_vid *alias = LMN_ARENA_ARRAY(&tmp, lmn_vid, g->n_values);
    lamina_status st = tmp.failed ? LAMINA_E_NOMEM : LAMINA_OK;
    for (size_t i = 0; st == LAMINA_OK && i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        for (int32_t k = 0; k < n->op.n_in; k++)
            if (alias[n->in[k]]) n->in[k] = alias[n->in[k]];
        bool keep = n->dead || (n->op.def->flags & LMN_OP_RANDOM);
        for (int32_t k = 0; k < n->op.n_out; k++)
            if (n->out[k] && g->values[n->out[k]].is_output) keep = true;
        if (keep) continue;
        size_t slot = hash_node(n) & (cap - 1);
        while (table[slot] && !same_node(&g->nodes[table[slot] - 1], n))
            slot = (slot + 1) & (cap - 1);
        if (!table[slot]) {
            table[slot] = (uint32_t)i + 1;
            continue;
        }
        const lmn_gnode *first = &g->nodes[table[slot] - 1];
        for (int32_t k = 0; k < n->op.n_out; k++)
            if (n->out[k]) alias[n->out[k]] = first->out[k];
        n->dead = true;
        ctx->n_changed++;
    }
    lmn_arena_finish(&tmp);
    return st;
}
