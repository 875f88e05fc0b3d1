/*
 * What the quantisation operators share: where the scale of an element lies (per tensor, per axis,
 * per block), zero points taken off, and results rounded half to even and saturated.
 */
#ifndef LMN_OPS_QUANT_H
#define LMN_OPS_QUANT_H

#include "ops/spread.h"

/* t minus its zero point (NULL = none) as f64, exact. */
lamina_status lmn_quant_centred(lmn_eval *ec, const lamina_tensor *t, const lamina_tensor *zp,
                                int32_t axis, const double **out);
/* The single element of input i. */
lamina_status lmn_quant_scalar(lmn_eval *ec, int32_t i, double *out);
/* v = saturate(round_half_even(v * mul) + zp) for integer types; v * mul + zp for the others. */
void lmn_quant_requant(lamina_dtype dt, double *v, int64_t n, double mul, double zp);
/* The same of exact integer sums: each is taken modulo 2^32 and multiplied in f32, as engines do it
   and the kernels in devices too, so that both give the same bits. */
void lmn_quant_requant_sums(lamina_dtype dt, double *v, int64_t n, float mul, double zp);
/* Exact integer sums into int32, wrapping. */
void lmn_quant_store_i32(lamina_tensor *y, const double *acc);

/* Scale positions of QuantizeLinear and DequantizeLinear: x seen as [outer, dim, inner]. */
typedef struct lmn_quant_map {
    int64_t outer, dim, inner, block;
    int32_t mode; /* 0 per tensor, 1 per axis, 2 blocked */
} lmn_quant_map;
lamina_status lmn_quant_map_init(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *scale,
                                 lmn_quant_map *m);
static inline int64_t lmn_quant_map_at(const lmn_quant_map *m, int64_t o, int64_t a, int64_t i)
{
    if (m->mode == 0) return 0;
    if (m->mode == 1) return a;
    return (o * ((m->dim + m->block - 1) / m->block) + a / m->block) * m->inner + i;
}
/* Shared inference: output 0 has the shape of input 0, scale and zero point fit it. */
lamina_status lmn_quant_infer_shape(lmn_infer *ic);

#endif
