/*
 * dwconv family, f32: depthwise convolution over two axes (depth 1), direct, with the epilogue.
 *
 *   y[c][oy][ox] = epi( sum over ky, kx of  w[c][ky][kx] * x[c / mult][iy][ix] )
 *
 * Order   one chain of fused multiply-adds over (ky, kx) from +0, taps above and below the input
 *         left out, those beside it adding w * 0; the same in every row but ref (f64): avx2 ==
 * avx512 bit for bit. Error   class dot(kh * kw + 1). Reads stay inside the planes; y overlaps
 * nothing.
 */
#ifndef LMN_KERNELS_DWCONV_H
#define LMN_KERNELS_DWCONV_H

#include "kernels/conv/conv_geom.h"
#include "kernels/gemm/epi.h"
#include "kernels/krow.h"

typedef struct lmn_dwconv_block {
    const lmn_conv_geom *g; /* groups == c_in, in[0] == out[0] == kernel[0] == 1, pad[0] == 0 */
    const float *x, *w;     /* of image `item`: channel 0; weights of channel 0 */
    float *y;
    int64_t c0, n_c;    /* output channels c0 .. c0 + n_c - 1 */
    int64_t item;       /* image, for the epilogue: row = channel, col = pixel */
    const lmn_epi *epi; /* NULL = none */
} lmn_dwconv_block;

typedef void lmn_dwconv_fn(const lmn_dwconv_block *blk);

typedef struct lmn_dwconv_row {
    lmn_krow head;
    lmn_dwconv_fn *run;
} lmn_dwconv_row;

extern const lmn_dwconv_row lmn_dwconv_f32_rows[];
extern const int32_t lmn_dwconv_f32_n_rows;

#endif
