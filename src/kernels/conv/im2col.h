/*
 * im2col family, f32: packs a block of output pixels into the B panels of gemm.h, so that a
 * convolution is the block kernel with A = weights. Nothing is stored but one block in scratch.
 *
 *   row r of the packed matrix is (c, kz, ky, kx) in that order, column j is output pixel p0 + j:
 *   packed[(j / nr) * n_c * kvol * nr  +  r * nr  +  j % nr] = x[c][iz][iy][ix], +0 in the padding.
 *
 * Unused columns of the last panel are left or overwritten, and never used. Reads stay inside the
 * n_c input planes. Class: exact.
 */
#ifndef LMN_KERNELS_IM2COL_H
#define LMN_KERNELS_IM2COL_H

#include "kernels/conv/conv_geom.h"
#include "kernels/krow.h"

typedef struct lmn_im2col_block {
    const lmn_conv_geom *g;
    const float *x; /* n_c planes of g->in */
    int64_t n_c;
    int64_t p0, n; /* first output pixel, how many */
    int64_t nr;    /* panel width */
    float *packed;
} lmn_im2col_block;

typedef void lmn_im2col_fn(const lmn_im2col_block *blk);

typedef struct lmn_im2col_row {
    lmn_krow head;
    lmn_im2col_fn *pack;
} lmn_im2col_row;

extern const lmn_im2col_row lmn_im2col_f32_rows[];
extern const int32_t lmn_im2col_f32_n_rows;

#endif
