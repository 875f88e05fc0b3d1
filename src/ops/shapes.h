/*
 * Shapes: what movement, window and control operators share when they read axes, extents and
 * integer inputs, in inference (facts) and at run time (data), and when they put a shape on an
 * output.
 *
 * Run-time readers check rank, type and length, so that hostile inputs end in a sentence.
 */
#ifndef LMN_OPS_SHAPES_H
#define LMN_OPS_SHAPES_H

#include "ops/op.h"

/* Longest integer input (axes, pads, starts) a movement operator reads. */
#define LMN_INTS_MAX (2 * LMN_MAX_RANK)

/* ---- inference ----------------------------------------------------------------------------------
 */

/* Rank of input i, -1 = unknown or absent. */
static inline int32_t lmn_infer_rank(const lmn_infer *ic, int32_t i)
{
    return lmn_infer_has(ic, i) && ic->in[i]->kind == LMN_FACT_TENSOR ? ic->in[i]->rank : -1;
}
/* Output o becomes a tensor of `rank` (-1 allowed) unknown dims; its dtype stays. Fails past
   LMN_MAX_RANK. *f may be NULL. */
lamina_status lmn_infer_shape(lmn_infer *ic, int32_t o, int32_t rank, lmn_fact **f);
/* Output o is a tensor with the known dtype dt and otherwise as lmn_infer_shape. */
lamina_status lmn_infer_typed(lmn_infer *ic, int32_t o, lamina_dtype dt, int32_t rank,
                              lmn_fact **f);
/* Length of the rank-1 input i if it is a constant, else -1. */
int64_t lmn_infer_length(const lmn_infer *ic, int32_t i);
/* Product(a) / product(b), equal factors cancelled first. */
lmn_dim lmn_dim_quotient(lmn_dim_pool *p, const lmn_dim *a, int32_t na, const lmn_dim *b,
                         int32_t nb);
/* Axes in input i (absent: *n = 0) as a bit mask over `rank`; *known = false if the data are not.
 */
lamina_status lmn_infer_axes(lmn_infer *ic, int32_t i, int32_t rank, uint32_t *mask, bool *known);
/* Element type attribute `name`, or dt if absent. */
lamina_dtype lmn_attr_dtype(const lmn_opnode *n, const char *name, lamina_dtype dt);

/* Join: *f keeps only what holds for both (two branches, two turns of a loop). */
void lmn_fact_widen(lmn_fact *f, const lmn_fact *other);

/* ---- evaluation ---------------------------------------------------------------------------------
 */

/* Axis normalised into [0, rank). */
lamina_status lmn_axis(lmn_eval *ec, int64_t axis, int32_t rank, int32_t *out);
/* Input i, integers of rank 0 or 1, at most cap of them. Absent: *n = 0. */
lamina_status lmn_ints(lmn_eval *ec, int32_t i, int64_t *out, int32_t cap, int32_t *n);
/* Input i, one integer (a tensor of one element); def if absent. */
lamina_status lmn_int(lmn_eval *ec, int32_t i, int64_t def, int64_t *out);
/* Input i, axes as a bit mask over `rank`; duplicates refused; absent: 0. */
lamina_status lmn_axes(lmn_eval *ec, int32_t i, int32_t rank, uint32_t *mask);
/* Required input i as a dense tensor: E_INVALID with a sentence when it is absent or no tensor. */
lamina_status lmn_need(lmn_eval *ec, int32_t i, const lamina_tensor **t);
/* Refuse outputs a small model could blow up to: past the container's memory limit, or 16 GiB. */
lamina_status lmn_check_grown(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims);
/* Product of dims[from..to). */
int64_t lmn_span_count(const int64_t *dims, int32_t from, int32_t to);

#endif
