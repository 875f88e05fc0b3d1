/*
 * Convolution by Winograd's F(4x4, 3x3): which ones are worth it, and how one runs as chunks. Used
 * by conv_plan.c alone; the convolution driver's contract (conv_plan.h) is kept, with the error
 * class of wino.h instead of the plain one.
 */
#ifndef LMN_KERNELS_WINO_PLAN_H
#define LMN_KERNELS_WINO_PLAN_H

#include "kernels/conv/conv_plan.h"

/* True, and the rest of *p is filled, if the convolution in p->g is faster this way, or if it is
   possible and the choice says so. Blocks are then as chosen. */
bool lmn_wino_plan(lmn_conv_plan *p, const lmn_choice *choice);
/* Transform some of the filters into args->shared. */
void lmn_wino_prepare(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk);
void lmn_wino_chunk(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk,
                    float *scratch);

#endif
