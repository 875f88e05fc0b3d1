/*
 * The convolution driver: a plan cuts one convolution into chunks, any thread may run any chunk
 * (see gemm_plan.h: same bits for every number of threads and every order).
 *
 *   y[n][co][pixel] = epi( sum over c, taps of  w[co][c][tap] * x[n][group(co) + c][at pixel, tap]
 * )
 *
 * It is the gemm block kernel with A = weights where they lie and B = a block of output pixels
 * packed into scratch (im2col, by lines of taps where output channels are few, or the rows of x
 * themselves for 1x1), the dwconv kernel, or Winograd's transforms (wino.h: 3x3 of stride 1, of any
 * dilation, in one plane or several, with channels enough). For the epilogue a row is an output
 * channel, a column an output pixel, an item an image; the bias is a ROW operand.
 *
 * Order   one chain an output pixel, the gemm kernel's, or wino.h's. Of products of 64 taps and 16
 *         output channels or more the last pixels % 48 of an image, where those are at most 8, are
 * dot products (small_nt), block after block of input channels. avx2 == avx512 in all of it.
 */
#ifndef LMN_KERNELS_CONV_PLAN_H
#define LMN_KERNELS_CONV_PLAN_H

#include "kernels/choice.h"
#include "kernels/conv/conv_geom.h"
#include "kernels/gemm/epi.h"
#include "kernels/kset.h"

typedef struct lmn_conv_plan {
    const lmn_kset *set; /* borrowed; without a wino row nothing goes Winograd's way */
    lmn_conv_geom g;
    int32_t path;         /* see conv_plan.c */
    int64_t m, k, pixels; /* of one group: output channels, taps, outputs */
    int64_t mc, nc, cc;   /* block sizes: output channels, pixels, input channels */
    int64_t m_blocks, n_blocks;
    int64_t thin;         /* the last pixels, as dot products */
    int64_t images;       /* of a block: more than one where all their pixels are thin */
    bool in_place;        /* 1 x 1: rows of x are read as they lie, not packed */
    bool by_lines;        /* see conv_lines.h */
    int64_t own;          /* floats of scratch before those of the thin pixels */
    int64_t tiles;        /* Winograd: tiles in a row, nc then counts tile rows; else 0 */
    bool rows_first;      /* chunks in the order of output channels, not of pixels */
    bool v_first;         /* Winograd: see wino_plan.c */
    int64_t n_chunks;     /* 0 when y is empty */
    size_t scratch_bytes; /* one worker's */
    int64_t n_prepare;    /* chunks of preparation, all to be done before the first chunk */
    size_t shared_bytes;  /* what preparation leaves for all workers in args->shared */
} lmn_conv_plan;

typedef struct lmn_conv_args {
    const float *x, *w; /* w: [c_out][c_in / groups][kernel] */
    float *y;           /* overlaps neither */
    const lmn_epi *epi; /* NULL = none */
    float *shared;      /* shared_bytes, NULL if that is 0 */
} lmn_conv_args;

void lmn_conv_f32_plan(const lmn_kset *set, const lmn_conv_geom *geom, lmn_conv_plan *out);
/* As lmn_conv_f32_plan, but by the way and the blocks of the choice; false, and the rule's plan,
   where that is not possible. Without a wino row in the set the bits are always the rule's. */
bool lmn_conv_f32_plan_as(const lmn_kset *set, const lmn_conv_geom *geom, const lmn_choice *choice,
                          lmn_conv_plan *out);
/* Choices worth measuring for this convolution, each with a plan of its own, none the rule's. */
void lmn_conv_f32_choices(const lmn_kset *set, const lmn_conv_geom *geom, lmn_choices *out);
/* Run chunk `chunk` < n_prepare of the preparation. */
void lmn_conv_f32_prepare(const lmn_conv_plan *plan, const lmn_conv_args *args, int64_t chunk);
/* Run chunk `chunk` < n_chunks. `scratch` holds scratch_bytes, NULL if that is 0; contents are
   lost. */
void lmn_conv_f32_chunk(const lmn_conv_plan *plan, const lmn_conv_args *args, int64_t chunk,
                        void *scratch);

#endif
