/*
 * Packed weights to f32: one row of n values, 4 bits (two a byte, the low half first) or 8 bits
 * each, with a scale and zero point a block of `block` columns, a multiple of 16:
 *
 *   dst[i] = ((float)q[i] - zp[i / block]) * scale[i / block]
 *
 * Two f32 operations, each rounded: all rows give the same bits. Of q exactly the bytes of n values
 * are read, of dst exactly n values written.
 */
#ifndef LMN_KERNELS_NBITS_H
#define LMN_KERNELS_NBITS_H

#include "kernels/krow.h"

typedef void lmn_nbits_expand_fn(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                 const float *scale, const float *zp);

typedef struct lmn_nbits_row {
    lmn_krow head;
    lmn_nbits_expand_fn *expand4, *expand8;
} lmn_nbits_row;

extern const lmn_nbits_row lmn_nbits_f32_rows[];
extern const int32_t lmn_nbits_f32_n_rows;

/* Columns [i, n) one by one: the reference, and the tails of the others. */
static inline void lmn_nbits_tail4(float *dst, const uint8_t *q, int64_t i, int64_t n,
                                   int64_t block, const float *scale, const float *zp)
{
    for (; i < n; i++) {
        const int v = (q[i / 2] >> (i % 2 * 4)) & 15;
        dst[i] = ((float)v - zp[i / block]) * scale[i / block];
    }
}
static inline void lmn_nbits_tail8(float *dst, const uint8_t *q, int64_t i, int64_t n,
                                   int64_t block, const float *scale, const float *zp)
{
    for (; i < n; i++) dst[i] = ((float)q[i] - zp[i / block]) * scale[i / block];
}

#endif
