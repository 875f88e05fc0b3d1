/*
 * The driver of convolutions of bf16 whose channels come last: the hgemm driver with A = pixels,
 * where they lie for 1x1 and else brought together a few rows at a time, and B = weights rounded
 * to bf16 and packed once for all runs (lmn_hlast_prepack). One group.
 *
 *   y[n][pixel][co] = clip( f( bias[co] + sum over taps, c of w x )  + add[n][pixel][co] )
 *
 * f is nothing or SiLU, within 2^-13 of itself where a row applies it in its tiles. Sums, bias and
 * clip are f32, and the result is rounded once.
 *
 * Order   that of hgemm_plan.h over k = (tap, c); rows that read windows by groups beyond pairs
 * have each line of taps as whole groups, ended by weights of 0.
 */
#ifndef LMN_KERNELS_HLAST_PLAN_H
#define LMN_KERNELS_HLAST_PLAN_H

#include "kernels/conv/conv_cut.h"
#include "kernels/hgemm/hgemm_plan.h"

#include <string.h>

typedef struct lmn_hlast_plan {
    lmn_conv_geom g;
    lmn_hgemm_plan gemm; /* of all images */
    lmn_conv_cut direct; /* windows read where they lie */
    int64_t n_chunks;
    size_t scratch_bytes;
} lmn_hlast_plan;

typedef struct lmn_hlast_args {
    const uint16_t *x, *w; /* w: what lmn_hlast_prepack() made */
    uint16_t *y;           /* overlaps x not; may be add */
    const float *bias;     /* NULL = none */
    const uint16_t *add;   /* as y; NULL = none */
    bool silu, clipped;
    float lo, hi;
} lmn_hlast_args;

/* Weights [c_out][c_in][taps] of f32 as panels of a row that has rows_f32; `line` taps of the last
   axis are a line. */
typedef struct lmn_hlast_weights {
    const float *w;
    int64_t c_out, c_in, taps, line;
} lmn_hlast_weights;

/* Elements of k of a line of taps. */
static inline int64_t lmn_hlast_line_elems(const lmn_hgemm_row *row, int64_t c_in, int64_t taps,
                                           int64_t line)
{
    const bool whole = row->lines && row->group > 2 && taps > 1;
    return whole ? lmn_round_up_i64(line * c_in, row->group) : line * c_in;
}
/* And of a window. */
static inline int64_t lmn_hlast_k(const lmn_hgemm_row *row, const lmn_conv_geom *g)
{
    const int64_t taps = lmn_conv_volume(g->kernel), line = g->kernel[2];
    return lmn_hlast_line_elems(row, g->c_in, taps, line) * (taps / line);
}
static inline int64_t lmn_hlast_packed_elems(const lmn_hgemm_row *row, const lmn_hlast_weights *w)
{
    const int64_t line = lmn_hlast_line_elems(row, w->c_in, w->taps, w->line);
    return lmn_hgemm_packed_elems(row, line * (w->taps / w->line), w->c_out);
}
void lmn_hlast_prepack(const lmn_hgemm_row *row, const lmn_hlast_weights *w, void *packed);

/* adds: does args->add stand for something? */
void lmn_hlast_plan_make(const lmn_hgemm_row *row, const lmn_conv_geom *g, bool adds,
                         lmn_hlast_plan *out);
/* Run chunk `chunk` < n_chunks; `scratch` holds scratch_bytes, contents are lost. */
void lmn_hlast_chunk(const lmn_hlast_plan *plan, const lmn_hlast_args *args, int64_t chunk,
                     void *scratch);

/* hlast_lines.c: is the convolution one whose windows `row` reads where they lie? Then the plan is
   made, up to `gemm`. */
bool lmn_hlast_lines_make(const lmn_hgemm_row *row, lmn_hlast_plan *p);
void lmn_hlast_lines_chunk(const lmn_hlast_plan *plan, const lmn_hlast_args *args, int64_t chunk,
                           void *scratch);

/* len elements of a line from element `at` on, where those outside of 0 .. end - 1 are 0. */
static inline void lmn_hlast_copy_line(uint16_t *dst, const uint16_t *line, int64_t at, int64_t len,
                                       int64_t end)
{
    const int64_t lo = lmn_min_i64(len, lmn_max_i64(0, -at));
    const int64_t hi = lmn_max_i64(lo, lmn_min_i64(len, end - at));
    if (lo) memset(dst, 0, (size_t)lo * 2);
    if (hi > lo) memcpy(dst + lo, line + at + lo, (size_t)(hi - lo) * 2);
    if (len > hi) memset(dst + hi, 0, (size_t)(len - hi) * 2);
}

#endif
