/*
 * bf16 hgemm row for AVX-512: operands widened to f32, products on the gemm.f32 tile of 8 x 48.
 */
#include "kernels/hgemm/hgemm_bf16_avx512.h"

#define HG_NR 48
#define HG_DOT_M 4

VF_INLINE vf half_load(const uint16_t *p)
{
    return bf16_widen(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
VF_INLINE vf half_loadn(const uint16_t *p, int64_t n)
{
    return bf16_widen(_mm256_maskz_loadu_epi16(vm_first(n), p));
}
VF_INLINE void half_storen(uint16_t *p, vf v, int64_t n)
{
    bf16_store(p, v, n);
}
#include "kernels/hgemm/hgemm_wide_tmpl.h"

HG_DEFINE(bf16, avx512)
