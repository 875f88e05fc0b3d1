/*
 * Reverse-mode differentiation over the nodes of a graph: what the Gradient operator stands for.
 */
#ifndef LMN_GRAPH_GRADIENT_H
#define LMN_GRAPH_GRADIENT_H

#include "graph/graph.h"

typedef struct lmn_gradient_of {
    lmn_vid y;
    const lmn_vid *x; /* n_x */
    int32_t n_x;
    lmn_vid *dx; /* n_x: filled */
} lmn_gradient_of;

/*
 * Append nodes that compute dx[i] = d sum(y) / d x[i], each a value of its own, through `b`.
 * E_UNSUPPORTED, with a sentence in diags, when an operator between x and y has no rule
 * (ops/grad.h).
 */
lamina_status lmn_graph_gradient(lmn_graph *g, const lmn_builder *b, const lmn_gradient_of *of,
                                 lmn_diags *diags, lmn_diag_at at);

#endif
