/*
 * Inference over whole graphs: every node once, in order, facts in a table beside the graph. The
 * same walk serves import (facts of the graph itself), plans (concrete dims) and subgraphs (as a
 * function).
 */
#include "graph/graph.h"

#include <string.h>

typedef struct infer_walk {
    const lmn_graph *g;
    lmn_dim_pool *dims;
    lmn_arena *arena;
    lmn_fact *facts;
    lmn_diags *diags;
} infer_walk;

static lamina_status infer_subgraph(lmn_infer *ic, const lmn_attr *graph, const lmn_fact *const *in,
                                    int32_t n_in, lmn_fact *out, int32_t n_out)
{
    if (graph->type != LMN_ATTR_GRAPH || n_in < 0 || n_out < 0) return LAMINA_E_INVALID;
    const lmn_graph *g = graph->u.g;
    const int32_t n_caps = ic->node->n_caps;
    if (g->n_inputs != (size_t)n_in || g->n_outputs != (size_t)n_out)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE,
                              "give the subgraph the inputs and outputs that the operator defines",
                              "the subgraph \"%s\" has %zu inputs and %zu outputs, and %d and %d "
                              "are wanted",
                              graph->name, g->n_inputs - (size_t)n_caps, g->n_outputs,
                              n_in - n_caps, n_out);
    return lmn_graph_infer_call(graph->u.g, ic->dims, ic->arena, in, (size_t)n_in, out,
                                (size_t)n_out, ic->diags);
}

/* An output of more elements than can be counted can never be computed. */
static lamina_status check_sizes(lmn_infer *ic)
{
    for (int32_t i = 0; i < ic->node->n_out; i++) {
        const lmn_fact *f = &ic->out[i];
        int64_t dims[LMN_MAX_RANK], count;
        size_t bytes;
        if (f->kind != LMN_FACT_TENSOR || !f->dtype || !lmn_fact_static(f, dims)) continue;
        if (lmn_dims_count(f->rank, dims, &count) && lmn_dense_bytes(f->dtype, count, &bytes))
            continue;
        bool below = false;
        for (int32_t k = 0; k < f->rank; k++) below |= dims[k] < 0;
        char text[160];
        (void)lmn_fact_format(ic->dims, f, text, sizeof text);
        return lmn_infer_fail(ic, LAMINA_E_RANGE,
                              below ? "make no extent less than 0"
                                    : "make it smaller: no memory can hold it",
                              "output %d would be %s", i, text);
    }
    return LAMINA_OK;
}

lamina_status lmn_graph_infer_node(lmn_dim_pool *dims, lmn_arena *arena, const lmn_gnode *n,
                                   const lmn_fact *const *in, const lamina_tensor *const *in_const,
                                   lmn_fact *out, lmn_diags *diags)
{
    const lmn_opnode *op = &n->op;
    for (int32_t i = 0; i < op->n_out; i++) out[i] = lmn_fact_unknown();
    char opname[96];
    (void)lmn_format(opname, sizeof opname, "%s%s%s", op->def->domain, *op->def->domain ? ":" : "",
                     op->def->name);
    lmn_infer ic = {.node = op,
                    .dims = dims,
                    .arena = arena,
                    .in = in,
                    .in_const = in_const,
                    .out = out,
                    .diags = diags,
                    .at = {op->name, opname, op->opset},
                    .subgraph = infer_subgraph};
    LMN_TRY(lmn_op_infer(&ic));
    return check_sizes(&ic);
}

static lamina_status infer_one(infer_walk *w, const lmn_gnode *n)
{
    const lmn_opnode *op = &n->op;
    const lmn_fact *in_small[16];
    const lamina_tensor *const_small[16];
    lmn_fact out_small[8];
    const lmn_fact **in = in_small;
    const lamina_tensor **in_const = const_small;
    lmn_fact *out = out_small;
    if (op->n_in > 16) {
        in = LMN_ARENA_ARRAY(w->arena, const lmn_fact *, (size_t)op->n_in);
        in_const = LMN_ARENA_ARRAY(w->arena, const lamina_tensor *, (size_t)op->n_in);
    }
    if (op->n_out > 8) out = LMN_ARENA_ARRAY(w->arena, lmn_fact, (size_t)op->n_out);
    if (!in || !in_const || !out) return LAMINA_E_NOMEM;
    for (int32_t i = 0; i < op->n_in; i++) {
        const lmn_value *v = &w->g->values[n->in[i]];
        in[i] = n->in[i] ? &w->facts[n->in[i]] : NULL;
        in_const[i] = v->is_input ? NULL : v->constant;
    }
    lamina_status st = lmn_graph_infer_node(w->dims, w->arena, n, in, in_const, out, w->diags);
    for (int32_t i = 0; i < op->n_out; i++)
        if (n->out[i]) w->facts[n->out[i]] = out[i];
    return st;
}

static lamina_status walk(infer_walk *w)
{
    lamina_status first = LAMINA_OK;
    for (size_t i = 0; i < w->g->n_nodes; i++) {
        if (w->g->nodes[i].dead) continue;
        lamina_status st = infer_one(w, &w->g->nodes[i]);
        if (st == LAMINA_E_NOMEM) return st;
        if (first == LAMINA_OK) first = st;
    }
    return first;
}

lamina_status lmn_graph_infer_facts(const lmn_graph *g, lmn_dim_pool *dims, lmn_arena *arena,
                                    lmn_fact *facts, lmn_diags *diags)
{
    infer_walk w = {g, dims, arena, facts, diags};
    for (size_t v = 0; v < g->n_values; v++) {
        if (g->values[v].is_input) continue;
        facts[v] = g->values[v].constant ? g->values[v].fact : lmn_fact_unknown();
    }
    return walk(&w);
}

lamina_status lmn_graph_infer_call(const lmn_graph *g, lmn_dim_pool *dims, lmn_arena *arena,
                                   const lmn_fact *const *in, size_t n_in, lmn_fact *out,
                                   size_t n_out, lmn_diags *diags)
{
    if (n_in != g->n_inputs || n_out != g->n_outputs) return LAMINA_E_SHAPE;
    lmn_fact *facts = LMN_ARENA_ARRAY(arena, lmn_fact, g->n_values);
    if (!facts) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < n_in; i++) facts[g->inputs[i]] = in[i] ? *in[i] : lmn_fact_unknown();
    LMN_TRY(lmn_graph_infer_facts(g, dims, arena, facts, diags));
    for (size_t i = 0; i < n_out; i++) out[i] = facts[g->outputs[i]];
    return LAMINA_OK;
}

lamina_status lmn_graph_infer(lmn_graph *g, lmn_diags *diags)
{
    lmn_fact *facts = LMN_ARENA_ARRAY(&g->arena, lmn_fact, g->n_values);
    if (!facts) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < g->n_inputs; i++) facts[g->inputs[i]] = g->values[g->inputs[i]].fact;
    lamina_status st = lmn_graph_infer_facts(g, g->dims, &g->arena, facts, diags);
    for (size_t v = 1; v < g->n_values; v++) g->values[v].fact = facts[v];
    return st;
}
