/*
 * nbdot family: products of f32 rows with packed weights of 4 or 8 bits, rows rounded to 8 bits a
 * group of 32 columns first (what accuracy_level 4 of MatMulNBits allows). Weights are read where
 * they lie, once for up to eight rows.
 *
 *   group g of a row: top = max |x|, s = top / 127, r[i] = round_half_even(x[i] * (127 / top))
 *   v[g] = sum over the group of r[i] * (q[i] - zp)                             exact, in int32
 *   c[l] = chain of fma(v[g], scale * s[g]) over g = l mod 16
 *   u[i] = (c[i] + c[8 + i]) + (c[4 + i] + c[12 + i]),   y = (u0 + u2) + (u1 + u3) [+ bias]
 *
 * top below 2^-100 makes a group of zeros; one that is not finite makes the result NaN.
 *
 * A packed row is for products of one row or of more. For every sixteen groups (columns beyond k
 * are 0) it holds 512 B of r, 16 f32: s of groups 0, 4, 8, 12, 1, 5 .., and 16 int32: minus the
 * sums of r, likewise. With 4 bits halves of a group are even and odd columns, else the first and
 * the last
 * 16. Of r there are
 *   for one row   four times 64 B: the first half of each of four groups, 64 B: the second. With 4
 *                 bits 16 B of group g + 4 and of group g, g = 0 .. 3 and 8 .. 11, have changed
 *                 places by 8 B, so that products of both come to lie side by side: where g was are
 *                 its bytes 0 - 7 and 8 - 15 of the other, where that was 8 - 15 of g and 0 - 7
 *   for more      64 B for every eighth of a group: of groups 0, 4, 8, 12, 1, 5 ..
 *
 * Class  exact: every row gives the same bits.
 * Edges  any number of rows; of q exactly the bytes of whole groups of 32 are read.
 */
#ifndef LMN_KERNELS_NBDOT_H
#define LMN_KERNELS_NBDOT_H

#include "kernels/krow.h"

/* Rows of weights. A scale, and a zero point, belong to 32 << shift columns. */
typedef struct lmn_nbdot_weights {
    const uint8_t *q; /* 4 bits: the low half of a byte first */
    int64_t row_bytes;
    const float *scale; /* n_blocks a row */
    const uint8_t *zp;  /* packed like q; NULL = 2^(bits - 1) for all */
    int64_t zp_bytes;   /* from row to row */
    int64_t n_blocks;
    int32_t bits, shift;
} lmn_nbdot_weights;

/* Columns of a group; groups of a chunk, as many as there are chains, and its packed bytes. */
enum { LMN_NBDOT_GROUP = 32, LMN_NBDOT_GROUPS = 16, LMN_NBDOT_CHUNK = 640 };

static inline int64_t lmn_nbdot_groups(int64_t k)
{
    return (k + LMN_NBDOT_GROUP - 1) / LMN_NBDOT_GROUP;
}
static inline int64_t lmn_nbdot_packed_bytes(int64_t k)
{
    return lmn_ceil_div_i64(lmn_nbdot_groups(k), LMN_NBDOT_GROUPS) * LMN_NBDOT_CHUNK;
}

/* more: the product has more rows than one. */
typedef void lmn_nbdot_pack_fn(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more);

typedef struct lmn_nbdot_block {
    lmn_nbdot_weights w;
    const uint8_t *a; /* rows, packed for m */
    int64_t a_step;
    int64_t m, n, groups; /* n: rows of weights */
    const float *bias;    /* one a row of weights; NULL = none */
    float *y;             /* y[i * ldy + j]: row i of a, j of weights */
    int64_t ldy;
} lmn_nbdot_block;

typedef void lmn_nbdot_run_fn(const lmn_nbdot_block *b);

typedef struct lmn_nbdot_row {
    lmn_krow head;
    lmn_nbdot_pack_fn *pack;
    lmn_nbdot_run_fn *run;
} lmn_nbdot_row;

extern const lmn_nbdot_row lmn_nbdot_i8_rows[];
extern const int32_t lmn_nbdot_i8_n_rows;

/* Zero point of block b of a row of packed ones. */
static inline int32_t lmn_nbdot_zp_at(const uint8_t *zp, int32_t bits, int64_t b)
{
    return bits == 8 ? zp[b] : (zp[b / 2] >> (b % 2 * 4)) & 15;
}

#endif
