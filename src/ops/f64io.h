/*
 * Wide arithmetic for reference evaluation: a tensor's elements as f64 in scratch, and back with
 * one rounding. For operators whose cost is far above one pass over their operands (recurrent,
 * attention, signal, losses). Not for strings or complex types; 64-bit integers lose bits above
 * 2^53.
 */
#ifndef LMN_OPS_F64IO_H
#define LMN_OPS_F64IO_H

#include "ops/op.h"

/* Elements first..first+n-1 of dense t into dst. The types must be whole bytes wide. */
static inline void lmn_f64_load(const lamina_tensor *t, int64_t first, int64_t n, double *dst)
{
    const uint8_t *p = (const uint8_t *)t->data + (size_t)first * lmn_dtype_bytes(t->dtype);
    if (n > 0) lmn_convert(LAMINA_F64, dst, t->dtype, p, n, false);
}
/* n values into elements first.. of dense t, rounded once. */
static inline void lmn_f64_store(lamina_tensor *t, int64_t first, int64_t n, const double *src)
{
    uint8_t *p = (uint8_t *)t->data + (size_t)first * lmn_dtype_bytes(t->dtype);
    if (n > 0) lmn_convert(t->dtype, p, LAMINA_F64, src, n, false);
}
/* Scratch for n values, n >= 0; *out is never NULL on success. */
lamina_status lmn_f64_alloc(lmn_eval *ec, int64_t n, double **out);
/* All elements of t as f64 in scratch. */
lamina_status lmn_f64_all(lmn_eval *ec, const lamina_tensor *t, double **out);
/* Integer scalar (one element, any integer type) of input i. */
lamina_status lmn_scalar_i64(lmn_eval *ec, int32_t i, int64_t *out);
/* Does t have this shape? -1 matches any extent. */
bool lmn_shape_is(const lamina_tensor *t, int32_t rank, const int64_t *dims);

#endif
