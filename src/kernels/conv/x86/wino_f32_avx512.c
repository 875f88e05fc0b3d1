/*
 * f32 wino row for AVX-512: the transforms of wino_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/conv/wino_tmpl.h"

lmn_wino_input_fn lmn_wino_f32_input_avx512;
lmn_wino_output_fn lmn_wino_f32_output_avx512;
lmn_wino_weights_fn lmn_wino_f32_weights_avx512;

void lmn_wino_f32_input_avx512(const lmn_wino_input *b)
{
    wino_input_run(b);
}
void lmn_wino_f32_output_avx512(const lmn_wino_output *b)
{
    wino_output_run(b);
}
void lmn_wino_f32_weights_avx512(float *u, int64_t step, const float *w, int64_t n)
{
    wino_weights_run(u, step, w, n);
}
