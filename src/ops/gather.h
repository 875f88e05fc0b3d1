/*
 * Indices of the gather and scatter families: integers read with wrap-around of negative ones and a
 * bound, so that no index leaves its axis.
 */
#ifndef LMN_OPS_GATHER_H
#define LMN_OPS_GATHER_H

#include "ops/move.h"
#include "ops/shapes.h"

#define LMN_D_INDEX (LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))

/* Index i of an int32 or int64 tensor. */
static inline int64_t lmn_index_at(const lamina_tensor *t, int64_t i)
{
    return t->dtype == LAMINA_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
}
/* Wrap a negative index and check it: E_RANGE with a sentence. */
lamina_status lmn_index_wrap(lmn_eval *ec, int64_t v, int64_t extent, int64_t *out);
/* Required input i as int32 or int64 indices. */
lamina_status lmn_index_input(lmn_eval *ec, int32_t i, const lamina_tensor **t);

/* Items taken by indices along an axis of `extent`: item i lies index(i) * step + i * along units
   of `unit` bytes from a base. Indices are wrapped and checked on the way. */
typedef struct lmn_index_row {
    const lamina_tensor *idx;
    int64_t extent, step, along;
    size_t unit;
} lmn_index_row;

/* Item i of indices [first, first + n) to dst + i units, from `src` (take), or from src + i units
   to its place in `dst` (put). The result is n, or less where an index is outside: what then was
   moved is right, and lmn_index_all says which it is. */
int64_t lmn_index_take(const lmn_index_row *r, int64_t first, int64_t n, uint8_t *dst,
                       const uint8_t *src);
int64_t lmn_index_put(const lmn_index_row *r, int64_t first, int64_t n, uint8_t *dst,
                      const uint8_t *src);
/* E_RANGE for the first index that is outside. */
lamina_status lmn_index_all(lmn_eval *ec, const lamina_tensor *idx, int64_t extent);

/*
 * The addresses of GatherND and ScatterND: an [n_tuples, depth] matrix of indices into the axes
 * [batch, batch + depth) of data, each address the start of `slice` elements.
 */
typedef struct lmn_tuples {
    int32_t batch, depth;
    int64_t n_batch, per_batch; /* tuples: n_batch * per_batch */
    int64_t slice;              /* elements moved by a tuple */
    int64_t batch_stride;       /* elements of data between batches */
} lmn_tuples;
lamina_status lmn_tuples_make(lmn_eval *ec, const lamina_tensor *data, const lamina_tensor *idx,
                              int32_t batch, lmn_tuples *t);
/* Element offset in data of tuple i. */
lamina_status lmn_tuples_offset(lmn_eval *ec, const lmn_tuples *t, const lamina_tensor *data,
                                const lamina_tensor *idx, int64_t i, int64_t *out);
/* Cost of taking a part of input 0: what is not taken is not read. */
void lmn_gather_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                     lmn_cost *c);

#endif
