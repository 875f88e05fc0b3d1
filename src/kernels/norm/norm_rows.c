/*
 * The table of norm rows, made from norm_variants.h: declarations first, then the rows.
 */
#include "kernels/norm/norm.h"

#define X(dt, var, isa, prio)                                                                      \
    lmn_norm_fn lmn_norm_##dt##_softmax_##var, lmn_norm_##dt##_softmax_down_##var,                 \
        lmn_norm_##dt##_log_softmax_##var, lmn_norm_##dt##_layer_##var, lmn_norm_##dt##_rms_##var, \
        lmn_norm_##dt##_planes_##var, lmn_norm_##dt##_folds_##var,                                 \
        lmn_norm_##dt##_folds_down_##var;
#include "kernels/norm/norm_variants.h"
#undef X

const lmn_norm_row lmn_norm_f32_rows[] = {
#define X(dt, var, isa, prio)                            \
    {.head = LMN_KROW(norm, dt, var, isa, prio),         \
     .softmax = lmn_norm_##dt##_softmax_##var,           \
     .softmax_down = lmn_norm_##dt##_softmax_down_##var, \
     .log_softmax = lmn_norm_##dt##_log_softmax_##var,   \
     .layer = lmn_norm_##dt##_layer_##var,               \
     .rms = lmn_norm_##dt##_rms_##var,                   \
     .planes = lmn_norm_##dt##_planes_##var,             \
     .folds = lmn_norm_##dt##_folds_##var,               \
     .folds_down = lmn_norm_##dt##_folds_down_##var},
#include "kernels/norm/norm_variants.h"
#undef X
};
const int32_t lmn_norm_f32_n_rows = (int32_t)LMN_COUNT(lmn_norm_f32_rows);
