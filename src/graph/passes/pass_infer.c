/*
 * Facts anew: folding and clean-up make more shapes provable, and a cloned graph has lost the
 * composed ones. Passes that need proof stand behind this one. Subgraphs keep the facts of their
 * import: what is known of their inputs is known to the node that runs them.
 */
#include "graph/passes/pass.h"

lamina_status lmn_pass_infer(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_infer(lmn_graph *g, lmn_pass_ctx *ctx)
{
    (void)ctx;
    if (g->parent) return LAMINA_OK;
    const lamina_status st = lmn_graph_infer(g, NULL);
    return st == LAMINA_E_NOMEM ? st : LAMINA_OK; /* a wrong node says so itself, later */
}
