/*
 * What a view holds: the graphs of a model numbered through, the facts of their values after
 * inference with the dimensions given, and totals.
 *
 * Invariants: node i of graph g has number graphs[g].first_node + i, value v (v > 0) has number
 * graphs[g].first_value + v - 1. Names are lent by the graph, which the model or session keeps.
 */
#ifndef LMN_API_API_VIEW_H
#define LMN_API_API_VIEW_H

#include "graph/model.h"
#include "lamina/view.h"
#include "runtime/exec.h"

typedef struct view_graph {
    const lmn_graph *g;
    const lmn_exec *x; /* of a session's main graph, else NULL */
    int64_t parent;
    const char *attr;
    uint64_t first_node, first_value;
    lmn_fact *facts;    /* g->n_values, after inference */
    lmn_dim_pool *dims; /* that the facts speak of; borrowed */
    int32_t n_caps;
} view_graph;

typedef struct view_symbol {
    const char *name;
    int64_t value; /* -1 = free */
} view_symbol;

struct lamina_view {
    lamina_engine *engine;
    lamina_model *model;           /* ref held */
    const lamina_session *session; /* borrowed, or NULL */
    lmn_arena mem;
    lmn_dim_pool *dims; /* of the main graph's facts */
    view_graph *graphs;
    size_t n_graphs, cap_graphs;
    view_symbol *symbols;
    size_t n_symbols;
    uint64_t n_nodes, n_values;
    lamina_view_stats stats;
};

/* The graph that holds node or value number i, its local number in *local; NULL past the end. */
const view_graph *lmn_view_of_node(const lamina_view *v, size_t i, size_t *local);
const view_graph *lmn_view_of_value(const lamina_view *v, size_t i, lmn_vid *local);
/* Cost of a node with the facts of its graph; false when a dimension behind it is not known. */
bool lmn_view_cost(const view_graph *vg, const lmn_gnode *n, lmn_cost *out);
/* Dense bytes of a value, 0 = not known. */
uint64_t lmn_view_bytes(const lmn_fact *f);

#endif
