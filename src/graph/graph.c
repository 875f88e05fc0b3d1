/*
 * Building and releasing graphs. Everything a graph holds lives in its arena except the growing
 * tables and the tensors, whose references are dropped in lmn_graph_destroy.
 */
#include "graph/graph.h"

#include <string.h>

#define GRAPH_ARENA_MAX ((size_t)4 << 30)

lamina_status lmn_graph_create(lamina_engine *e, lmn_graph *parent, lmn_graph **out)
{
    lmn_graph *g = lmn_calloc(&e->alloc, 1, sizeof *g, "graph");
    if (!g) return LAMINA_E_NOMEM;
    g->engine = e;
    g->parent = parent;
    g->name = "";
    lmn_arena_init(&g->arena, &e->alloc, GRAPH_ARENA_MAX);
    lamina_status st = LAMINA_OK;
    if (parent)
        g->dims = parent->dims;
    else
        st = lmn_dim_pool_create(&e->alloc, 0, &g->dims);
    if (st == LAMINA_OK)
        st = lmn_grow(&e->alloc, (void **)&g->values, &g->cap_values, 1, LMN_GRAPH_MAX_VALUES,
                      sizeof *g->values, "graph");
    if (st != LAMINA_OK) {
        lmn_graph_destroy(g);
        return st;
    }
    g->values[0] = (lmn_value){.name = "", .fact = lmn_fact_unknown(), .producer = LMN_NO_NODE};
    g->n_values = 1;
    *out = g;
    return LAMINA_OK;
}

static void release_attrs(const lmn_gnode *n)
{
    for (int32_t i = 0; i < n->op.n_attrs; i++) {
        const lmn_attr *a = &n->op.attrs[i];
        if (a->type == LMN_ATTR_TENSOR) lamina_tensor_unref(a->u.t);
        if (a->type == LMN_ATTR_GRAPH) lmn_graph_destroy(a->u.g);
    }
}

void lmn_graph_destroy(lmn_graph *g)
{
    if (!g) return;
    const lamina_allocator *a = &g->engine->alloc;
    for (size_t i = 0; i < g->n_nodes; i++) release_attrs(&g->nodes[i]);
    for (size_t i = 0; i < g->n_values; i++) lamina_tensor_unref(g->values[i].constant);
    lmn_free(a, g->values, g->cap_values * sizeof *g->values, 16, "graph");
    lmn_free(a, g->nodes, g->cap_nodes * sizeof *g->nodes, 16, "graph");
    lmn_free(a, g->inputs, g->cap_inputs * sizeof *g->inputs, 16, "graph");
    lmn_free(a, g->outputs, g->cap_outputs * sizeof *g->outputs, 16, "graph");
    lmn_free(a, g->output_names, g->cap_output_names * sizeof *g->output_names, 16, "graph");
    lmn_arena_finish(&g->arena);
    if (!g->parent) lmn_dim_pool_destroy(g->dims);
    lmn_cfree(a, g, 1, sizeof *g, "graph");
}

lmn_vid lmn_graph_value(lmn_graph *g, const char *name, const lmn_fact *fact)
{
    const char *copy = name && *name ? lmn_arena_str(&g->arena, name) : "";
    if (!copy || lmn_grow(&g->engine->alloc, (void **)&g->values, &g->cap_values, g->n_values + 1,
                          LMN_GRAPH_MAX_VALUES, sizeof *g->values, "graph") != LAMINA_OK)
        return 0;
    g->values[g->n_values] = (lmn_value){
        .name = copy, .fact = fact ? *fact : lmn_fact_unknown(), .producer = LMN_NO_NODE};
    return (lmn_vid)g->n_values++;
}

lmn_vid lmn_graph_constant(lmn_graph *g, const char *name, lamina_tensor *t)
{
    lmn_fact fact = lmn_fact_of(t, &g->arena);
    lmn_vid v = lmn_graph_value(g, name, &fact);
    if (v) g->values[v].constant = lamina_tensor_ref(t);
    return v;
}

