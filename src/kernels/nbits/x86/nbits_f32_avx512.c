/*
 * nbits row for AVX-512: the loops of nbits_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/nbits/nbits.h"

typedef __m128i bytes16;

static inline void store16(float *dst, bytes16 v, vf s, vf z)
{
    vf_store(dst, vf_mul(vf_sub(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v)), z), s));
}

#include "kernels/nbits/nbits_tmpl.h"

lmn_nbits_expand_fn lmn_nbits_f32_expand4_avx512, lmn_nbits_f32_expand8_avx512;

void lmn_nbits_f32_expand4_avx512(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                  const float *scale, const float *zp)
{
    expand4_run(dst, q, n, block, scale, zp);
}
void lmn_nbits_f32_expand8_avx512(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                  const float *scale, const float *zp)
{
    expand8_run(dst, q, n, block, scale, zp);
}
