/*
 * Random operators: numbers are Philox, keyed by the seed (attribute `seed` of the node, else the
 * seed of the run), the node's id and the element, so that a result never depends on threads or
 * order.
 */
#ifndef LMN_OPS_RANDOM_H
#define LMN_OPS_RANDOM_H

#include "base/rng.h"
#include "ops/shapes.h"

/* Generator of a node: the float (or int) attribute seed, else ec->seed. */
void lmn_random_begin(const lmn_eval *ec, lmn_rng *r);
/* Output 0 of the given shape filled with mean + scale * normal, or uniform in [low, high). */
lamina_status lmn_random_normal(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims);
lamina_status lmn_random_uniform(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims);
/* Shape of attribute `shape` (RandomNormal, RandomUniform): facts, data. */
lamina_status lmn_random_infer_shape(lmn_infer *ic);
lamina_status lmn_random_shape(lmn_eval *ec, int32_t *rank, int64_t *dims);
/* Facts of the Like forms: shape of the input, attribute dtype or, when it is a float, its type. */
lamina_status lmn_random_infer_like(lmn_infer *ic);
lamina_dtype lmn_random_like_dtype(const lmn_opnode *n, lamina_dtype in);

#endif
