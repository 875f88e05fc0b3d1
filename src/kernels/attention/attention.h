/*
 * attention family, f32: what stands between the two products of attention, on blocks of scores. A
 * row of scores is met in blocks of keys; beside it stand its greatest score so far, the sum of
 * e^(score - greatest) and the values weighted so far, which are rescaled when the greatest grows.
 *
 *   soften   per row i, keys key .. key + n - 1: s becomes e^(s - top), 0 outside lo[i] .. hi[i]-1,
 *            whatever stood there; top, sum and o are brought up to date. -inf is weight 0.
 *   weigh    as soften, but s stays and the weights leave as bf16, columns n .. whole - 1 as 0; a
 *            row may have none.
 *
 *   merge    several rows (top, sum, o) over different keys become one, in the order of `part`.
 *
 *   finish   y = o / sum. A row without a key of weight is 0 with zero_empty, else NaN; a row whose
 *            sum is NaN is 0 with zero_nan.
 *
 * Before its first block a row has top -inf, sum 0 and o all 0; a sink x is top x, sum 1.
 * Order   one partial sum a lane, then a fixed tree, block after block: a row's bits depend on the
 *         row of this table and on where blocks of keys begin, not on its neighbours.
 * Error   each block adds its products to o by the chain of gemm.h; weights and rescaling bring at
 *         most (2 blocks + 4) u on top of |s| u, the error of e^s.
 * NaN     a NaN score, or +inf, makes the sum NaN. Alias: y may be o.
 *         weigh: e^(s - top) within 3e-6 + |s - top| u of itself, then one rounding, which makes
 *         denormals 0; sums are of what is not yet rounded.
 * ref     f64 inside a block, state in f32.
 */
#ifndef LMN_KERNELS_ATTENTION_H
#define LMN_KERNELS_ATTENTION_H

#include "base/types.h"
#include "kernels/krow.h"

typedef struct lmn_attention_soft {
    float *s; /* m rows of n scores, ld apart */
    int64_t ld, m, n, key;
    const int64_t *lo, *hi; /* of each row: keys it sees, counted as `key` is */
    float *top, *sum;       /* of each row */
    float *o;               /* m rows of dv, dense */
    int64_t dv;
} lmn_attention_soft;

/* Weights of rows soft.m as bf16, ld apart; soft.s is only read. */
typedef struct lmn_attention_weigh {
    lmn_attention_soft soft;
    uint16_t *to;
    int64_t ld, whole; /* whole >= soft.n */
} lmn_attention_weigh;

typedef struct lmn_attention_merge {
    const float *top, *sum, *o; /* part p of row i: top[p * step + i], o[p * o_step + i * dv] */
    int64_t parts, step, o_step, m, dv;
    float *to_top, *to_sum, *to_o; /* none of the parts */
} lmn_attention_merge;

typedef struct lmn_attention_finish {
    const float *o, *sum;
    int64_t m, dv;
    float *y; /* rows ldy apart */
    int64_t ldy;
    bool zero_empty, zero_nan;
} lmn_attention_finish;

typedef void lmn_attention_soften_fn(const lmn_attention_soft *b);
typedef void lmn_attention_weigh_fn(const lmn_attention_weigh *b);
typedef void lmn_attention_merge_fn(const lmn_attention_merge *b);
typedef void lmn_attention_finish_fn(const lmn_attention_finish *b);

typedef struct lmn_attention_row {
    lmn_krow head;
    lmn_attention_soften_fn *soften;
    lmn_attention_weigh_fn *weigh; /* NULL = none */
    lmn_attention_merge_fn *merge;
    lmn_attention_finish_fn *finish;
} lmn_attention_row;

extern const lmn_attention_row lmn_attention_f32_rows[];
extern const int32_t lmn_attention_f32_n_rows;

#endif
