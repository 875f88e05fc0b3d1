/*
 * Passes: graph-to-graph rewrites, one file each, listed in pass_list.h in the order they run. A
 * pass keeps the invariants of graph.h and the meaning of the graph; lmn_passes_run verifies and
 * compacts after each.
 */
#ifndef LMN_GRAPH_PASS_H
#define LMN_GRAPH_PASS_H

#include "graph/graph.h"

typedef struct lmn_pass_ctx {
    const lmn_par *par;                       /* for folding; may be NULL */
    uint64_t max_const_bytes;                 /* largest value folding may make */
    uint64_t folded_bytes;                    /* so far, against 4x that bound in total */
    uint32_t n_changed;                       /* rewrites made by the pass that runs */
    void (*ran)(void *arg, const char *pass); /* NULL, or told after every pass */
    void *arg;
    bool short_images; /* convolutions and products of f32 may hand on bf16, and gain by it */
    bool fold_weights; /* set by `qdq`: quantised weights that are left may become floats */
} lmn_pass_ctx;

typedef struct lmn_pass {
    const char *name;
    lamina_status (*run)(lmn_graph *g, lmn_pass_ctx *ctx);
} lmn_pass;

/* All passes in order, NULL name ends. */
extern const lmn_pass lmn_passes[];
/* Run every pass over g and, where a pass asks for it, its subgraphs. */
lamina_status lmn_passes_run(lmn_graph *g, lmn_pass_ctx *ctx);
/* Run one by name (tests, `lamina` debugging); E_INVALID if unknown. */
lamina_status lmn_pass_run(lmn_graph *g, const char *name, lmn_pass_ctx *ctx);

#endif
