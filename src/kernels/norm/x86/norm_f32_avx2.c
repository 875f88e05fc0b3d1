/*
 * f32 norm row for AVX2: the loops of norm_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/norm/norm_tmpl.h"

lmn_norm_fn lmn_norm_f32_softmax_avx2, lmn_norm_f32_softmax_down_avx2,
    lmn_norm_f32_log_softmax_avx2, lmn_norm_f32_layer_avx2, lmn_norm_f32_rms_avx2,
    lmn_norm_f32_planes_avx2, lmn_norm_f32_folds_avx2, lmn_norm_f32_folds_down_avx2;

void lmn_norm_f32_softmax_avx2(const lmn_norm_block *b)
{
    softmax_run(b);
}
void lmn_norm_f32_softmax_down_avx2(const lmn_norm_block *b)
{
    softmax_down_run(b);
}
void lmn_norm_f32_log_softmax_avx2(const lmn_norm_block *b)
{
    log_softmax_run(b);
}
void lmn_norm_f32_layer_avx2(const lmn_norm_block *b)
{
    layer_run(b);
}
void lmn_norm_f32_rms_avx2(const lmn_norm_block *b)
{
    rms_run(b);
}
void lmn_norm_f32_planes_avx2(const lmn_norm_block *b)
{
    planes_run(b);
}
void lmn_norm_f32_folds_avx2(const lmn_norm_block *b)
{
    folds_run(b);
}
void lmn_norm_f32_folds_down_avx2(const lmn_norm_block *b)
{
    folds_down_run(b);
}
