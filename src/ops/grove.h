/*
 * A grove: a decision forest prepared once for many rows of f32 features. It says exactly what its
 * lmn_forest says (trees.h): scores are equal bit for bit.
 *
 * Invariants: the two children of a node are neighbours, kids and kids + 1, the first taken where
 * x <= split; a leaf is its own child with split +infinity, so a walk of `depth` steps needs no
 * test. Indices are in range and trees have no cycles: lmn_grove_build refuses what does not fit.
 */
#ifndef LMN_OPS_GROVE_H
#define LMN_OPS_GROVE_H

#include "ops/trees.h"

#define LMN_GROVE_ROWS 32 /* rows of one call */
#define LMN_GROVE_NAN_FIRST 0x80000000u

typedef struct lmn_grove_node {
    float split;
    uint32_t feature; /* with LMN_GROVE_NAN_FIRST: NaN takes the first child */
    int32_t kids;
} lmn_grove_node;

struct lmn_grove {
    lmn_forest_info info;
    int64_t n_nodes, n_votes;
    lmn_grove_node *nodes;
    int32_t *roots, *depth; /* of each tree */
    int32_t *first;         /* votes of node i: first[i] .. first[i + 1] */
    lmn_tree_vote *votes;
};

/* False: the forest is not of this form (equality and set tests, splits that are no f32, shared
 * nodes) or memory ran out. The arrays are the context's scratch. */
bool lmn_grove_build(lmn_eval *ec, const lmn_forest *f, lmn_grove *g);
/* Bytes of all arrays, and a copy with its arrays in `block` of that size, 64-byte aligned. */
size_t lmn_grove_bytes(const lmn_grove *g);
void lmn_grove_copy(const lmn_grove *g, void *block, lmn_grove *out);

/* Scores and hits [rows, targets] of at most LMN_GROVE_ROWS rows; cols >= info.features. `work` has
 * LMN_GROVE_ROWS * cols floats. */
void lmn_grove_scores(const lmn_grove *g, const float *x, int64_t rows, int64_t cols, float *work,
                      double *score, bool *hit);

#endif
