/*
 * Mixtures of experts: every token goes through the k experts that its router row rates highest,
 * two products with an activation between, and the results are added with the router's weights.
 *
 * Weights come row by row as f32, whatever they are stored as; row e * rows + r is row r of expert
 * e. Experts run one after the other over all their tokens, so every weight is widened once.
 */
#ifndef LMN_OPS_MOE_H
#define LMN_OPS_MOE_H

#include "ops/packbits.h"

typedef struct lmn_moe_layer {
    lmn_weight_row_fn *row;
    const void *ctx;
    int64_t rows, cols;        /* of one expert */
    const lamina_tensor *bias; /* [experts, rows] or NULL */
} lmn_moe_layer;

typedef struct lmn_moe {
    lmn_moe_layer fc1, fc2, fc3; /* fc3.row NULL = none; it multiplies the activated fc1 */
    const lamina_tensor *mix; /* router_weights: what the chosen experts are added with, or NULL */
    bool among_chosen;        /* the router's softmax is always that of the chosen experts */
} lmn_moe;

/* Shapes of input 0, router and layers, then the run into output 0. */
lamina_status lmn_moe_run(lmn_eval *ec, lmn_moe *m);
/* Output 0 like input 0; the attributes that do not depend on the weights. */
lamina_status lmn_moe_infer(lmn_infer *ic);
void lmn_moe_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c);

#define LMN_MOE_ATTRS                                                                       \
    {"activation_alpha", LMN_ATTR_FLOAT, 0}, {"activation_beta", LMN_ATTR_FLOAT, 0},        \
        {"activation_type", LMN_ATTR_STRING, 0}, {"k", LMN_ATTR_INT, 0},                    \
        {"normalize_routing_weights", LMN_ATTR_INT, 0}, {"swiglu_fusion", LMN_ATTR_INT, 0}, \
        {"swiglu_limit", LMN_ATTR_FLOAT, 0},                                                \
    {                                                                                       \
        "use_sparse_mixer", LMN_ATTR_INT, 0                                                 \
    }

#endif
