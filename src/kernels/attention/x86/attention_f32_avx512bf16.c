/*
 * f32 attention row for AVX-512 with bf16: that of AVX-512, and weights that leave as bf16 while
 * their exponentials are in registers, which need not be more exact than that.
 */
#include "kernels/hgemm/hgemm_bf16_avx512.h"
#include "kernels/simd/simd_math.h"

#include "kernels/attention/attention_tmpl.h"

lmn_attention_soften_fn lmn_attention_f32_soften_avx512bf16;
lmn_attention_weigh_fn lmn_attention_f32_weigh_avx512bf16;
lmn_attention_merge_fn lmn_attention_f32_merge_avx512bf16;
lmn_attention_finish_fn lmn_attention_f32_finish_avx512bf16;

void lmn_attention_f32_soften_avx512bf16(const lmn_attention_soft *b)
{
    soften_run(b);
}
void lmn_attention_f32_merge_avx512bf16(const lmn_attention_merge *b)
{
    merge_run(b);
}
void lmn_attention_f32_finish_avx512bf16(const lmn_attention_finish *b)
{
    finish_run(b);
}

/* Of sixteen keys from j on, those that are seen. */
VF_INLINE vm seen(int64_t j, int64_t lo, int64_t hi)
{
    return vm_first(hi - j) & (vm)~vm_first(lo - j);
}

/* Weights of keys j .. j + 31, of which those of the masks are seen, added to the sums. */
VF_INLINE __m512i weigh32(const float *s, vf top, vm in0, vm in1, vf sum[2])
{
    const vf e0 = vf_select(in0, bf16_exp(vf_sub(vf_loadm(s, in0), top)), vf_zero());
    const vf e1 = vf_select(in1, bf16_exp(vf_sub(vf_loadm(s + VF_LANES, in1), top)), vf_zero());
    sum[0] = vf_add(sum[0], e0), sum[1] = vf_add(sum[1], e1);
    return (__m512i)_mm512_cvtne2ps_pbh(e1, e0);
}

/* The weights of a row of `whole` columns; their sum. */
static float weigh_row(const float *s, int64_t lo, int64_t hi, float top, uint16_t *to,
                       int64_t whole)
{
    enum { ALL = 0xffff, STEP = 2 * VF_LANES };
    const vf t = vf_set1(top);
    vf sum[2] = {vf_zero(), vf_zero()};
    int64_t j = 0;
    for (; j + STEP <= lo; j += STEP) _mm512_storeu_si512(to + j, _mm512_setzero_si512());
    for (; j < whole; j += STEP) {
        if (j >= lo && j + STEP <= hi) {
            _mm512_storeu_si512(to + j, weigh32(s + j, t, ALL, ALL, sum));
            continue;
        }
        const __mmask32 in = whole - j >= STEP ? ~(__mmask32)0 : ((__mmask32)1 << (whole - j)) - 1;
        const vm in0 = seen(j, lo, hi), in1 = seen(j + VF_LANES, lo, hi);
        _mm512_mask_storeu_epi16(to + j, in, weigh32(s + j, t, in0, in1, sum));
    }
    return vf_hsum(vf_add(sum[0], sum[1]));
}

void lmn_attention_f32_weigh_avx512bf16(const lmn_attention_weigh *w)
{
    const lmn_attention_soft *b = &w->soft;
    for (int64_t i = 0; i < b->m; i++) {
        int64_t lo, hi;
        const float top = raise_top(b, i, &lo, &hi);
        b->sum[i] += weigh_row(b->s + i * b->ld, lo, hi, top == -__builtin_inff() ? 0.0f : top,
                               w->to + i * w->ld, w->whole);
    }
}
