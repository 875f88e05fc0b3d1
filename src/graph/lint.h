/*
 * Lints: what runs, but costs time, memory or portability, and what to do about it. They look at a
 * graph as it was imported, before any pass, and change nothing. Each has an id that stays; of one
 * kind the first LMN_LINT_EACH are told and the others counted.
 *
 * Found here: qdq-zero-point, vector-for-scalar, cast-island, unplanned-size, duplicate-constant,
 * unused-constant. Readers of files add those that only they can see (old-opset, ...).
 */
#ifndef LMN_GRAPH_LINT_H
#define LMN_GRAPH_LINT_H

#include "graph/graph.h"

#define LMN_LINT_EACH 16

/* All of them over g and its subgraphs. Fails with E_NOMEM only. */
lamina_status lmn_graph_lint(const lmn_graph *g, lmn_diags *diags);

/* ---- for the lints themselves ------------------------------------------------------------------
 */

typedef struct lmn_lint {
    const lmn_graph *g;
    lmn_diags *diags;
    lmn_arena tmp;
    uint32_t *first;  /* per value: where its readers begin in `reader`; n_values + 1 */
    uint32_t *reader; /* node indices; a graph output is no reader */
    const char *id;   /* of the lint that runs */
    size_t n_told;
} lmn_lint;

/* Tell one about a node, or about the model (n NULL). */
LMN_PRINTF(4, 5)
void lmn_lint_say(lmn_lint *l, const lmn_gnode *n, const char *fix, const char *fmt, ...);
static inline uint32_t lmn_lint_readers(const lmn_lint *l, lmn_vid v, const uint32_t **nodes)
{
    *nodes = l->reader + l->first[v];
    return l->first[v + 1] - l->first[v];
}
/* A constant that nobody can override, NULL otherwise. */
static inline const lamina_tensor *lmn_lint_const(const lmn_lint *l, lmn_vid v)
{
    const lmn_value *x = &l->g->values[v];
    return v && !x->is_input ? x->constant : NULL;
}
bool lmn_lint_is(const lmn_gnode *n, const char *op); /* of the default domain */

/* The lints (lint_nodes.c, lint_flow.c, lint_values.c). */
void lmn_lint_zero_point(lmn_lint *l);
void lmn_lint_scalar(lmn_lint *l);
void lmn_lint_cast_island(lmn_lint *l);
void lmn_lint_size(lmn_lint *l);
void lmn_lint_duplicate(lmn_lint *l);
void lmn_lint_unused(lmn_lint *l);

#endif
