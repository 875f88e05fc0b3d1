/*
 * dwlast family, bf16: depthwise convolution of images whose channels come last, over two axes
 * (depth 1), by weights rounded to bf16 and f32 bias, clipped, rounded once.
 *
 *   y[n][oy][ox][c] = clip( bias[c] + sum over ky, kx of  w[ky][kx][c] * x[n][iy][ix][c] )
 *
 * Order   one chain over (ky, kx) from +0, taps outside of the input left out, whatever the lines
 * of a call; of 3 x 3 windows on vdpbf16ps from the bias on over kx, two ky and the third, and on
 * AMX CPUs from the bias on over (kx, ky). ref sums in f64. Error   class dot(kh kw + 1), on
 * vdpbf16ps dot(2 kh kw + 2); magnitudes below 2^-126 may count as 0 in both (hgemm.h). Then one
 * rounding to nearest even. y overlaps nothing.
 *
 * max: the largest of a window instead, by no weights; NaN if there is one, -inf of no taps. Exact.
 * planes: planes of f32 to such an image, rounded to nearest even. Exact.
 *
 * mean: of the pixels of an image, a chain of sums in f32 over them, divided once; ref in f64.
 */
#ifndef LMN_KERNELS_DWLAST_H
#define LMN_KERNELS_DWLAST_H

#include "kernels/conv/conv_geom.h"
#include "kernels/krow.h"

/* Packed weights, floats that are bf16, are [block of channels][tap][channel], padded with 0, of a
   block the even channels first. */
enum { LMN_DWLAST_BLOCK = 32 };

typedef struct lmn_dwlast_block {
    const lmn_conv_geom *g; /* lmn_dwlast_takes */
    const uint16_t *x;
    const float *w;    /* lmn_dwlast_prepack */
    const float *bias; /* NULL = none */
    uint16_t *y;
    int64_t line, n_lines; /* of outputs: image * out[1] + oy */
    float lo, hi;          /* -inf, +inf = no clip, NaN included */
} lmn_dwlast_block;

static inline bool lmn_dwlast_takes(const lmn_conv_geom *g)
{
    const bool flat = g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
    return flat && g->groups == g->c_in && g->c_out == g->c_in;
}

static inline int64_t lmn_dwlast_blocks(int64_t channels)
{
    return lmn_ceil_div_i64(channels, LMN_DWLAST_BLOCK);
}
static inline int64_t lmn_dwlast_packed_elems(int64_t channels, int64_t taps)
{
    return lmn_dwlast_blocks(channels) * taps * LMN_DWLAST_BLOCK;
}
/* w [channels][taps]. */
void lmn_dwlast_prepack(const float *w, int64_t channels, int64_t taps, float *packed);

typedef void lmn_dwlast_fn(const lmn_dwlast_block *b);

/* y[pixel][channel] from x[channel][pixel]. */
typedef struct lmn_dwlast_planes {
    const float *x;
    int64_t plane; /* elements from channel to channel */
    int64_t n_pixels, channels;
    uint16_t *y;
} lmn_dwlast_planes;

typedef void lmn_dwlast_planes_fn(const lmn_dwlast_planes *p);

typedef struct lmn_dwlast_mean {
    const uint16_t *x; /* [pixel][channel] */
    int64_t n_pixels, channels;
    float *y; /* a channel */
} lmn_dwlast_mean;

typedef void lmn_dwlast_mean_fn(const lmn_dwlast_mean *m);

typedef struct lmn_dwlast_row {
    lmn_krow head;
    lmn_dwlast_fn *run, *max; /* max: w, bias, lo and hi are not looked at */
    lmn_dwlast_planes_fn *planes;
    lmn_dwlast_mean_fn *mean;
} lmn_dwlast_row;

extern const lmn_dwlast_row lmn_dwlast_bf16_rows[];
extern const int32_t lmn_dwlast_bf16_n_rows;

#endif
