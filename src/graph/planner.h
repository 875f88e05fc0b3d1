/*
 * The memory planner: which values of a graph may live in one block of memory, and where. Pure: it
 * looks at a graph and at facts with concrete shapes and allocates nothing but from an arena.
 *
 * Two steps. Lifetimes: every value whose size is known gets a storage, views share the storage of
 * what they look at, an elementwise result takes over an input that dies with it, and what Concat
 * joins or Split cuts lies in the whole where it is one run of bytes there. Placement: storages
 * whose lifetimes meet never overlap.
 */
#ifndef LMN_GRAPH_PLANNER_H
#define LMN_GRAPH_PLANNER_H

#include "graph/graph.h"
#include "graph/slices.h"

/* Bytes from `at` on, in use from step `first` to step `last`, both included. */
typedef struct lmn_storage {
    uint64_t bytes, at;
    uint32_t first, last;
} lmn_storage;

/*
 * Fill `at` of n storages; *total is where the last one ends. Takes the better of two orders: by
 * time and, up to LMN_PLANNER_SORTED storages, by size. The result depends on the input alone.
 * Storages come in order of `first`. E_NOMEM also when offsets would not fit 63 bits.
 */
#define LMN_PLANNER_SORTED 1024
lamina_status lmn_planner_place(lmn_storage *s, size_t n, lmn_arena *tmp, uint64_t *total);

/* What is asked about a graph; all tables have n_values or n_nodes entries. */
typedef struct lmn_lifetimes_in {
    const lmn_graph *g;
    const lmn_fact *facts;
    const bool *skip;         /* per node: does not run */
    const bool *off_arena;    /* per value: lives elsewhere (inputs, constants, known values) */
    const lmn_slices *slices; /* stretches that run several times, facts thinned; NULL: none */
} lmn_lifetimes_in;
typedef struct lmn_lifetimes {
    lmn_storage *storages;
    size_t n;
    int64_t *of; /* per value: index of its storage, -1 = none; a view has none of its own */
    uint64_t *within, *bytes; /* per value that has one: where in it, and how many bytes are its */
} lmn_lifetimes;

/* Everything in `out` is lent by tmp. Graph outputs and what they look at get no storage. */
lamina_status lmn_planner_lifetimes(const lmn_lifetimes_in *in, lmn_arena *tmp, lmn_lifetimes *out);

#endif
