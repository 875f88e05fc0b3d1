/*
 * qmap family, 8-bit integers: what quantised graphs do to one element after the other. An integer
 * x stands for (x - zp) * scale, in f32; of a signed type bytes are flipped (flip = 0x80, else 0)
 * and zp is that of the flipped byte, so all bytes count as 0 .. 255.
 *
 * Class  exact: each step is one f32 operation, rounded, the same in every row; to bytes as
 *        saturate(round_half_even(v / scale) + zp), NaN as 0.
 * Edges  any n >= 0 and addresses; nothing beyond n is touched. dst overlaps nothing, or is src.
 */
#ifndef LMN_KERNELS_QMAP_H
#define LMN_KERNELS_QMAP_H

#include "kernels/krow.h"

typedef struct lmn_qmap_side {
    float scale;
    int32_t zp; /* 0 .. 255, of the flipped byte */
} lmn_qmap_side;

typedef enum lmn_qmap_kind { LMN_QMAP_ADD, LMN_QMAP_MUL } lmn_qmap_kind;

typedef struct lmn_qmap_pair {
    lmn_qmap_kind kind;
    const uint8_t *a, *b;
    bool a_one, b_one; /* one element for all */
    uint8_t *dst;
    int64_t n;
    uint8_t flip; /* of all three */
    lmn_qmap_side qa, qb, qc;
} lmn_qmap_pair;

typedef void lmn_qmap_quantize_fn(uint8_t *dst, const float *x, int64_t n, const lmn_qmap_side *q,
                                  uint8_t flip);
typedef void lmn_qmap_dequantize_fn(float *dst, const uint8_t *x, int64_t n, const lmn_qmap_side *q,
                                    uint8_t flip);
typedef void lmn_qmap_pair_fn(const lmn_qmap_pair *p);
/* min(max(x, lo), hi) of flipped bytes. */
typedef void lmn_qmap_clip_fn(uint8_t *dst, const uint8_t *x, int64_t n, const uint8_t lo_hi[2],
                              uint8_t flip);
/* dst[i] = max(dst[i], x[i * step]) of flipped bytes; step 1 or more. */
typedef void lmn_qmap_max_fn(uint8_t *dst, const uint8_t *x, int64_t n, int64_t step, uint8_t flip);
/* From one side to another, of either sign. */
typedef void lmn_qmap_requantize_fn(uint8_t *dst, const uint8_t *x, int64_t n,
                                    const lmn_qmap_side from_to[2], const uint8_t flips[2]);

/* sum[i] += what x[i] stands for. */
typedef void lmn_qmap_add_up_fn(double *sum, const uint8_t *x, int64_t n, const lmn_qmap_side *q,
                                uint8_t flip);

/* The least and the greatest of n floats and of what lo_hi holds, into lo_hi; false if one is NaN,
   and then lo_hi is of the others. */
typedef bool lmn_qmap_bounds_fn(const float *x, int64_t n, float lo_hi[2]);

typedef struct lmn_qmap_row {
    lmn_krow head;
    lmn_qmap_quantize_fn *quantize;
    lmn_qmap_dequantize_fn *dequantize;
    lmn_qmap_pair_fn *pair;
    lmn_qmap_clip_fn *clip;
    lmn_qmap_max_fn *max;
    lmn_qmap_requantize_fn *requantize;
    lmn_qmap_bounds_fn *bounds;
    lmn_qmap_add_up_fn *add_up;
} lmn_qmap_row;

extern const lmn_qmap_row lmn_qmap_i8_rows[];
extern const int32_t lmn_qmap_i8_n_rows;

#endif
