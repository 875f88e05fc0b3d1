/*
 * The last pixels of an image, as rows of dot products with the weights. Used by conv_plan.c alone.
 * Where an image has no others, several images make one product: each element is the same chain of
 * operations among any number of them.
 */
#ifndef LMN_KERNELS_CONV_THIN_H
#define LMN_KERNELS_CONV_THIN_H

#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm.h"

/* Images of a block of p, whose pixels are all thin. */
int64_t lmn_conv_thin_images(const lmn_conv_plan *p);
/* Floats of scratch for the blocks of p, whose cc, mc and images are set. */
int64_t lmn_conv_thin_elems(const lmn_conv_plan *p);
/* The thin pixels of the block t and, of images without others, those of the images behind it: what
   t->k / kernel input channels from x on and the weights t->a add to them. epi: NULL or what is to
   be done to the sums, which are whole with the last channels. */
void lmn_conv_thin_block(const lmn_conv_plan *p, const lmn_gemm_block *t, const float *x,
                         const lmn_epi *epi, bool last, float *scratch);

#endif
