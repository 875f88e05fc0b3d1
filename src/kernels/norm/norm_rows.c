/*
 * The table of norm rows, made from norm_variants.h: declarations first, then the rows.
 */
#include "kernels/norm/norm.h"

#define X(dt, var, isa, prio)                                                      \
    lmn_norm_fn lmn_norm_##dt##_softmax_##var, lmn_norm_##dt##_softmax_down_##var, \
        lmn_norm_##dt##_layer_##var, lmn_norm_##dt##_rms_##var, lmn_norm_##dt##_sums_##var;
#include "kernels/norm/norm_variants.h"
#undef X

const lmn_norm_row lmn_norm_f32_rows[] = {
#define X(dt, var, isa, prio)                                           \
    {LMN_KROW(norm, dt, var, isa, prio), lmn_norm_##dt##_softmax_##var, \
     lmn_norm_##dt##_softmax_down_##var, lmn_norm_##dt##_layer_##var,   \
     lmn_norm_##dt##_rms_##var,          lmn_norm_##dt##_sums_##var},
#include "kernels/norm/norm_variants.h"
#undef X
};
const int32_t lmn_norm_f32_n_rows = (int32_t)LMN_COUNT(lmn_norm_f32_rows);
