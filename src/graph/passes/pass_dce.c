/*
 * Dead code: nodes whose outputs nobody reads, and outputs of living nodes that nobody reads (they
 * become "not wanted", so that a Dropout mask or a MaxPool index is never computed).
 */
#include "graph/passes/pass.h"

lamina_status lmn_pass_dce(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_dce(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    uint32_t *uses = lmn_graph_uses(g, &tmp);
    for (size_t i = g->n_nodes; uses && i-- > 0;) {
        lmn_gnode *n = &g->nodes[i];
        bool used = false;
        for (int32_t k = 0; k < n->op.n_out; k++) {
            if (!n->out[k]) continue;
            if (uses[n->out[k]])
                used = true;
            else if (k > 0)
                n->out[k] = 0;
        }
        if (used || n->dead) continue;
        n->dead = true;
        ctx->n_changed++;
        for (int32_t k = 0; k < n->op.n_in; k++)
            if (n->in[k]) uses[n->in[k]]--;
    }
    /* constants nobody reads give their memory back */
    for (size_t v = 1; uses && v < g->n_values; v++)
        if (!uses[v] && g->values[v].constant && !g->values[v].is_input &&
            !g->values[v].is_output) {
            lamina_tensor_unref(g->values[v].constant);
            g->values[v].constant = NULL;
        }
    lamina_status st = uses ? LAMINA_OK : LAMINA_E_NOMEM;
    lmn_arena_finish(&tmp);
    return st;
}
