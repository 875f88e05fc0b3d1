/*
 * The loops under convolution and pooling in any spatial rank. A "slide" pairs two grids by
 *     strided = unit * stride + k * dilation - pad     (per axis, k = kernel position),
 * and calls a row function for every run of paired elements along the last axis. For a convolution
 * and a pool `unit` is the output and `strided` the input; for a transposed one it is the reverse.
 *
 * Order: kernel positions outermost, row-major, so each output accumulates in a fixed order.
 */
#ifndef LMN_OPS_CONVCORE_H
#define LMN_OPS_CONVCORE_H

#include "ops/convgeom.h"

typedef struct lmn_slide {
    int32_t rank;
    int64_t n_unit[LMN_CONV_MAX_RANK], n_strided[LMN_CONV_MAX_RANK], n_kernel[LMN_CONV_MAX_RANK];
    int64_t stride[LMN_CONV_MAX_RANK], dilation[LMN_CONV_MAX_RANK], pad[LMN_CONV_MAX_RANK];
} lmn_slide;

/* n pairs: unit, unit+1, ... with strided, strided+step, ...; k is the flat kernel position. */
typedef void lmn_slide_fn(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n,
                          int64_t step);

/* Slide of a convolution or pool (transposed: of its mirror). */
void lmn_slide_init(lmn_slide *s, const lmn_conv_geom_t *g, bool transposed);
void lmn_slide_run(const lmn_slide *s, lmn_slide_fn *fn, void *arg);

/* x [n, c, in...], w [m, c/group, kernel...] (transposed: [c, m/group, kernel...]), bias [m] or
   NULL -> y [n, m, out...]; all dense f64. */
typedef struct lmn_conv_job {
    const lmn_conv_geom_t *g;
    const double *x, *w, *bias;
    double *y;
    int64_t n, c, m;
    bool transposed;
} lmn_conv_job;
void lmn_conv_f64(const lmn_par *par, const lmn_conv_job *job);

/* Shapes of a convolution checked at run time: geometry and channel counts into *job (no data), and
   output 0 of its shape into *y (NULL: nobody wants it). */
lamina_status lmn_conv_begin(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *w,
                             bool transposed, lamina_dtype dtype, lmn_conv_geom_t *g,
                             lmn_conv_job *job, lamina_tensor **y);
/* Bias present? Then checks its shape [m] and widens it. */
lamina_status lmn_conv_bias(lmn_eval *ec, const lamina_tensor *b, int64_t m, const double **out);

/* Conv (transposed: ConvTranspose) of floats: inputs X, W and B, output 0. */
lamina_status lmn_conv_eval_float(lmn_eval *ec, bool transposed);

/* Inference for inputs (ix, iw, ib; ib < 0 or absent = none) into output 0. */
lamina_status lmn_conv_infer(lmn_infer *ic, int32_t ix, int32_t iw, int32_t ib, bool transposed);
/* Flops of a convolution whose weights are input iw. */
void lmn_conv_cost(const lmn_opnode *n, const lmn_fact *const *in, int32_t iw,
                   const lmn_fact *moved, lmn_cost *c);

#endif
