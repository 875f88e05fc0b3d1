/*
 * f32 attention row for NEON: the loops of attention_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/attention/attention_tmpl.h"

lmn_attention_soften_fn lmn_attention_f32_soften_neon;
lmn_attention_merge_fn lmn_attention_f32_merge_neon;
lmn_attention_finish_fn lmn_attention_f32_finish_neon;

void lmn_attention_f32_soften_neon(const lmn_attention_soft *b)
{
    soften_run(b);
}
void lmn_attention_f32_merge_neon(const lmn_attention_merge *b)
{
    merge_run(b);
}
void lmn_attention_f32_finish_neon(const lmn_attention_finish *b)
{
    finish_run(b);
}
