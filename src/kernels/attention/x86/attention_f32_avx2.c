/*
 * f32 attention row for AVX2: the loops of attention_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/attention/attention_tmpl.h"

lmn_attention_soften_fn lmn_attention_f32_soften_avx2;
lmn_attention_merge_fn lmn_attention_f32_merge_avx2;
lmn_attention_finish_fn lmn_attention_f32_finish_avx2;

void lmn_attention_f32_soften_avx2(const lmn_attention_soft *b)
{
    soften_run(b);
}
void lmn_attention_f32_merge_avx2(const lmn_attention_merge *b)
{
    merge_run(b);
}
void lmn_attention_f32_finish_avx2(const lmn_attention_finish *b)
{
    finish_run(b);
}
