/*
 * The table of im2col rows, made from im2col_variants.h: declarations first, then the rows.
 */
#include "kernels/conv/im2col.h"

#define X(dt, var, isa, prio) lmn_im2col_fn lmn_im2col_##dt##_##var;
#include "kernels/conv/im2col_variants.h"
#undef X

const lmn_im2col_row lmn_im2col_f32_rows[] = {
#define X(dt, var, isa, prio) {LMN_KROW(im2col, dt, var, isa, prio), lmn_im2col_##dt##_##var},
#include "kernels/conv/im2col_variants.h"
#undef X
};
const int32_t lmn_im2col_f32_n_rows = (int32_t)LMN_COUNT(lmn_im2col_f32_rows);
