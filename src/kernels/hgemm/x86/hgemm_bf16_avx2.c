/*
 * bf16 hgemm row for AVX2: operands widened to f32, products on the gemm.f32 tile of 6 x 16.
 */
#include "kernels/simd/simd_avx2.h"

#include <string.h>

#define HG_NR 16
#define HG_DOT_M 2

VF_INLINE vf half_load(const uint16_t *p)
{
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
VF_INLINE vf half_loadn(const uint16_t *p, int64_t n)
{
    uint16_t h[VF_LANES] = {0};
    memcpy(h, p, (size_t)n * sizeof *h);
    return half_load(h);
}
VF_INLINE void half_storen(uint16_t *p, vf v, int64_t n)
{
    const __m256i u = _mm256_castps_si256(v), high = _mm256_srli_epi32(u, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i h = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, nan);
    const __m128i y = _mm_packus_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    memcpy(p, &y, (size_t)n * sizeof *p);
}
#include "kernels/hgemm/hgemm_wide_tmpl.h"

HG_DEFINE(bf16, avx2)
