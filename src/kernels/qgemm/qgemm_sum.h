/*
 * Bytes that others are added to before they leave: the sum that qmap's `pair` makes of them, bit
 * for bit, while they are in the caches. They lie dense in scratch first, so that C may be where
 * the others are.
 */
#ifndef LMN_KERNELS_QGEMM_SUM_H
#define LMN_KERNELS_QGEMM_SUM_H

#include "kernels/qmap/qmap.h"

typedef struct lmn_qgemm_sum {
    const lmn_qmap_row *row;
    lmn_qmap_pair pair; /* kind, flip, the sides, and b: the others, laid out as C, may be C */
} lmn_qgemm_sum;

/* C's m rows of n from element `at` on: `bytes`, n from row to row, and the others. */
static inline void lmn_qgemm_sum_out(const lmn_qgemm_sum *s, const uint8_t *bytes, int64_t m,
                                     int64_t n, uint8_t *c, int64_t at, int64_t ldc)
{
    const bool whole = n == ldc;
    lmn_qmap_pair p = s->pair;
    p.a = bytes, p.b += at, p.dst = c + at;
    p.rows = whole ? 1 : m, p.n = whole ? m * n : n;
    p.ld_a = n, p.ld_b = ldc, p.ld_dst = ldc;
    s->row->pair(&p);
}

/* Ask for what will be added to those bytes, while their sums are made. */
static inline void lmn_qgemm_sum_fetch(const lmn_qgemm_sum *s, int64_t m, int64_t n, int64_t at,
                                       int64_t ldc)
{
    enum { LINE = 64 };
    const uint8_t *b = s->pair.b + at;
    for (int64_t i = 0; i < m; i++, b += ldc)
        for (int64_t j = 0; j < n; j += LINE) __builtin_prefetch(b + j, 0, 2);
}

#endif
