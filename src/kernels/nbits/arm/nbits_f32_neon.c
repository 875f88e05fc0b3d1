/*
 * nbits row for NEON: the loops of nbits_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/nbits/nbits.h"

typedef uint8x16_t bytes16;

static inline void store8(float *dst, uint8x8_t v, vf s, vf z)
{
    const uint16x8_t w = vmovl_u8(v);
    const vf x = {vcvtq_f32_u32(vmovl_u16(vget_low_u16(w))),
                  vcvtq_f32_u32(vmovl_u16(vget_high_u16(w)))};
    vf_store(dst, vf_mul(vf_sub(x, z), s));
}
static inline void store16(float *dst, bytes16 v, vf s, vf z)
{
    store8(dst, vget_low_u8(v), s, z);
    store8(dst + 8, vget_high_u8(v), s, z);
}

#include "kernels/nbits/nbits_tmpl.h"

lmn_nbits_expand_fn lmn_nbits_f32_expand4_neon, lmn_nbits_f32_expand8_neon;

void lmn_nbits_f32_expand4_neon(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                const float *scale, const float *zp)
{
    expand4_run(dst, q, n, block, scale, zp);
}
void lmn_nbits_f32_expand8_neon(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                const float *scale, const float *zp)
{
    expand8_run(dst, q, n, block, scale, zp);
}
