/*
 * FusedAttention (domain "lamina"): what a graph writes as MatMul, scale, mask, Softmax and MatMul,
 * in one node that reads and writes the heads where they lie:
 *
 *   y = transpose(softmax(where(keep, scale * q k', fill) + bias) v, perm_y)
 *
 * q, k, v are the inputs transposed by perm_q, perm_k and perm_v to [batch, head, row, column], or
 * [batch, row, column] at rank 3. Extents of 1 repeat as they do for MatMul, Where and Add; a key
 * head may also serve several query heads that stand together. f32, f16 or bf16; half precision
 * works on widened copies and rounds scores and results only, as a huge mask must swallow a score
 * where it does so apart.
 *
 * Unlike Attention of ai.onnx, a row whose scores are all -inf is NaN, as Softmax has it, or 0 with
 * zero_blind. Passes make these nodes, files may hold them too, so everything is checked here.
 */
#ifndef LMN_OPS_FUSEDATTN_H
#define LMN_OPS_FUSEDATTN_H

#include "ops/op.h"

/* An operand as [batch, head, row, column]; step 0 where an extent of 1 repeats. */
typedef struct lmn_fattn_view {
    const void *data; /* f32, bool for keep; NULL = absent */
    int64_t dims[4], step[4];
} lmn_fattn_view;

typedef struct lmn_fattn {
    int64_t batch, heads, queries, keys, d, dv;
    lmn_fattn_view q, k, v, bias, keep;
    int64_t k_group, v_group; /* query heads that share a key or value head */
    float scale, fill;
    bool keep_if;    /* the value of `keep` that keeps a score */
    bool zero_blind; /* weights that are NaN are 0 */
    lamina_dtype dt; /* what scores are rounded to */
    lamina_tensor *out;
    float *y;          /* the data of `out`, or what lmn_fattn_done rounds into it */
    int64_t y_step[4]; /* of batch, head, row, column */
} lmn_fattn;

/* Checks the node and its inputs and makes output 0; y is NULL when nobody wants it or it is
   empty. */
lamina_status lmn_fattn_read(lmn_eval *ec, lmn_fattn *f);
/* The result is in y. */
void lmn_fattn_done(const lmn_fattn *f);
/* n scores, rounded to the type of the operands. */
void lmn_fattn_round(const lmn_fattn *f, float *s, int64_t n);
/* A row of weights with NaN in it, and then in all of it, is 0. */
static inline bool lmn_fattn_is_blind(float first_weight)
{
    return first_weight != first_weight;
}

#endif
