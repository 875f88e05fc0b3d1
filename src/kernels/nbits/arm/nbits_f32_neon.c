/*
 * nbits row for NEON: the loops of nbits_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/nbits/nbits.h"

typedef uint8x16_t bytes16;

/* Eight weights. */
static inline vf widen(uint8x8_t v, vf s, vf z)
{
    const uint16x8_t w = vmovl_u8(v);
    const vf x = {vcvtq_f32_u32(vmovl_u16(vget_low_u16(w))),
                  vcvtq_f32_u32(vmovl_u16(vget_high_u16(w)))};
    return vf_mul(vf_sub(x, z), s);
}
static inline void store16(float *dst, bytes16 v, vf s, vf z)
{
    vf_store(dst, widen(vget_low_u8(v), s, z));
    vf_store(dst + 8, widen(vget_high_u8(v), s, z));
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

typedef struct v16 {
    vf a, b;
} v16;

VF_INLINE v16 v16_zero(void)
{
    return (v16){vf_zero(), vf_zero()};
}
VF_INLINE v16 v16_fma(v16 w, const float *p, v16 c)
{
    return (v16){vf_fma(w.a, vf_load(p), c.a), vf_fma(w.b, vf_load(p + 8), c.b)};
}
VF_INLINE float v16_sum(v16 c)
{
    const vf a = vf_add(c.a, c.b);
    const float32x4_t d = vaddq_f32(a.a, a.b);
    const float32x2_t e = vadd_f32(vget_low_f32(d), vget_high_f32(d));
    return vget_lane_f32(e, 0) + vget_lane_f32(e, 1);
}

VF_INLINE v16 base8(float zp)
{
    return (v16){vf_set1(zp), vf_set1(zp)};
}
VF_INLINE v16 base4(float zp)
{
    return base8(zp);
}
/* Sixteen bytes as weights. */
VF_INLINE v16 widened(bytes16 v, v16 base, const float *scale)
{
    const vf by = vf_bcast(scale);
    return (v16){widen(vget_low_u8(v), by, base.a), widen(vget_high_u8(v), by, base.a)};
}
VF_INLINE void widen4(const uint8_t *q, const float *scale, v16 base, v16 *f, v16 *s)
{
    const bytes16 v = vld1q_u8(q);
    *f = widened(vandq_u8(v, vdupq_n_u8(15)), base, scale);
    *s = widened(vshrq_n_u8(v, 4), base, scale);
}
VF_INLINE void widen8(const uint8_t *q, const float *scale, v16 base, v16 *f, v16 *s)
{
    *f = widened(vld1q_u8(q), base, scale);
    *s = widened(vld1q_u8(q + 16), base, scale);
}

#include "kernels/nbits/nbits_mul_tmpl.h"

MUL_INSTANCE(1, 1, 4)
MUL_INSTANCE(1, 2, 4)
MUL_INSTANCE(1, 1, 8)
MUL_INSTANCE(1, 2, 8)

lmn_nbits_mul_fn lmn_nbits_f32_mul_neon;

void lmn_nbits_f32_mul_neon(const lmn_nbits_block *b)
{
    static mul_fn *const four[2][2] = {{mul_1_1_4, mul_1_2_4}, {mul_1_1_4, mul_1_2_4}};
    static mul_fn *const eight[2][2] = {{mul_1_1_8, mul_1_2_8}, {mul_1_1_8, mul_1_2_8}};
    mul_run(b, b->w.bits == 4 ? four : eight, 1, 2);
}