static bool push_vid(lmn_graph *g, lmn_vid **list, size_t *n, size_t *cap, lmn_vid v)
{
    if (lmn_grow(&g->engine->alloc, (void **)list, cap, *n + 1, LMN_GRAPH_MAX_VALUES, sizeof **list,
                 "graph") != LAMINA_OK)
        return false;
    (*list)[(*n)++] = v;
    return true;
}

bool lmn_graph_add_input(lmn_graph *g, lmn_vid v)
{
    if (!v || !push_vid(g, &g->inputs, &g->n_inputs, &g->cap_inputs, v)) return false;
    g->values[v].is_input = true;
    return true;
}

bool lmn_graph_add_output(lmn_graph *g, lmn_vid v, const char *name)
{
    const char *copy = lmn_arena_str(&g->arena, name);
    if (!copy || lmn_grow(&g->engine->alloc, (void **)&g->output_names, &g->cap_output_names,
                          g->n_outputs + 1, LMN_GRAPH_MAX_VALUES, sizeof *g->output_names,
                          "graph") != LAMINA_OK)
        return false;
    g->output_names[g->n_outputs] = copy;
    if (!push_vid(g, &g->outputs, &g->n_outputs, &g->cap_outputs, v)) return false;
    g->values[v].is_output = true;
    return true;
}

lmn_gnode *lmn_graph_node(lmn_graph *g, const lmn_opnode *op, const lmn_vid *in, const lmn_vid *out)
{
    if (lmn_grow(&g->engine->alloc, (void **)&g->nodes, &g->cap_nodes, g->n_nodes + 1,
                 LMN_GRAPH_MAX_NODES, sizeof *g->nodes, "graph") != LAMINA_OK)
        return NULL;
    lmn_gnode *n = &g->nodes[g->n_nodes];
    *n = (lmn_gnode){.op = *op};
    lmn_arena *a = &g->arena;
    n->op.name = op->name && *op->name ? lmn_arena_str(a, op->name) : "";
    n->op.attrs = lmn_arena_dup(a, op->attrs, (size_t)op->n_attrs * sizeof *op->attrs);
    n->in = lmn_arena_dup(a, in, (size_t)op->n_in * sizeof *in);
    n->out = lmn_arena_dup(a, out, (size_t)op->n_out * sizeof *out);
    if (a->failed || !n->op.name || !n->op.attrs || !n->in || !n->out) return NULL;
    lmn_graph *top = g;
    while (top->parent) top = top->parent;
    n->op.id = top->next_node_id++;
    for (int32_t i = 0; i < op->n_out; i++) {
        if (!out[i]) continue;
        g->values[out[i]].producer = (uint32_t)g->n_nodes;
        g->values[out[i]].producer_out = (uint32_t)i;
    }
    g->n_nodes++;
    return n;
}

void lmn_graph_replace(lmn_graph *g, lmn_vid from, lmn_vid to)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        if (n->dead) continue;
        for (int32_t k = 0; k < n->op.n_in; k++)
            if (n->in[k] == from) n->in[k] = to;
    }
    for (size_t i = 0; i < g->n_outputs; i++) {
        if (g->outputs[i] != from) continue;
        g->outputs[i] = to;
        g->values[to].is_output = true;
    }
    g->values[from].is_output = false;
}

void lmn_graph_compact(lmn_graph *g)
{
    size_t o = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        if (n->dead) {
            release_attrs(n);
            continue;
        }
        if (o != i) g->nodes[o] = *n;
        for (int32_t k = 0; k < n->op.n_out; k++)
            if (n->out[k]) g->values[n->out[k]].producer = (uint32_t)o;
        o++;
    }
    g->n_nodes = o;
}

uint32_t *lmn_graph_uses(const lmn_graph *g, lmn_arena *arena)
{
    uint32_t *uses = LMN_ARENA_ARRAY(arena, uint32_t, g->n_values);
    if (!uses) return NULL;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        for (int32_t k = 0; !n->dead && k < n->op.n_in; k++) uses[n->in[k]]++;
    }
    for (size_t i = 0; i < g->n_outputs; i++) uses[g->outputs[i]]++;
    uses[0] = 0;
    return uses;
}
