/*
 * The driver of 8-bit convolutions whose channels come last: the qgemm driver with A = pixels,
 * where they lie for 1x1 and else brought together a few rows at a time, and B = weights packed
 * once for all runs (lmn_qlast_prepack). No pixel is turned or packed. Rows that read windows where
 * they lie do so in copies of lines with their padding (qlast_lines.c).
 *
 *   y[n][pixel][co] = end( bias[co] + sum over taps, c of (w - w_zp) * (x - x_zp) )
 *
 * Padding stands for x_zp. Sums are exact modulo 2^32: the path never changes a bit. One group.
 */
#ifndef LMN_KERNELS_QLAST_PLAN_H
#define LMN_KERNELS_QLAST_PLAN_H

#include "kernels/conv/conv_cut.h"
#include "kernels/qgemm/qconv_plan.h"

typedef struct lmn_qlast_plan {
    lmn_conv_geom g;
    lmn_conv_cut windows; /* read where they lie */
    bool direct;          /* the pixels of x are the rows of A */
    lmn_qgemm_plan gemm;  /* of all images */
    int64_t n_chunks;
    size_t scratch_bytes;
} lmn_qlast_plan;

/* Weights [c_out][c_in][taps], of either sign, as panels whose k is (tap, c_in). */
typedef struct lmn_qlast_weights {
    const uint8_t *w;
    bool is_signed;
    int64_t c_out, c_in, taps;
} lmn_qlast_weights;
int64_t lmn_qlast_packed_bytes(const lmn_qgemm_row *row, const lmn_qlast_weights *w);
/* `packed` is aligned to 64 bytes. */
void lmn_qlast_prepack(const lmn_qgemm_row *row, const lmn_qlast_weights *w, void *packed);

/* plain: are the weights signed, with zero points of 0, and the results bytes? */
void lmn_qlast_plan_make(const lmn_qgemm_row *row, const lmn_conv_geom *g, bool plain,
                         lmn_qlast_plan *out);
static inline bool lmn_qlast_plain(const lmn_qconv_args *a)
{
    return a->w_signed && !a->w_zps && a->w_zp == 0 && a->requant;
}
/* args->w is what lmn_qlast_prepack() made. Run chunk `chunk` < n_chunks; `scratch` (64-byte
   aligned) holds scratch_bytes, contents are lost. */
void lmn_qlast_chunk(const lmn_qlast_plan *plan, const lmn_qconv_args *args, int64_t chunk,
                     void *scratch);

/* qlast_lines.c: is the convolution one whose windows `row` reads where they lie? Then the plan is
   made, up to `gemm`, of which it takes the row. */
bool lmn_qlast_lines_make(const lmn_qgemm_row *row, lmn_qlast_plan *p);
void lmn_qlast_lines_chunk(const lmn_qlast_plan *plan, const lmn_qconv_args *args, int64_t chunk,
                           void *scratch);

#endif
