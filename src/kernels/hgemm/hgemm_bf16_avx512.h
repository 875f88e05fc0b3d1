/*
 * Sixteen bf16 at a time on AVX-512 without its bf16 instructions: exact widening by a shift,
 * rounding to nearest even in integers, so that every row gives the same bits, NaN included.
 */
#ifndef LMN_KERNELS_HGEMM_BF16_AVX512_H
#define LMN_KERNELS_HGEMM_BF16_AVX512_H

#include "kernels/simd/simd_avx512.h"

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
VF_INLINE void bf16_store(uint16_t *p, vf v, int64_t n)
{
    _mm512_mask_cvtepi32_storeu_epi16(p, vm_first(n), bf16_round(v));
}

#endif
