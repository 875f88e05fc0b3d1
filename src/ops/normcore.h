/*
 * What the normalisations share: rows made to mean 0 and variance 1 in f64 (two passes), and a
 * scale and bias per channel.
 */
#ifndef LMN_OPS_NORMCORE_H
#define LMN_OPS_NORMCORE_H

#include "ops/op.h"

typedef struct lmn_norm_rows {
    int64_t rows, n; /* x and y are [rows, n]; y may be x */
    const double *x;
    double *y;
    double *mean, *inv; /* one entry a row, or NULL */
    double eps;
    bool rms; /* the mean counts as 0 */
} lmn_norm_rows;
/* y = (x - mean) / sqrt(variance + eps) row by row. */
void lmn_norm_rows_run(const lmn_par *par, const lmn_norm_rows *r);

/* y[i, c, :] = y * scale[c] + bias[c] (bias may be NULL) over [images, channels, inner]. */
void lmn_norm_affine(double *y, int64_t images, int64_t channels, int64_t inner,
                     const double *scale, const double *bias);
/* Input i is a vector of n elements? Then widen it. */
lamina_status lmn_norm_vector(lmn_eval *ec, int32_t i, int64_t n, const double **out);
/* Product of dims[from..to). */
int64_t lmn_norm_extent(const lamina_tensor *t, int32_t from, int32_t to);
/* About 8 operations per element; for cost. */
void lmn_norm_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                   lmn_cost *c);

#endif
