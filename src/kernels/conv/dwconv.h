/*
 * dwconv family, f32: convolution of groups of few channels over two axes (depth 1), direct, with
 * the epilogue. A group of one input channel is a depthwise convolution.
 *
 *   y[co][oy][ox] = epi( sum over c, ky, kx of  w[co][c][ky][kx] * x[group(co) + c][iy][ix] )
 *
 * Order   one chain of fused multiply-adds over (c, ky, kx) from +0, taps above and below the input
 *         left out, those beside it adding w * 0; the same in every row but ref (f64): avx2 ==
 * avx512 bit for bit. Error   class dot(c kh kw + 1). Reads stay inside the planes; y overlaps
 * nothing.
 */
#ifndef LMN_KERNELS_DWCONV_H
#define LMN_KERNELS_DWCONV_H

#include "kernels/conv/conv_geom.h"
#include "kernels/gemm/epi.h"
#include "kernels/krow.h"

typedef struct lmn_dwconv_block {
    const lmn_conv_geom *g; /* lmn_dwconv_takes */
    const float *x, *w;     /* of image `item`: channel 0; weights of channel 0 */
    float *y;
    int64_t c0, n_c;    /* output channels c0 .. c0 + n_c - 1 */
    int64_t item;       /* image, for the epilogue: row = channel, col = pixel */
    const lmn_epi *epi; /* NULL = none */
} lmn_dwconv_block;

/* Windows that have loops of their own. */
static inline bool lmn_dwconv_square(const lmn_conv_geom *g)
{
    const int64_t k = g->kernel[1], s = g->stride[1];
    if (g->kernel[2] != k || g->stride[2] != s || g->dilation[1] != 1 || g->dilation[2] != 1)
        return false;
    return k == 7 ? s == 1 : (k == 3 || k == 5) && s <= 2;
}

/* Groups of one channel with any window (but those that many output channels share, which have no
   loops of their own: a tile reads their pixels once), of a few with 3 x 3 windows: fewer output
   channels than a tile of the gemm kernel has rows would not repay the packing of their pixels. */
static inline bool lmn_dwconv_takes(const lmn_conv_geom *g)
{
    enum { MOST = 8, TILE = 8 };
    const bool flat = g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
    if (!flat) return false;
    if (g->groups == g->c_in) {
        const bool shared = g->c_out / g->groups >= TILE && !lmn_dwconv_square(g);
        return lmn_conv_volume(g->kernel) > 1 && !shared;
    }
#ifdef LMN_NO_DEPTHWISE_GROUPS /* cmake/subset.cmake */
    return false;
#endif
    const bool square = g->kernel[1] == 3 && g->kernel[2] == 3 && g->dilation[1] == 1 &&
                        g->dilation[2] == 1 && g->stride[1] == g->stride[2] && g->stride[1] <= 2;
    return square && g->groups > 1 && g->c_in / g->groups <= MOST && g->c_out / g->groups <= MOST;
}

typedef void lmn_dwconv_fn(const lmn_dwconv_block *blk);

typedef struct lmn_dwconv_row {
    lmn_krow head;
    lmn_dwconv_fn *run;
} lmn_dwconv_row;

extern const lmn_dwconv_row lmn_dwconv_f32_rows[];
extern const int32_t lmn_dwconv_f32_n_rows;

#endif
