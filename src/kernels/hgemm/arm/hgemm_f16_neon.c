/*
 * f16 hgemm row for NEON: operands widened to f32, products on the gemm.f32 tile of 6 x 16.
 */
#include "kernels/simd/simd_neon.h"

#include <string.h>

#define HG_NR 16
#define HG_DOT_M 2

VF_INLINE vf half_load(const uint16_t *p)
{
    const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8((const uint8_t *)p)); /* at any address */
    return (vf){vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h)};
}
VF_INLINE vf half_loadn(const uint16_t *p, int64_t n)
{
    uint16_t h[VF_LANES] = {0};
    memcpy(h, p, (size_t)n * sizeof *h);
    return half_load(h);
}
VF_INLINE void half_storen(uint16_t *p, vf v, int64_t n)
{
    const float16x8_t y = vcvt_high_f16_f32(vcvt_f16_f32(v.a), v.b);
    memcpy(p, &y, (size_t)n * sizeof *p);
}
#include "kernels/hgemm/hgemm_wide_tmpl.h"

HG_DEFINE(f16, neon)
