/*
 * Packed weights to f32: one row of n values, 4 bits (two a byte, the low half first) or 8 bits
 * each, with a scale and zero point a block of `block` columns, a multiple of 16:
 *
 *   dst[i] = ((float)q[i] - zp[i / block]) * scale[i / block]
 *
 * Two f32 operations, each rounded: all rows give the same bits. Of q exactly the bytes of n values
 * are read, of dst exactly n values written.
 *
 * And products of f32 rows with such weights, widened in registers where they lie. Sixteen chains
 * of fma a result: chain l takes element l of either half of every 32 columns, the first half
 * first; with 4 bits halves are even and odd columns, else the first and the last 16. Then chains l
 * and l + 8 are added up, of these l and l + 4, and so on: all rows give the same bits here, too.
 */
#ifndef LMN_KERNELS_NBITS_H
#define LMN_KERNELS_NBITS_H

#include "kernels/nbits/nbdot.h"

typedef void lmn_nbits_expand_fn(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                 const float *scale, const float *zp);

typedef struct lmn_nbits_block {
    lmn_nbdot_weights w; /* as of nbdot; columns are whole groups of 32 */
    const float *zp_f32; /* n_blocks a row, instead of w.zp; NULL = none */
    const float *a;      /* rows of halves after each other, see lmn_nbits_halves */
    int64_t a_step;      /* floats */
    int64_t m, n, groups;
    const float *bias; /* one a row of weights; NULL = none */
    float *y;          /* y[i * ldy + j] */
    int64_t ldy;
} lmn_nbits_block;

typedef void lmn_nbits_mul_fn(const lmn_nbits_block *b);

typedef struct lmn_nbits_row {
    lmn_krow head;
    lmn_nbits_expand_fn *expand4, *expand8;
    lmn_nbits_mul_fn *mul;
    int32_t mul_m; /* more rows of a than these are better off with widened weights */
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

/* A row of `groups` times 32 columns in the order that mul takes for 4 bits. */
static inline void lmn_nbits_halves(float *dst, const float *x, int64_t groups)
{
    for (int64_t g = 0; g < groups; g++, dst += 32, x += 32)
        for (int64_t i = 0; i < 16; i++) dst[i] = x[2 * i], dst[16 + i] = x[2 * i + 1];
}

static inline float lmn_nbits_zp_at(const lmn_nbits_block *b, int64_t j, int64_t block)
{
    if (b->zp_f32) return b->zp_f32[j * b->w.n_blocks + block];
    if (b->w.zp) return (float)lmn_nbdot_zp_at(b->w.zp + j * b->w.zp_bytes, b->w.bits, block);
    return (float)(1 << (b->w.bits - 1));
}

#endif
