/*
 * The table of qmap rows, made from qmap_variants.h.
 */
#include "kernels/qmap/qmap.h"

#define X(dt, var, isa, prio)                                \
    lmn_qmap_quantize_fn lmn_qmap_##dt##_quantize_##var;     \
    lmn_qmap_dequantize_fn lmn_qmap_##dt##_dequantize_##var; \
    lmn_qmap_pair_fn lmn_qmap_##dt##_pair_##var;             \
    lmn_qmap_clip_fn lmn_qmap_##dt##_clip_##var;             \
    lmn_qmap_max_fn lmn_qmap_##dt##_max_##var;               \
    lmn_qmap_requantize_fn lmn_qmap_##dt##_requantize_##var; \
    lmn_qmap_bounds_fn lmn_qmap_##dt##_bounds_##var;         \
    lmn_qmap_add_up_fn lmn_qmap_##dt##_add_up_##var;
#include "kernels/qmap/qmap_variants.h"
#undef X

const lmn_qmap_row lmn_qmap_i8_rows[] = {
#define X(dt, var, isa, prio)                                            \
    {LMN_KROW(qmap, dt, var, isa, prio), lmn_qmap_##dt##_quantize_##var, \
     lmn_qmap_##dt##_dequantize_##var,   lmn_qmap_##dt##_pair_##var,     \
     lmn_qmap_##dt##_clip_##var,         lmn_qmap_##dt##_max_##var,      \
     lmn_qmap_##dt##_requantize_##var,   lmn_qmap_##dt##_bounds_##var,   \
     lmn_qmap_##dt##_add_up_##var},
#include "kernels/qmap/qmap_variants.h"
#undef X
};
const int32_t lmn_qmap_i8_n_rows = (int32_t)LMN_COUNT(lmn_qmap_i8_rows);
