/*
 * What the convolution drivers of kcheck share: geometries, the judge in f64 and running a plan
 * whole.
 */
#ifndef LMN_TESTS_KC_CONV_H
#define LMN_TESTS_KC_CONV_H

#include "kcheck/kcheck.h"

#include "kernels/conv/conv_plan.h"

/* All outputs of a convolution in f64, with bounds of the plain chain. */
void kc_conv_reference(const lmn_conv_geom *g, const kc_mat *x, const kc_mat *w, double *want,
                       double *bound);
/* The bounds where the plan took the Winograd path: a whole tile shares the rounding of its inputs,
   so that even an output that sees padding alone may be off by it (wino.h). */
void kc_wino_bounds(kc_ctx *kc, const lmn_conv_geom *g, const kc_mat *x, const kc_mat *w,
                    double *bound);
/* Preparation, then all chunks, forwards or backwards, on poisoned scratch. */
void kc_conv_run(kc_ctx *kc, const lmn_conv_plan *plan, lmn_conv_args args, bool down);
/* The set with the im2col row `head` and the gemm and dwconv rows of the same name. */
lmn_kset kc_conv_set(kc_ctx *kc, const lmn_krow *head);
/* One convolution as the driver plans it, against f64; with an epilogue against itself without. */
void kc_conv_whole(kc_ctx *kc, const lmn_kset *set, const lmn_conv_geom *g);

/* kc_conv_geom.c */
const char *kc_conv_text(const lmn_conv_geom *g);
/* Offset in the plane of tap number t of output `pixel`; *inside says whether there is one. */
int64_t kc_conv_tap(const lmn_conv_geom *g, int64_t pixel, int64_t t, bool *inside);

/* The most that is drawn. */
typedef struct kc_conv_sizes {
    bool pointwise;        /* windows of one */
    bool flat;             /* one deep */
    int64_t wide, high;    /* windows along the last axis, along the others */
    int64_t depth, extent; /* the input along the first axis, along the others */
} kc_conv_sizes;
/* Draws windows, strides, dilations, paddings and extents; every window fits. */
void kc_conv_axes(kc_ctx *kc, const kc_conv_sizes *s, lmn_conv_geom *g);
/* Makes the lines of a drawn geometry few and so long that chunks are spans of them
   (conv_cut.h). */
void kc_conv_long(kc_ctx *kc, lmn_conv_geom *g);
/* Makes them two taps by few lines that are a little longer than a tile of 16 outputs. */
void kc_conv_short(kc_ctx *kc, lmn_conv_geom *g);
/* One square image of one channel, with the padding that keeps its size at stride 1. */
lmn_conv_geom kc_conv_square(int64_t size, int64_t kernel, int64_t stride);

#endif
