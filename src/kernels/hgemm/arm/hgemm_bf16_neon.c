/*
 * bf16 hgemm row for NEON: operands widened to f32, products on the gemm.f32 tile of 6 x 16.
 */
#include "kernels/simd/simd_neon.h"

#include <string.h>

#define HG_NR 16
#define HG_DOT_M 2

VF_INLINE vf half_load(const uint16_t *p)
{
    const uint16x8_t h = vreinterpretq_u16_u8(vld1q_u8((const uint8_t *)p)); /* at any address */
    return (vf){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16)),
                vreinterpretq_f32_u32(vshll_high_n_u16(h, 16))};
}
VF_INLINE vf half_loadn(const uint16_t *p, int64_t n)
{
    uint16_t h[VF_LANES] = {0};
    memcpy(h, p, (size_t)n * sizeof *h);
    return half_load(h);
}
VF_INLINE uint32x4_t round_half_(float32x4_t v)
{
    const uint32x4_t u = vreinterpretq_u32_f32(v), high = vshrq_n_u32(u, 16);
    const uint32x4_t odd = vandq_u32(high, vdupq_n_u32(1));
    const uint32x4_t up = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(high, vdupq_n_u32(0x40));
    return vbslq_u32(vceqq_f32(v, v), vshrq_n_u32(up, 16), quiet);
}
VF_INLINE void half_storen(uint16_t *p, vf v, int64_t n)
{
    const uint16x8_t y = vcombine_u16(vmovn_u32(round_half_(v.a)), vmovn_u32(round_half_(v.b)));
    memcpy(p, &y, (size_t)n * sizeof *p);
}
#include "kernels/hgemm/hgemm_wide_tmpl.h"

HG_DEFINE(bf16, neon)
