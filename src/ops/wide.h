/*
 * The wide road of reference evaluation: inputs of any numeric type become f64, the operator
 * computes in f64, and the result is rounded once into the output's type. Integers up to 2^53 pass
 * exactly, so the int8 forms use it too.
 */
#ifndef LMN_OPS_WIDE_H
#define LMN_OPS_WIDE_H

#include "ops/op.h"

/* Are all inputs there that the definition demands, as tensors of an allowed type, equal where one
   type variable binds them? Inference may have been blind, so every evaluation asks first. */
lamina_status lmn_eval_ready(lmn_eval *ec);

/* Elements of t as f64: t's own data if it is f64, else a converted scratch copy. */
lamina_status lmn_wide_in(lmn_eval *ec, const lamina_tensor *t, const double **out);
/* Writable f64 copy of t, always scratch. */
lamina_status lmn_wide_copy(lmn_eval *ec, const lamina_tensor *t, double **out);
/* Where to compute output t: its own data if it is f64, else scratch. */
lamina_status lmn_wide_out(lmn_eval *ec, lamina_tensor *t, double **out);
/* Round what lmn_wide_out gave into t. Nothing to do for f64. Out-of-range integers wrap. */
void lmn_wide_store(lamina_tensor *t, const double *w);
/* n elements of scratch, or NULL with the error told. */
void *lmn_wide_scratch(lmn_eval *ec, int64_t n, size_t elem_bytes);

/* Inclusive range of an integer type of at most 32 bits; false for other types. */
bool lmn_int_range(lamina_dtype dt, int64_t *lo, int64_t *hi);

/* Output o becomes a tensor of this rank with unknown dims, its type is kept. NULL if absent. */
lmn_fact *lmn_infer_ranked(lmn_infer *ic, int32_t o, int32_t rank);
/* Fact of input i if it is a tensor of known rank, else NULL. */
const lmn_fact *lmn_infer_shape_of(const lmn_infer *ic, int32_t i);
/* Fails with a sentence unless the rank of input i is unknown or within [lo, hi]. */
lamina_status lmn_infer_rank_in(lmn_infer *ic, int32_t i, int32_t lo, int32_t hi);
/* Unify two dims that must be equal; on contradiction fails naming both. */
lamina_status lmn_infer_equal(lmn_infer *ic, lmn_dim a, lmn_dim b, const char *what, lmn_dim *out);

/* Set a string attribute on a node under canonicalisation; `value` is a literal. */
bool lmn_canon_set_s(lmn_canon *c, const char *name, const char *value);

#endif
