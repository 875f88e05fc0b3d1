/*
 * Few output channels over lines of taps that are packed once for all lines of the kernel, where
 * packing pixels would take a good part of the time: stems, above all. Used by conv_plan.c alone;
 * same bits as its packed pixels.
 *
 * Output row o and kernel row ky meet input row o * stride + ky * dilation - pad. With
 * ky * dilation = down * stride + first this is what kernel row `first` of output row o + down
 * meets. So rows (c, kz, kx) are packed for every `first` alone, for as many output rows more as
 * there are below; kernel row ky is read `down` rows further on, and the product is a sum of terms,
 * one for every (c, kz, ky), each as long as a line of taps.
 */
#ifndef LMN_KERNELS_CONV_LINES_H
#define LMN_KERNELS_CONV_LINES_H

#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm.h"

/* Pixels of a block where the convolution of p, whose cc is set, is better off so; 0 where not. */
int64_t lmn_conv_lines_pixels(const lmn_conv_plan *p);
/* Floats that n pixels of p->cc channels take. */
int64_t lmn_conv_lines_elems(const lmn_conv_plan *p, int64_t n);
/* Run the block t over n_c channels of x: its columns are the pixels from t->col on. t->b is for
   the lines. */
void lmn_conv_lines_block(const lmn_conv_plan *p, const lmn_gemm_block *t, const float *x,
                          int64_t n_c);

#endif
