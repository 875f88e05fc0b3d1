/*
 * Images of a batch, a few at a time: stretches of steps whose operators take every image by itself
 * (LMN_OP_IMAGES). Where what lies between their steps is more than the caches hold, a run takes
 * the first images through the whole stretch, then the next ones, and what lies between has the
 * memory of these alone. Shapes and the number of threads decide; the bits are those of all at
 * once.
 */
#ifndef LMN_GRAPH_SLICES_H
#define LMN_GRAPH_SLICES_H

#include "graph/graph.h"

/* A value with all images that the stretch reads or makes a few of at a time. */
typedef struct lmn_slice_value {
    lmn_vid v;
    uint32_t out;       /* of one that is made: its number among the outputs of all steps */
    size_t image_bytes; /* of one image, a multiple of 64 */
} lmn_slice_value;

/* Steps first..last, `at_once` of n_images at a time. */
typedef struct lmn_slice {
    uint32_t first, last, n_in, n_out;
    int64_t n_images, at_once;
    const lmn_slice_value *in, *out; /* made before, read by others behind */
} lmn_slice;

typedef struct lmn_slices {
    const lmn_slice *all; /* in order of `first` */
    size_t n;
} lmn_slices;

typedef struct lmn_slices_in {
    const lmn_graph *g;
    const lmn_fact *facts; /* concrete where they are known */
    const bool *skip;      /* per node: does not run */
    lamina_tensor *const *known;
    uint32_t n_threads;
    uint64_t least_bytes; /* of what a step reads and writes of all images, to be worth it */
    uint64_t part_bytes;  /* of what it does at once, if that takes several images, a thread */
} lmn_slices_in;

/* The stretches worth it; `out` is lent by keep. */
lamina_status lmn_slices_find(const lmn_slices_in *in, lmn_arena *tmp, lmn_arena *keep,
                              lmn_slices *out);
/* Facts of what lies within stretches become those of `at_once` images. */
void lmn_slices_thin(const lmn_slices_in *in, const lmn_slices *s, lmn_fact *facts);

#endif
