/*
 * The convolution driver for 8-bit integers: the qgemm driver with A = weights where they lie and
 * B = blocks of output pixels (the rows of x themselves for 1x1), or the direct depthwise kernel.
 *
 *   y[n][co][pixel] = end( bias[co] + sum over c, taps of (w - w_zp) * (x - x_zp) )
 *
 * Padding stands for x_zp. Sums are exact modulo 2^32: the path never changes a bit.
 */
#ifndef LMN_KERNELS_QCONV_PLAN_H
#define LMN_KERNELS_QCONV_PLAN_H

#include "kernels/conv/conv_geom.h"
#include "kernels/qgemm/qgemm_plan.h"

typedef struct lmn_qconv_plan {
    lmn_conv_geom g;
    int32_t path;        /* see qconv_plan.c */
    lmn_qgemm_plan gemm; /* of one image and group; not for depthwise */
    const lmn_qgemm_row *row;
    int64_t planes; /* depthwise: output channels a chunk */
    int64_t ld;     /* depthwise: bytes from row to row of a padded plane */
    int64_t n_chunks;
    size_t scratch_bytes;
} lmn_qconv_plan;

typedef struct lmn_qconv_args {
    const uint8_t *x, *w; /* w: [c_out][c_in / groups][kernel] */
    bool x_signed, w_signed;
    int32_t x_zp, w_zp;
    const int32_t *w_zps; /* one an output channel; NULL = w_zp */
    const int32_t *bias;  /* NULL = none */
    bool requant;         /* bytes come out, else int32 */
    float mul;
    const float *muls;  /* one an output channel; NULL = mul */
    int32_t zp, lo, hi; /* see lmn_qgemm_end */
    void *y;
} lmn_qconv_args;

void lmn_qconv_plan_make(const lmn_qgemm_row *row, const lmn_conv_geom *g, lmn_qconv_plan *out);
/* The same with the blocks of the choice for its product; false, and the rule's plan, where that is
   not possible or it is depthwise. */
bool lmn_qconv_plan_as(const lmn_qgemm_row *row, const lmn_conv_geom *g, const lmn_choice *choice,
                       lmn_qconv_plan *out);
/* Run chunk `chunk` < n_chunks; `scratch` (64-byte aligned) holds scratch_bytes, contents are lost.
 */
void lmn_qconv_chunk(const lmn_qconv_plan *plan, const lmn_qconv_args *args, int64_t chunk,
                     void *scratch);

#endif
