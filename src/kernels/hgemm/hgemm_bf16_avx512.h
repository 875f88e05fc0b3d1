/*
 * Vectors of bf16 on AVX-512 without its bf16 instructions: 32 as they are; sixteen by exact
 * widening, a shift, and rounded to nearest even in integers, so that every row gives the same
 * bits, NaN included.
 */
#ifndef LMN_KERNELS_HGEMM_BF16_AVX512_H
#define LMN_KERNELS_HGEMM_BF16_AVX512_H

#include "kernels/simd/simd_avx512.h"

VF_INLINE __mmask32 first32(int64_t n)
{
    return n >= 32 ? ~(__mmask32)0 : n <= 0 ? 0 : (__mmask32)((1u << n) - 1);
}
VF_INLINE __m512i load32(const uint16_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}
VF_INLINE __m512i load32n(const uint16_t *p, int64_t n)
{
    return _mm512_maskz_loadu_epi16(first32(n), p);
}
VF_INLINE vf bf16_widen(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
/* In the low halves of the 32-bit lanes; the high halves are 0. */
VF_INLINE __m512i bf16_round(vf v)
{
    const __m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
    return _mm512_mask_mov_epi32(_mm512_srli_epi32(up, 16), vf_unord(v, v), quiet);
}
/* What is on its way to 16 bits need not be more exact than a thirtieth of what rounding adds. 2^x:
   the power of a fraction is a polynomial within 2.6e-6 (Remez' error on 0 .. 1). */
VF_INLINE vf bf16_exp2(vf x)
{
    enum { FRACTION = 0x09 }; /* x - floor(x), of an infinity 0 */
    const vf r = _mm512_reduce_ps(x, FRACTION);
    vf p = vf_fma(vf_set1(0.013534167781472206f), r, vf_set1(0.052011460065841675f));
    p = vf_fma(p, r, vf_set1(0.2414427548646927f));
    p = vf_fma(p, r, vf_set1(0.6930038332939148f));
    p = vf_fma(p, r, vf_set1(1.0000026226043701f));
    return _mm512_scalef_ps(p, x);
}
VF_INLINE vf bf16_exp(vf x)
{
    return bf16_exp2(vf_mul(x, vf_set1(1.4426950408889634f)));
}
/* x / (1 + e^-x), within 2^-13 at half the price of vf_silu; -inf gives -0. */
VF_INLINE vf bf16_silu(vf x)
{
    const vf e = bf16_exp2(vf_mul(x, vf_set1(-1.4426950408889634f)));
    return vf_mul(vf_max(vf_set1(-3.0e38f), x), _mm512_rcp14_ps(vf_add(vf_set1(1.0f), e)));
}
VF_INLINE void bf16_store(uint16_t *p, vf v, int64_t n)
{
    _mm512_mask_cvtepi32_storeu_epi16(p, vm_first(n), bf16_round(v));
}

#endif
