/*
 * lamina/view.h - looking at a graph: nodes, values, edges, attributes, shapes, cost. A view is a
 * snapshot for reports and pictures; the model as it was loaded, or a session's graph as it runs.
 *
 * Nodes and values are numbered through all graphs of the model: graph 0 is the main graph, the
 * others are the subgraphs of If, Loop and Scan. Nodes of one graph stand in execution order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_VIEW_H
#define LAMINA_VIEW_H

#include "lamina/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A snapshot of a graph. Immutable, used from any thread. */
typedef struct lamina_view lamina_view;

/* Options of a view. Set `size`, leave the rest zero. Append only. */
typedef struct lamina_view_opts {
    size_t size; /* sizeof(lamina_view_opts) */
    /* "NAME=4" entries, borrowed until return: NAME is a symbol, or INPUT.AXIS for a dimension
     * without a name. Entries that fit nothing are E_INVALID. */
    const char *const *dims;
    size_t n_dims;
} lamina_view_opts;

/**
 * Look at a model: operators in canonical form, functions inlined, nothing optimised.
 *
 * @param model  borrowed; the view holds its own reference.
 * @param opts   borrowed until return; NULL = no dimension is given.
 * @param out    on success owned, released by lamina_view_destroy. On failure untouched.
 * @param err    borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID (NULL argument, an entry of dims); E_SHAPE and other statuses of
 *         inference (the dimensions given contradict the graph); E_NOMEM.
 *
 * Shapes:   inferred again with the dimensions given.     Units: elements.
 * Threads:  any.   Memory: tables as large as the graph.  Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_view_model(lamina_model *model,
                                                            const lamina_view_opts *opts,
                                                            lamina_view **out, lamina_error *err);

/**
 * Look at the graph of a session: after the passes, each node with its device and kernel.
 *
 * @param session  borrowed; must outlive the view.
 * @return as lamina_view_model.
 *
 * Threads: any.   Memory: as lamina_view_model.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_view_session(const lamina_session *session,
                                                              const lamina_view_opts *opts,
                                                              lamina_view **out, lamina_error *err);

/** Release a view; NULL does nothing. Threads: no other call on it may run. Since: 0.1 */
LAMINA_API void lamina_view_destroy(lamina_view *view);

/* Totals. A dimension that is not known counts as 1. */
typedef struct lamina_view_stats {
    size_t size; /* set by the caller */
    uint64_t n_graphs, n_nodes, n_values, n_symbols, n_opsets;
    uint64_t n_params;    /* elements of all constants */
    uint64_t param_bytes; /* of all constants */
    uint64_t peak_bytes;  /* most activation bytes alive at once in the main graph, in its order,
                             views not counted twice */
    double flops, bytes;  /* of one run of the main graph; bytes read and written by nodes */
    uint64_t n_inexact;   /* nodes of the main graph with a dimension that is not known */
} lamina_view_stats;

/** Read the totals. @return LAMINA_OK; E_INVALID. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_view_get_stats(const lamina_view *view,
                                                                lamina_view_stats *out);

/** Free dimension i of the inputs. @param value receives what was given, -1 = nothing. @return its
 * name, lent; NULL if out of range. Since: 0.1 */
LAMINA_API const char *lamina_view_symbol(const lamina_view *view, size_t i, int64_t *value);
/** Opset import i of the file. @param version receives its number. @return the domain, "" =
 * ai.onnx, lent; NULL if out of range. Since: 0.1 */
LAMINA_API const char *lamina_view_opset(const lamina_view *view, size_t i, int64_t *version);

/* One graph. Strings are lent until the view is gone, never NULL. */
typedef struct lamina_view_graph {
    size_t size; /* set by the caller */
    const char *name;
    int64_t parent;                /* node that holds it, -1 = main graph */
    const char *attr;              /* attribute of that node, "" for the main graph */
    uint64_t first_node, n_nodes;  /* its nodes */
    uint64_t n_inputs, n_outputs;  /* captured values included, after the formal inputs */
    uint64_t n_captures;           /* how many of the inputs are captured */
    uint64_t first_value, n_value; /* its values */
} lamina_view_graph;

/** Describe graph i. @return LAMINA_OK; E_RANGE. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_view_get_graph(const lamina_view *view, size_t i,
                                                                lamina_view_graph *out);
/** Input k of graph i. @return value number; -1 if out of range. Since: 0.1 */
LAMINA_API int64_t lamina_view_graph_input(const lamina_view *view, size_t i, size_t k);
/** Output k of graph i. @return value number; -1 if out of range. Since: 0.1 */
LAMINA_API int64_t lamina_view_graph_output(const lamina_view *view, size_t i, size_t k);

/* One node. Strings are lent until the view is gone, never NULL. */
typedef struct lamina_view_node {
    size_t size; /* set by the caller */
    const char *name, *op, *domain;
    int32_t opset; /* of its domain in the file */
    uint32_t graph;
    uint32_t n_inputs, n_outputs, n_attrs; /* absent inputs and captures counted */
    double flops, bytes;                   /* of one execution */
    bool exact;                            /* every dimension behind flops and bytes is known */
    const char *device, *kernel, *reason;  /* of a session's view; "" otherwise */
} lamina_view_node;

/** Describe node i. @return LAMINA_OK; E_RANGE. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_view_get_node(const lamina_view *view, size_t i,
                                                               lamina_view_node *out);
/** Input k of node i. @return value number; -1 if absent or out of range. Since: 0.1 */
LAMINA_API int64_t lamina_view_input(const lamina_view *view, size_t i, size_t k);
/** Output k of node i. @return value number; -1 if nobody wants it or out of range. Since: 0.1 */
LAMINA_API int64_t lamina_view_output(const lamina_view *view, size_t i, size_t k);
/**
 * Attribute k of node i as text: 3, "SAME_UPPER", [1,1], float32[3,3], graph.
 *
 * @param buf  receives the text, cut at cap bytes, zero included.
 * @return its name, lent; NULL if out of range.
 *
 * Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API const char *lamina_view_attr(const lamina_view *view, size_t i, size_t k, char *buf,
                                        size_t cap);

/* One value. Strings are lent until the view is gone, never NULL. */
typedef struct lamina_view_value {
    size_t size; /* set by the caller */
    const char *name;
    lamina_dtype dtype;
    int32_t rank;                  /* -1 = unknown */
    int64_t dims[LAMINA_MAX_RANK]; /* -1 = not known */
    bool constant;                 /* a weight or folded value */
    int64_t producer;              /* node, -1 = none */
    uint64_t bytes;                /* dense bytes; 0 = not known, or strings */
    char type[160];                /* "float32[N,3,224,224]", "seq(int64[?])", "?" */
} lamina_view_value;

/** Describe value i. @return LAMINA_OK; E_RANGE. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_view_get_value(const lamina_view *view, size_t i,
                                                                lamina_view_value *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_VIEW_H */
