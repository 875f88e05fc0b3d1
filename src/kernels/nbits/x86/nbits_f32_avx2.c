/*
 * nbits row for AVX2: the loops of nbits_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/nbits/nbits.h"

typedef __m128i bytes16;

static inline void store16(float *dst, bytes16 v, vf s, vf z)
{
    const __m256i a = _mm256_cvtepu8_epi32(v), b = _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8));
    vf_store(dst, vf_mul(vf_sub(_mm256_cvtepi32_ps(a), z), s));
    vf_store(dst + 8, vf_mul(vf_sub(_mm256_cvtepi32_ps(b), z), s));
}

#include "kernels/nbits/nbits_tmpl.h"

lmn_nbits_expand_fn lmn_nbits_f32_expand4_avx2, lmn_nbits_f32_expand8_avx2;

void lmn_nbits_f32_expand4_avx2(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                const float *scale, const float *zp)
{
    expand4_run(dst, q, n, block, scale, zp);
}
void lmn_nbits_f32_expand8_avx2(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                const float *scale, const float *zp)
{
    expand8_run(dst, q, n, block, scale, zp);
}
