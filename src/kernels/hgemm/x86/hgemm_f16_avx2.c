/*
 * f16 hgemm row for AVX2: operands widened to f32, products on the gemm.f32 tile of 6 x 16.
 */
#include "kernels/simd/simd_avx2.h"

#include <string.h>

#define HG_NR 16
#define HG_DOT_M 2

VF_INLINE vf half_load(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
VF_INLINE vf half_loadn(const uint16_t *p, int64_t n)
{
    uint16_t h[VF_LANES] = {0};
    memcpy(h, p, (size_t)n * sizeof *h);
    return half_load(h);
}
VF_INLINE void half_storen(uint16_t *p, vf v, int64_t n)
{
    const __m128i y = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    memcpy(p, &y, (size_t)n * sizeof *p);
}
#include "kernels/hgemm/hgemm_wide_tmpl.h"

HG_DEFINE(f16, avx2)
