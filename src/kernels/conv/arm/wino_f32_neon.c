/*
 * f32 wino row for NEON: the transforms of wino_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/conv/wino_tmpl.h"

lmn_wino_input_fn lmn_wino_f32_input_neon;
lmn_wino_output_fn lmn_wino_f32_output_neon;
lmn_wino_weights_fn lmn_wino_f32_weights_neon;

void lmn_wino_f32_input_neon(const lmn_wino_input *b)
{
    wino_input_run(b);
}
void lmn_wino_f32_output_neon(const lmn_wino_output *b)
{
    wino_output_run(b);
}
void lmn_wino_f32_weights_neon(float *u, int64_t step, const float *w, int64_t n)
{
    wino_weights_run(u, step, w, n);
}
