/*
 * Constants and their addresses. raw_data of an ONNX file lies at any byte; copying the weights
 * that do would cost what mapping the file saves: time at load, and memory in every process. So
 * large weights stay, if every reader is of a kind that can read them there; the executor has the
 * last word (LMN_PORT_FAR).
 */
#include "graph/graph.h"

const lmn_port *lmn_gnode_port(const lmn_gnode *n, int32_t i)
{
    const lmn_port *p = n->op.def->in;
    if (!p || !p->name || i >= n->op.n_in - n->op.n_caps) return NULL;
    for (int32_t k = 0; k < i; k++) {
        if (p->flags & LMN_PORT_VARIADIC) return p;
        if (!(++p)->name) return NULL;
    }
    return p;
}

lamina_status lmn_graph_align(lmn_graph *g, lmn_vid v)
{
    lamina_tensor *old = g->values[v].constant, *copy;
    if (!old || lmn_tensor_aligned(old)) return LAMINA_OK;
    LMN_TRY(lmn_tensor_clone(g->engine, old, &copy));
    g->values[v].constant = copy;
    lamina_tensor_unref(old);
    return LAMINA_OK;
}

static lamina_status settle_node(lmn_graph *g, const lmn_gnode *n)
{
    for (int32_t i = 0; i < n->op.n_in; i++) {
        const lmn_port *p = lmn_gnode_port(n, i);
        if (n->in[i] && !(p && p->flags & LMN_PORT_FAR)) LMN_TRY(lmn_graph_align(g, n->in[i]));
    }
    for (int32_t i = 0; i < n->op.n_attrs; i++)
        if (n->op.attrs[i].type == LMN_ATTR_GRAPH)
            LMN_TRY(lmn_graph_settle((lmn_graph *)(uintptr_t)n->op.attrs[i].u.g));
    return LAMINA_OK;
}

lamina_status lmn_graph_settle(lmn_graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) LMN_TRY(settle_node(g, &g->nodes[i]));
    for (size_t i = 0; i < g->n_inputs; i++) LMN_TRY(lmn_graph_align(g, g->inputs[i]));
    for (size_t i = 0; i < g->n_outputs; i++) LMN_TRY(lmn_graph_align(g, g->outputs[i]));
    return LAMINA_OK;
}
