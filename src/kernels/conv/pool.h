/*
 * pool family, f32: max and average pooling over up to three axes, plane by plane.
 *
 *   MAX       the largest tap inside the input; NaN wins; +0 is above -0; -inf when no tap is in
 *   AVG       sum of the taps inside / their count (0 / 0 = NaN when none is)
 *   AVG_PAD   the same sum / count of taps inside the input and its padding (pad, pad_end)
 *
 * Order   sums in f32 over (kz, ky, kx), avx2 == avx512 bit for bit; a window that is the whole
 *         plane may use one partial sum a lane. Class dot(kernel volume + 1); MAX exact. Reads stay
 *         inside the planes.
 */
#ifndef LMN_KERNELS_POOL_H
#define LMN_KERNELS_POOL_H

#include "kernels/conv/conv_geom.h"
#include "kernels/krow.h"

typedef enum lmn_pool_kind { LMN_POOL_MAX, LMN_POOL_AVG, LMN_POOL_AVG_PAD } lmn_pool_kind;

typedef struct lmn_pool_block {
    const lmn_conv_geom *g;
    lmn_pool_kind kind;
    const float *x; /* n_planes planes of g->in; images and channels alike */
    float *y;       /* n_planes planes of g->out; overlaps nothing */
    int64_t n_planes;
} lmn_pool_block;

typedef void lmn_pool_fn(const lmn_pool_block *blk);

typedef struct lmn_pool_row {
    lmn_krow head;
    lmn_pool_fn *run;
} lmn_pool_row;

extern const lmn_pool_row lmn_pool_f32_rows[];
extern const int32_t lmn_pool_f32_n_rows;

#endif
