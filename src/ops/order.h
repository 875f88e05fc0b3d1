/*
 * Ordering of elements and slices of any type, and a stable index sort: for operators that must
 * find equal things. NaN is equal to NaN and greater than every number, as in numpy.
 */
#ifndef LMN_OPS_ORDER_H
#define LMN_OPS_ORDER_H

#include "ops/op.h"

/* Items to compare: item i is the `outer` runs of `inner` elements at place i of an axis of
 * `extent`. */
typedef struct lmn_order {
    const double *real;  /* floats widened; complex: two an element */
    const int64_t *ints; /* integers widened */
    const lmn_str *str;
    bool is_unsigned; /* ints are uint64 bit patterns */
    int32_t parts;    /* doubles an element */
    int64_t outer, extent, inner;
} lmn_order;

/* Prepare the keys of x in scratch; outer, extent and inner are set by the caller afterwards. */
lamina_status lmn_order_make(lmn_eval *ec, const lamina_tensor *x, lmn_order *o);
/* < 0, 0, > 0. */
int lmn_order_compare(const lmn_order *o, int64_t a, int64_t b);
/* idx = 0..n-1 sorted, equal items in their original order; tmp has room for n. */
void lmn_order_sort(const lmn_order *o, int64_t *idx, int64_t *tmp, int64_t n);

#endif
