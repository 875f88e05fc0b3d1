/*
 * norm family, f32: operations on rows of n neighbouring elements: softmax, normalisations, folds
 * (sums, means, largest and smallest elements); down: on columns.
 *
 * Order   sixteen partial sums, or a multiple, then a fixed tree: depends on n alone; avx2, avx512
 * and neon agree bit for bit (simd_wide.h). ref: f64, rounded once. Class: dot(n) on the sums.
 * Alias   y may be x; else they do not overlap. n >= 1.
 */
#ifndef LMN_KERNELS_NORM_H
#define LMN_KERNELS_NORM_H

#include "base/types.h"
#include "kernels/krow.h"

typedef enum lmn_norm_fold {
    LMN_FOLD_SUM,
    LMN_FOLD_MEAN,
    LMN_FOLD_MAX, /* NaN wins, here and in MIN */
    LMN_FOLD_MIN
} lmn_norm_fold;

typedef struct lmn_norm_block {
    const float *x; /* rows x n, dense */
    float *y;       /* the same; of sums: one element a row */
    int64_t rows, n;
    const float *scale, *bias; /* layer, rms: n elements; bias may be NULL. planes: `channels` */
    const float *center;       /* planes: `channels` means that are known, or NULL */
    int64_t row, channels;     /* planes: the first row is plane `row`, channel row % channels */
    float eps;                 /* layer, rms, planes: under the root */
    lmn_norm_fold fold;
    int64_t step; /* down: elements from one of the n to the next */
} lmn_norm_block;

/*
 * softmax: e^(x - max) / sum; a row of -inf, or with NaN or +inf, is NaN.
 * softmax_down: the same for `rows` neighbouring columns, each n elements `step` apart; one column
 *          is one chain of additions from top to bottom.
 * layer:   (x - mean) / sqrt(variance + eps) * scale + bias, in two passes over the centred row.
 * rms:     x / sqrt(mean of x^2 + eps) * scale.
 * log_softmax: x - max - log(sum of e^(x - max)); NaN as in softmax.
 * planes:  (x - mean) / sqrt(variance + eps) * scale + bias with one scale and bias a row; where
 * the center is given: (x - center) * scale + bias. folds:   sum, mean, largest or smallest element
 * of a row. folds_down: the same of `rows` neighbouring columns, each n elements `step` apart; one
 * column is one chain from top to bottom.
 */
typedef void lmn_norm_fn(const lmn_norm_block *b);

typedef struct lmn_norm_row {
    lmn_krow head;
    lmn_norm_fn *softmax, *softmax_down, *log_softmax, *layer, *rms, *planes, *folds, *folds_down;
} lmn_norm_row;

extern const lmn_norm_row lmn_norm_f32_rows[];
extern const int32_t lmn_norm_f32_n_rows;

#endif
