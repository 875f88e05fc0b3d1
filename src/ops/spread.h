/*
 * A small parameter tensor (scale, bias, zero point) spread over the elements of a larger one.
 */
#ifndef LMN_OPS_SPREAD_H
#define LMN_OPS_SPREAD_H

#include "ops/op.h"

/* A parameter tensor spread over the elements of another: stride of each dim, 0 = same for all. */
typedef struct lmn_spread {
    int32_t rank;
    int64_t dims[LMN_MAX_RANK], strides[LMN_MAX_RANK];
} lmn_spread;
/* p is a scalar, a vector along `axis` (ignored if < 0), or of dims' rank with extents 1 or equal.
 */
lamina_status lmn_spread_init(lmn_eval *ec, int32_t rank, const int64_t *dims,
                              const lamina_tensor *p, int32_t axis, lmn_spread *out);
/* As numpy broadcasts: aligned from the right, extents 1 or equal. */
lamina_status lmn_spread_right(lmn_eval *ec, int32_t rank, const int64_t *dims,
                               const lamina_tensor *p, lmn_spread *out);
/* v[i] = op(v[i], p) over all elements: '-', '+' or '*'. */
lamina_status lmn_spread_apply(lmn_eval *ec, const lmn_spread *s, const lamina_tensor *p, char op,
                               double *v);

#endif
