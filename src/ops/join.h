/*
 * Joining and cutting along an axis: what Concat, ConcatFromSequence, Split, SplitToSequence and
 * the scan outputs of Loop and Scan share.
 */
#ifndef LMN_OPS_JOIN_H
#define LMN_OPS_JOIN_H

#include "ops/move.h"
#include "ops/shapes.h"

/* Output o = the n tensors joined along `axis`; with new_axis a fresh axis is inserted there first.
   All must be of one type and agree off the axis. n >= 1. */
lamina_status lmn_join(lmn_eval *ec, int32_t o, lamina_tensor *const *x, int64_t n, int64_t axis,
                       bool new_axis);

/* A cut of a tensor: elements [first, first + count) of `axis`. */
typedef struct lmn_cut {
    int32_t axis;
    int64_t first, count;
} lmn_cut;
/* Copy the cut of plain elements `in` with extents dims (rank) densely to dst. */
void lmn_cut_copy(lmn_eval *ec, const lmn_plain *in, int32_t rank, const int64_t *dims, lmn_cut cut,
                  uint8_t *dst);
/* What cuts come from: x and its plain elements. With `squeeze` the cut axis (count 1) is dropped.
 */
typedef struct lmn_cutter {
    const lamina_tensor *x;
    lmn_plain in;
    bool squeeze;
} lmn_cutter;
/* The cut as a heap tensor of its own: *out is a ref of the caller on success. */
lamina_status lmn_cut_tensor(lmn_eval *ec, const lmn_cutter *c, lmn_cut cut, lamina_tensor **out);

#endif
