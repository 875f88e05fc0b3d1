/*
 * What the convolution drivers of kcheck share: the judge in f64 and running a plan whole.
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
void kc_wino_bounds(const lmn_conv_geom *g, const kc_mat *x, const kc_mat *w, double *bound);
/* Preparation, then all chunks, forwards or backwards, on poisoned scratch. */
void kc_conv_run(kc_ctx *kc, const lmn_conv_plan *plan, lmn_conv_args args, bool down);
const char *kc_conv_text(const lmn_conv_geom *g);

#endif
