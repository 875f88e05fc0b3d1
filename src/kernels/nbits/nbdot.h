/*
 * nbdot family: products of f32 rows with packed weights of 4 or 8 bits, rows rounded to 8 bits a
 * group of 32 columns first (what accuracy_level 4 of MatMulNBits allows). Weights are read where
 * they lie, once for up to eight rows.
 *
 *   group g of a row: top = max |x|, s = top / 127, r[i] = round_half_even(x[i] * (127 / top))
 *   v[g] = sum over the group of r[i] * (q[i] - zp)                             exact, in int32
 *   y    = (c0 + c2) + (c1 + c3) [+ bias],   cl = chain of fma(v[g], scale * s[g]) over g = l mod 4
 *
 * top below 2^-100 makes a group of zeros; one that is not finite makes the result NaN.
 *
 * A packed row: for every four groups (columns beyond k are 0)
 *   64 B: the first half of each group, 64 B: the second, 16 f32: s, each four times,
 *   16 int32: minus the sum of r, likewise. With 4 bits halves are even and odd columns, else the
 *   first and the last 16.
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

enum { LMN_NBDOT_GROUP = 32, LMN_NBDOT_CHUNK = 256 }; /* columns; bytes of four packed groups */

static inline int64_t lmn_nbdot_groups(int64_t k)
{
    return (k + LMN_NBDOT_GROUP - 1) / LMN_NBDOT_GROUP;
}
static inline int64_t lmn_nbdot_packed_bytes(int64_t k)
{
    return (lmn_nbdot_groups(k) + 3) / 4 * LMN_NBDOT_CHUNK;
}

typedef void lmn_nbdot_pack_fn(uint8_t *dst, const float *x, int64_t k, int32_t bits);

typedef struct lmn_nbdot_block {
    lmn_nbdot_weights w;
    const uint8_t *a; /* packed rows */
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
