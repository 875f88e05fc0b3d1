/*
 * What the drivers of convolutions in 8 bits share: arguments and the judge in 64-bit integers, for
 * images with their channels first or last.
 */
#ifndef LMN_TESTS_KC_QCONV_H
#define LMN_TESTS_KC_QCONV_H

#include "kcheck/kc_conv.h"

#include "kernels/qgemm/qconv_plan.h"

/* Draws what a convolution is given; where its channels are last also factors around 1. */
void kc_qconv_draw(kc_ctx *kc, const lmn_conv_geom *g, bool last, lmn_qconv_args *a);
void kc_qconv_compare(kc_ctx *kc, const lmn_conv_geom *g, const lmn_qconv_args *a, bool last);

#endif
