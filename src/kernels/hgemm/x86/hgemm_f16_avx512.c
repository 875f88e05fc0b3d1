/*
 * f16 hgemm row for AVX-512: operands widened to f32, products on the gemm.f32 tile of 8 x 48.
 */
#include "kernels/simd/simd_avx512.h"

#define HG_NR 48
#define HG_DOT_M 4

VF_INLINE vf half_load(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
VF_INLINE vf half_loadn(const uint16_t *p, int64_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vm_first(n), p));
}
VF_INLINE void half_storen(uint16_t *p, vf v, int64_t n)
{
    const __m256i y = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    _mm256_mask_storeu_epi16(p, vm_first(n), y);
}
#include "kernels/hgemm/hgemm_wide_tmpl.h"

HG_DEFINE(f16, avx512)
