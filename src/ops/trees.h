/*
 * Decision forests: one flat form for TreeEnsemble (opset 5) and the older regressor and
 * classifier.
 *
 * Invariants once built: every child and root is a node index, or ~leaf for a leaf; all indices are
 * in range; votes of leaf l are vote[leaf_first[l]] .. vote[leaf_first[l + 1]], their targets in
 * [0, targets). Cycles in a bad file are caught by the walk, which takes at most n_nodes steps.
 */
#ifndef LMN_OPS_TREES_H
#define LMN_OPS_TREES_H

#include "ops/ml.h"

enum {
    LMN_TREE_LEQ,
    LMN_TREE_LT,
    LMN_TREE_GTE,
    LMN_TREE_GT,
    LMN_TREE_EQ,
    LMN_TREE_NEQ,
    LMN_TREE_MEMBER,
    LMN_TREE_LEAF
};
enum { LMN_TREE_AVERAGE, LMN_TREE_SUM, LMN_TREE_MIN, LMN_TREE_MAX };

typedef struct lmn_tree_node {
    double split;
    int32_t feature, yes, no;
    int32_t set_first, set_count; /* LMN_TREE_MEMBER */
    uint8_t mode;
    bool missing_yes; /* NaN goes the true way */
} lmn_tree_node;

typedef struct lmn_tree_vote {
    int64_t target;
    double weight;
} lmn_tree_vote;

/* What a forest and its grove (grove.h) both say. */
typedef struct lmn_forest_info {
    int64_t n_roots, targets, features; /* features: most a node asks for, plus 1 */
    const double *base;                 /* `targets` values added at the end, or NULL */
    int64_t only_target;                /* the one all votes are for, or -1 */
    int32_t aggregate;
    bool positive; /* no weight below zero */
} lmn_forest_info;

typedef struct lmn_forest {
    lmn_forest_info info;
    int64_t n_nodes, n_leaves;
    lmn_tree_node *nodes;
    int32_t *roots, *leaf_first;
    lmn_tree_vote *votes;
    const double *members;
} lmn_forest;

typedef struct lmn_grove lmn_grove;

/* ---- building -----------------------------------------------------------------------------------
 */

/* From nodes_* of the old form with votes from <prefix>_treeids, _nodeids, _ids, _weights. */
lamina_status lmn_forest_old(lmn_eval *ec, const char *prefix, int64_t targets, lmn_forest *f);
/* From the attributes of TreeEnsemble 5. */
lamina_status lmn_forest_new(lmn_eval *ec, lmn_forest *f);
/* The forests of the three operators. */
lamina_status lmn_tree_ensemble_forest(lmn_eval *ec, lmn_forest *f);
lamina_status lmn_tree_regressor_forest(lmn_eval *ec, lmn_forest *f);
lamina_status lmn_tree_classifier_forest(lmn_eval *ec, lmn_forest *f);

/* ---- evaluation ---------------------------------------------------------------------------------
 */

/* Evaluation of the three operators, by a grove made of their forest before or by the forest. */
lamina_status lmn_tree_ensemble_eval(lmn_eval *ec, const lmn_grove *g);
lamina_status lmn_tree_regressor_eval(lmn_eval *ec, const lmn_grove *g);
lamina_status lmn_tree_classifier_eval(lmn_eval *ec, const lmn_grove *g);

/* Takes the scores of a row; hit[t] tells whether any leaf voted for t. Called from many threads.
 */
typedef void lmn_tree_take(void *arg, int64_t row, double *score, const bool *hit);
/* Scores of every row of input 0, [rows, features]: by g if it is not NULL, else by f. */
lamina_status lmn_forest_rows(lmn_eval *ec, const lmn_forest *f, const lmn_grove *g,
                              lmn_tree_take *take, void *arg);

/* One vote into the scores of a row, which start as zeros; then the end of the row. */
static inline void lmn_forest_vote(const lmn_forest_info *f, const lmn_tree_vote *v, double *score,
                                   bool *hit)
{
    double *s = &score[v->target];
    const bool first = !hit[v->target];
    if (f->aggregate == LMN_TREE_MIN)
        *s = first || v->weight < *s ? v->weight : *s;
    else if (f->aggregate == LMN_TREE_MAX)
        *s = first || v->weight > *s ? v->weight : *s;
    else
        *s += v->weight;
    hit[v->target] = true;
}
static inline void lmn_forest_finish(const lmn_forest_info *f, double *score)
{
    for (int64_t t = 0; t < f->targets; t++) {
        if (f->aggregate == LMN_TREE_AVERAGE && f->n_roots > 0) score[t] /= (double)f->n_roots;
        if (f->base) score[t] += f->base[t];
    }
}

/* Attributes of the old form, without the votes. */
#define LMN_FOREST_ATTRS                                                                          \
    {"base_values", LMN_ATTR_FLOATS, 0}, {"base_values_as_tensor", LMN_ATTR_TENSOR, 0},           \
        {"nodes_falsenodeids", LMN_ATTR_INTS, 0}, {"nodes_featureids", LMN_ATTR_INTS, 0},         \
        {"nodes_hitrates", LMN_ATTR_FLOATS, 0}, {"nodes_hitrates_as_tensor", LMN_ATTR_TENSOR, 0}, \
        {"nodes_missing_value_tracks_true", LMN_ATTR_INTS, 0},                                    \
        {"nodes_modes", LMN_ATTR_STRINGS, 0}, {"nodes_nodeids", LMN_ATTR_INTS, 0},                \
        {"nodes_treeids", LMN_ATTR_INTS, 0}, {"nodes_truenodeids", LMN_ATTR_INTS, 0},             \
        {"nodes_values", LMN_ATTR_FLOATS, 0}, {"nodes_values_as_tensor", LMN_ATTR_TENSOR, 0},     \
    {                                                                                             \
        "post_transform", LMN_ATTR_STRING, 0                                                      \
    }

#endif
