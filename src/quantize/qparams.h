/*
 * The arithmetic of quantisation without graphs: ranges of values seen, scales and zero points,
 * weights to 8 and 4 bits. All functions are pure but for their out parameters; weights are read
 * byte by byte, because a mapped file need not align them.
 */
#ifndef LMN_QUANTIZE_QPARAMS_H
#define LMN_QUANTIZE_QPARAMS_H

#include "base/types.h"

/* ---- activations ------------------------------------------------------------------------------
 */

#define LMN_QRANGE_BINS 4096

/* Values seen of one activation. Histogram: bins of [-span, span), span a power of two that doubles
   (pairs of bins are merged) when a value lies outside. */
typedef struct lmn_qrange {
    float lo, hi;   /* of what was seen */
    uint64_t n;     /* finite values */
    double span;    /* 0: only zeros so far */
    uint64_t *bins; /* LMN_QRANGE_BINS, or NULL: least and greatest value suffice */
} lmn_qrange;

/* Values that are not finite are ignored. */
void lmn_qrange_add(lmn_qrange *r, const float *x, int64_t n);
/* Where half of 100 - percentile per cent lie beyond on each side, to the border of a bin and
   within what was seen; without bins lo and hi. */
void lmn_qrange_cut(const lmn_qrange *r, double percentile, float *lo, float *hi);

typedef struct lmn_qscale {
    float scale;
    int32_t zero;
} lmn_qscale;
/* 255 steps from lo to hi, widened to hold 0, which is exact. uint8, or int8 with i8. */
lmn_qscale lmn_qscale_of(float lo, float hi, bool i8);

/* ---- weights ----------------------------------------------------------------------------------
 */

/* Squared error of what was quantised, and squared length of what it was. */
typedef struct lmn_qloss {
    double err2, ref2;
} lmn_qloss;

/* Float32 weights [outer, chans, inner], one scale a channel or (chans = 1) for all. */
typedef struct lmn_qweights {
    const uint8_t *p;
    int64_t outer, chans, inner;
    float mul;           /* what every weight is multiplied by first */
    const double *floor; /* chans: least scale wanted, or NULL */
} lmn_qweights;
/* q [outer, chans, inner] in -127..127, scale [chans] so that q * scale = w about. */
void lmn_qweights_i8(const lmn_qweights *w, int8_t *q, float *scale, lmn_qloss *loss);

/* Float32 matrix [k, n] with strides in elements. */
typedef struct lmn_qmatrix {
    const uint8_t *p;
    int64_t k, n, k_stride, n_stride;
    float mul;
} lmn_qmatrix;
static inline int64_t lmn_qblocks(int64_t k, int64_t block)
{
    return (k + block - 1) / block;
}
/*
 * As MatMulNBits of com.microsoft wants it, B = lmn_qblocks(k, block): q [n, B, block / 2], the
 * earlier weight in the lower four bits; scale [n, B]; zero [n, (B + 1) / 2], the earlier block in
 * the lower four bits, or NULL: every zero point is 8. Weights past k are zero points.
 */
void lmn_qweights_i4(const lmn_qmatrix *w, int64_t block, uint8_t *q, float *scale, uint8_t *zero,
                     lmn_qloss *loss);

/* round_half_even(b / scale) within int32. */
int32_t lmn_qbias(double b, double scale);

#endif
