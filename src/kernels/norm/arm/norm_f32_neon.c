/*
 * f32 norm row for NEON: the loops of norm_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/norm/norm_tmpl.h"

lmn_norm_fn lmn_norm_f32_softmax_neon, lmn_norm_f32_softmax_down_neon, lmn_norm_f32_layer_neon,
    lmn_norm_f32_rms_neon, lmn_norm_f32_sums_neon;

void lmn_norm_f32_softmax_neon(const lmn_norm_block *b)
{
    softmax_run(b);
}
void lmn_norm_f32_softmax_down_neon(const lmn_norm_block *b)
{
    softmax_down_run(b);
}
void lmn_norm_f32_layer_neon(const lmn_norm_block *b)
{
    layer_run(b);
}
void lmn_norm_f32_rms_neon(const lmn_norm_block *b)
{
    rms_run(b);
}
void lmn_norm_f32_sums_neon(const lmn_norm_block *b)
{
    sums_run(b);
}
