/*
 * f32 attention row for AVX-512: the loops of attention_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/attention/attention_tmpl.h"

lmn_attention_soften_fn lmn_attention_f32_soften_avx512;
lmn_attention_merge_fn lmn_attention_f32_merge_avx512;
lmn_attention_finish_fn lmn_attention_f32_finish_avx512;

void lmn_attention_f32_soften_avx512(const lmn_attention_soft *b)
{
    soften_run(b);
}
void lmn_attention_f32_merge_avx512(const lmn_attention_merge *b)
{
    merge_run(b);
}
void lmn_attention_f32_finish_avx512(const lmn_attention_finish *b)
{
    finish_run(b);
}
