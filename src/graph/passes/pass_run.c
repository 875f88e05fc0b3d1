/*
 * The pass manager: runs the list, keeps the invariants checked, compacts.
 */
#include "graph/passes/pass.h"
#include "graph/passes/pass_list.h"

#include <string.h>

#define X(name) lamina_status lmn_pass_##name(lmn_graph *g, lmn_pass_ctx *ctx);
LMN_PASS_LIST(X)
#undef X

const lmn_pass lmn_passes[] = {
#define X(name) {#name, lmn_pass_##name},
    LMN_PASS_LIST(X)
#undef X
        {NULL, NULL},
};

static lamina_status run_deep(lmn_graph *g, const lmn_pass *p, lmn_pass_ctx *ctx)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_attrs; k++)
            if (g->nodes[i].op.attrs[k].type == LMN_ATTR_GRAPH)
                LMN_TRY(run_deep(g->nodes[i].op.attrs[k].u.g, p, ctx));
    LMN_TRY(p->run(g, ctx));
    lmn_graph_compact(g);
    lmn_assert(lmn_graph_verify(g, NULL) == LAMINA_OK);
    return LAMINA_OK;
}

lamina_status lmn_passes_run(lmn_graph *g, lmn_pass_ctx *ctx)
{
    for (const lmn_pass *p = lmn_passes; p->name; p++) {
        LMN_TRY(run_deep(g, p, ctx));
        if (ctx->ran) ctx->ran(ctx->arg, p->name);
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_run(lmn_graph *g, const char *name, lmn_pass_ctx *ctx)
{
    for (const lmn_pass *p = lmn_passes; p->name; p++)
        if (strcmp(p->name, name) == 0) return run_deep(g, p, ctx);
    return LAMINA_E_INVALID;
}
