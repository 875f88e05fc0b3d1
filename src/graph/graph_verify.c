/*
 * The invariants of graph.h, checked. Run after import and, in builds with asserts, after every
 * pass.
 */
#include "graph/graph.h"

static lamina_status bad(lmn_diags *d, const lmn_gnode *n, const char *what, const char *name)
{
    return lmn_diag_add(
        d, LMN_DIAG_ERROR, LAMINA_E_CORRUPT,
        (lmn_diag_at){n ? n->op.name : "", n ? n->op.def->name : "", n ? n->op.opset : 0}, NULL,
        "%s \"%.100s\"", what, name);
}

static lamina_status verify_node(const lmn_graph *g, size_t i, lmn_diags *d)
{
    const lmn_gnode *n = &g->nodes[i];
    for (int32_t k = 0; k < n->op.n_in; k++) {
        lmn_vid v = n->in[k];
        if (v >= g->n_values) return bad(d, n, "reads a value that does not exist", "");
        const lmn_value *x = &g->values[v];
        if (v && !x->is_input && !x->constant && x->producer == LMN_NO_NODE)
            return bad(d, n, "reads a value that nothing produces:", x->name);
        if (v && x->producer != LMN_NO_NODE && x->producer >= i)
            return bad(d, n, "reads a value that is produced later:", x->name);
    }
    for (int32_t k = 0; k < n->op.n_out; k++) {
        lmn_vid v = n->out[k];
        if (v >= g->n_values) return bad(d, n, "writes a value that does not exist", "");
        if (v && (g->values[v].is_input || g->values[v].constant || g->values[v].producer != i))
            return bad(d, n, "writes a value that something else produces:", g->values[v].name);
    }
    if (n->op.n_caps < 0 || n->op.n_caps > n->op.n_in)
        return bad(d, n, "has a wrong capture count", "");
    for (int32_t k = 0; k < n->op.n_attrs; k++) {
        if (n->op.attrs[k].type != LMN_ATTR_GRAPH) continue;
        const lmn_graph *sub = n->op.attrs[k].u.g;
        if (sub->n_inputs < (size_t)n->op.n_caps)
            return bad(d, n, "has a subgraph without its captures:", n->op.attrs[k].name);
        LMN_TRY(lmn_graph_verify(sub, d));
    }
    return LAMINA_OK;
}

lamina_status lmn_graph_verify(const lmn_graph *g, lmn_diags *diags)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i].dead) LMN_TRY(verify_node(g, i, diags));
    for (size_t i = 0; i < g->n_outputs; i++) {
        const bool exists = g->outputs[i] && g->outputs[i] < g->n_values;
        const lmn_value *v = &g->values[exists ? g->outputs[i] : 0];
        if (!exists || (!v->is_input && !v->constant && v->producer == LMN_NO_NODE))
            return bad(diags, NULL, "nothing produces the graph output", g->output_names[i]);
    }
    return LAMINA_OK;
}
