/*
 * The geometry of a convolution or pooling: three spatial axes (depth, height, width), lower ranks
 * put 1 in front. Tensors are N x C x D x H x W, dense. An output pixel is the flat index over
 * `out`.
 */
#ifndef LMN_KERNELS_CONV_GEOM_H
#define LMN_KERNELS_CONV_GEOM_H

#include "base/types.h"

typedef struct lmn_conv_geom {
    int64_t n;                                 /* images */
    int64_t c_in, c_out;                       /* all groups together; pooling: c_in == c_out */
    int64_t groups;                            /* >= 1, divides both; pooling: not used */
    int64_t in[3], out[3];                     /* extents >= 0 */
    int64_t kernel[3], stride[3], dilation[3]; /* >= 1 */
    int64_t pad[3], pad_end[3]; /* >= 0; convolution needs only pad: `out` says the rest */
    int32_t threads; /* that will share the chunks, 0: one; changes no bits; pooling: not used */
} lmn_conv_geom;

static inline int32_t lmn_conv_threads(const lmn_conv_geom *g)
{
    return g->threads > 1 ? g->threads : 1;
}

static inline int64_t lmn_conv_volume(const int64_t v[3])
{
    return v[0] * v[1] * v[2];
}

/* Are the outputs the inputs, pixel by pixel? */
static inline bool lmn_conv_is_pointwise(const lmn_conv_geom *g)
{
    for (int i = 0; i < 3; i++)
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i])
            return false;
    return true;
}

/* Input coordinate of kernel tap `tap` at output coordinate `o` of axis `axis`; may be outside. */
static inline int64_t lmn_conv_at(const lmn_conv_geom *g, int axis, int64_t o, int64_t tap)
{
    return o * g->stride[axis] + tap * g->dilation[axis] - g->pad[axis];
}

/* Outputs of a line that are rows of a tile, where a line is cut evenly; and those that are read.
 */
enum { LMN_CONV_LINE_ROWS = 16 };
static inline int64_t lmn_conv_line_rows(int64_t width)
{
    return lmn_ceil_div_i64(width, lmn_ceil_div_i64(width, LMN_CONV_LINE_ROWS));
}
static inline int64_t lmn_conv_line_read(int64_t width)
{
    return lmn_ceil_div_i64(width, LMN_CONV_LINE_ROWS) * lmn_conv_line_rows(width);
}

/* Outputs [lo, hi) of the width axis, seen from output `o0` on, whose tap `tap` lies inside; `len`
   outputs are asked for. lo <= hi, both in 0 .. len. */
static inline void lmn_conv_inside(const lmn_conv_geom *g, int64_t o0, int64_t len, int64_t tap,
                                   int64_t *lo, int64_t *hi)
{
    const int64_t x0 = lmn_conv_at(g, 2, o0, tap), s = g->stride[2], w = g->in[2];
    *lo = x0 >= 0 ? 0 : lmn_min_i64(len, (-x0 + s - 1) / s);
    *hi = x0 >= w ? *lo : lmn_max_i64(*lo, lmn_min_i64(len, (w - 1 - x0) / s + 1));
}

#endif
