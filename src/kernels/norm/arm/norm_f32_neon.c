/*
 * f32 norm row for NEON: the loops of norm_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/norm/norm_tmpl.h"

lmn_norm_fn lmn_norm_f32_softmax_neon, lmn_norm_f32_softmax_down_neon,
    lmn_norm_f32_log_softmax_neon, lmn_norm_f32_layer_neon, lmn_norm_f32_rms_neon,
    lmn_norm_f32_planes_neon, lmn_norm_f32_folds_neon, lmn_norm_f32_folds_down_neon;

void lmn_norm_f32_softmax_neon(const lmn_norm_block *b)
{
    softmax_run(b);
}
void lmn_norm_f32_softmax_down_neon(const lmn_norm_block *b)
{
    softmax_down_run(b);
}
void lmn_norm_f32_log_softmax_neon(const lmn_norm_block *b)
{
    log_softmax_run(b);
}
void lmn_norm_f32_layer_neon(const lmn_norm_block *b)
{
    layer_run(b);
}
void lmn_norm_f32_rms_neon(const lmn_norm_block *b)
{
    rms_run(b);
}
void lmn_norm_f32_planes_neon(const lmn_norm_block *b)
{
    planes_run(b);
}
void lmn_norm_f32_folds_neon(const lmn_norm_block *b)
{
    folds_run(b);
}
void lmn_norm_f32_folds_down_neon(const lmn_norm_block *b)
{
    folds_down_run(b);
}
