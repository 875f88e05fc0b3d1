/*
 * Eight f32 lanes in two NEON registers under the names the kernel templates use (vf_*, vm_*).
 * Include it only in files whose suffix is _neon; everything is static, so nothing leaks into other
 * objects. Eight lanes and not four, so that every tile, tree of sums and tail is that of
 * simd_avx2.h and the results are the same bit for bit. NaN may differ in sign and payload.
 */
#ifndef LMN_KERNELS_SIMD_NEON_H
#define LMN_KERNELS_SIMD_NEON_H

#include <arm_neon.h>

#include "base/types.h"

#define VF_LANES 8
#define VF_INLINE static inline __attribute__((always_inline, unused))
typedef struct vf {
    float32x4_t a, b;
} vf;
typedef struct vm {
    uint32x4_t a, b; /* all ones in a chosen lane: tails and comparisons */
} vm;

typedef float vf_real;

#define VF_EACH(name, op)              \
    VF_INLINE vf name(vf x)            \
    {                                  \
        return (vf){op(x.a), op(x.b)}; \
    }
#define VF_BOTH(type, name, op)                    \
    VF_INLINE type name(vf x, vf y)                \
    {                                              \
        return (type){op(x.a, y.a), op(x.b, y.b)}; \
    }
VF_BOTH(vf, vf_add, vaddq_f32)
VF_BOTH(vf, vf_sub, vsubq_f32)
VF_BOTH(vf, vf_mul, vmulq_f32)
VF_BOTH(vf, vf_div, vdivq_f32)
VF_EACH(vf_sqrt, vsqrtq_f32)
/* Nearest integer, ties to even. */
VF_EACH(vf_rint, vrndnq_f32)
VF_EACH(vf_floor, vrndmq_f32)
VF_EACH(vf_ceil, vrndpq_f32)
VF_EACH(vf_trunc, vrndq_f32)
/* Ordered comparisons: false for NaN. */
VF_BOTH(vm, vf_lt, vcltq_f32)
VF_BOTH(vm, vf_le, vcleq_f32)
VF_BOTH(vm, vf_eq, vceqq_f32)
#undef VF_EACH
#undef VF_BOTH

/* Lanes 0 .. n-1; n is clamped to 0 .. 8. */
VF_INLINE vm vm_first(int64_t n)
{
    static const uint32_t LANE[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const uint32x4_t c = vdupq_n_u32(n > 8 ? 8 : n < 0 ? 0 : (uint32_t)n);
    return (vm){vcltq_u32(vld1q_u32(LANE), c), vcltq_u32(vld1q_u32(LANE + 4), c)};
}
/* Lanes lo .. hi-1. */
VF_INLINE vm vm_range(int64_t lo, int64_t hi)
{
    const vm l = vm_first(lo), h = vm_first(hi);
    return (vm){vbicq_u32(h.a, l.a), vbicq_u32(h.b, l.b)};
}
VF_INLINE vf vf_set1(float x)
{
    const float32x4_t v = vdupq_n_f32(x);
    return (vf){v, v};
}
VF_INLINE vf vf_zero(void)
{
    return vf_set1(0.0f);
}
/* The float at p in all lanes; p at any address, as weights in a mapped file are. */
VF_INLINE vf vf_bcast(const float *p)
{
    typedef float anywhere __attribute__((aligned(1), may_alias));
    return vf_set1(*(const anywhere *)p);
}
VF_INLINE vf vf_load(const float *p)
{
    return (vf){vld1q_f32(p), vld1q_f32(p + 4)};
}
VF_INLINE void vf_store(float *p, vf v)
{
    vst1q_f32(p, v.a);
    vst1q_f32(p + 4, v.b);
}

/* NEON has no masked access: whole halves at once, others lane by lane. */
VF_INLINE float32x4_t vf_load_half_(const float *p, uint32x4_t m)
{
    if (vminvq_u32(m)) return vld1q_f32(p);
    float32x4_t v = vdupq_n_f32(0.0f);
    if (vgetq_lane_u32(m, 0)) v = vld1q_lane_f32(p, v, 0);
    if (vgetq_lane_u32(m, 1)) v = vld1q_lane_f32(p + 1, v, 1);
    if (vgetq_lane_u32(m, 2)) v = vld1q_lane_f32(p + 2, v, 2);
    if (vgetq_lane_u32(m, 3)) v = vld1q_lane_f32(p + 3, v, 3);
    return v;
}
VF_INLINE void vf_store_half_(float *p, uint32x4_t m, float32x4_t v)
{
    if (vminvq_u32(m)) {
        vst1q_f32(p, v);
        return;
    }
    if (vgetq_lane_u32(m, 0)) vst1q_lane_f32(p, v, 0);
    if (vgetq_lane_u32(m, 1)) vst1q_lane_f32(p + 1, v, 1);
    if (vgetq_lane_u32(m, 2)) vst1q_lane_f32(p + 2, v, 2);
    if (vgetq_lane_u32(m, 3)) vst1q_lane_f32(p + 3, v, 3);
}
/* Masked lanes are not touched in memory; a load gives +0 there. */
VF_INLINE vf vf_loadm(const float *p, vm m)
{
    return (vf){vf_load_half_(p, m.a), vf_load_half_(p + 4, m.b)};
}
VF_INLINE void vf_storem(float *p, vm m, vf v)
{
    vf_store_half_(p, m.a, v.a);
    vf_store_half_(p + 4, m.b, v.b);
}

/* The low half alone. */
VF_INLINE vf vf_loadm_lo(const float *p, vm m)
{
    return (vf){vf_load_half_(p, m.a), vdupq_n_f32(0.0f)};
}
VF_INLINE void vf_storem_lo(float *p, vm m, vf v)
{
    vf_store_half_(p, m.a, v.a);
}
VF_INLINE vf vf_fma_lo(vf x, vf y, vf z)
{
    return (vf){vfmaq_f32(z.a, x.a, y.a), z.b};
}
/* Stores past the caches are the compiler's to choose here; nothing is left to fence. */
VF_INLINE void vf_stream(float *p, vf v)
{
    vf_store(p, v);
}
VF_INLINE void vf_fence(void) {}
VF_INLINE vf vf_fma(vf x, vf y, vf z)
{
    return (vf){vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)};
}
/* *c += a * b */
VF_INLINE void vf_fma_to(vf *c, vf a, vf b)
{
    *c = vf_fma(a, b, *c);
}
/* z - x * y */
VF_INLINE vf vf_fnma(vf x, vf y, vf z)
{
    return (vf){vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b)};
}
/* m ? x : y */
VF_INLINE vf vf_select(vm m, vf x, vf y)
{
    return (vf){vbslq_f32(m.a, x.a, y.a), vbslq_f32(m.b, x.b, y.b)};
}
/* The second operand when either is NaN: put the data second and NaN goes through. */
VF_INLINE vf vf_max(vf x, vf y)
{
    return vf_select(vf_lt(y, x), x, y);
}
VF_INLINE vf vf_min(vf x, vf y)
{
    return vf_select(vf_lt(x, y), x, y);
}
VF_INLINE vm vf_unord(vf x, vf y)
{
    const vm o = {vandq_u32(vceqq_f32(x.a, x.a), vceqq_f32(y.a, y.a)),
                  vandq_u32(vceqq_f32(x.b, x.b), vceqq_f32(y.b, y.b))};
    return (vm){vmvnq_u32(o.a), vmvnq_u32(o.b)};
}
#define VF_BITS(x) vreinterpretq_u32_f32(x)
#define VF_LOGIC(name, op)                                                  \
    VF_INLINE vf name(vf x, vf y)                                           \
    {                                                                       \
        return (vf){vreinterpretq_f32_u32(op(VF_BITS(x.a), VF_BITS(y.a))),  \
                    vreinterpretq_f32_u32(op(VF_BITS(x.b), VF_BITS(y.b)))}; \
    }
VF_LOGIC(vf_and, vandq_u32)
VF_LOGIC(vf_or, vorrq_u32)
VF_LOGIC(vf_xor, veorq_u32)
#undef VF_LOGIC
/* ~x & y */
VF_INLINE vf vf_andnot(vf x, vf y)
{
    return (vf){vreinterpretq_f32_u32(vbicq_u32(VF_BITS(y.a), VF_BITS(x.a))),
                vreinterpretq_f32_u32(vbicq_u32(VF_BITS(y.b), VF_BITS(x.b)))};
}
#undef VF_BITS

VF_INLINE float32x4_t vf_exp2i_(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
VF_INLINE float32x4_t vf_scale2_half_(float32x4_t x, float32x4_t n)
{
    const int32x4_t i = vcvtnq_s32_f32(n), half = vshrq_n_s32(i, 1);
    return vmulq_f32(vmulq_f32(x, vf_exp2i_(half)), vf_exp2i_(vsubq_s32(i, half)));
}
/* x * 2^n for integral |n| <= 252: two factors, so that only the second product can round. */
VF_INLINE vf vf_scale2(vf x, vf n)
{
    return (vf){vf_scale2_half_(x.a, n.a), vf_scale2_half_(x.b, n.b)};
}
/* Sum over the lanes: halves are folded, so the order is a fixed tree. */
VF_INLINE float vf_hsum(vf v)
{
    const float32x4_t x = vaddq_f32(v.a, v.b);
    const float32x2_t y = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(y, 0) + vget_lane_f32(y, 1);
}
/* Largest lane; none may be NaN. */
VF_INLINE float vf_hmax(vf v)
{
    return vmaxvq_f32(vmaxq_f32(v.a, v.b));
}
/* out[q] = vf_hsum(v[q]), bit for bit. */
VF_INLINE void vf_hsum4(const vf v[4], float out[4])
{
    for (int q = 0; q < 4; q++) out[q] = vf_hsum(v[q]);
}
/* Is any lane chosen? */
VF_INLINE bool vm_any(vm m)
{
    return vmaxvq_u32(vorrq_u32(m.a, m.b)) != 0;
}

VF_INLINE vm vm_or(vm a, vm b)
{
    return (vm){vorrq_u32(a.a, b.a), vorrq_u32(a.b, b.b)};
}
VF_INLINE int32x4_t vf_split2_half_(float32x4_t x)
{
    const int32x4_t i = vreinterpretq_s32_f32(x);
    return vshrq_n_s32(vsubq_s32(i, vdupq_n_s32(0x3f2aaaab)), 23);
}
VF_INLINE float32x4_t vf_split2_rest_(float32x4_t x, int32x4_t n)
{
    return vreinterpretq_f32_s32(vsubq_s32(vreinterpretq_s32_f32(x), vshlq_n_s32(n, 23)));
}
/* x = result * 2^e with the result in [2/3, 4/3); x is positive and normal. */
VF_INLINE vf vf_split2(vf x, vf *e)
{
    const int32x4_t a = vf_split2_half_(x.a), b = vf_split2_half_(x.b);
    *e = (vf){vcvtq_f32_s32(a), vcvtq_f32_s32(b)};
    return (vf){vf_split2_rest_(x.a, a), vf_split2_rest_(x.b, b)};
}
VF_INLINE float32x4_t vf_quadrant_half_(float32x4_t j, int32_t shift, float32x4_t even,
                                        float32x4_t odd)
{
    const int32x4_t q = vaddq_s32(vcvtnq_s32_f32(j), vdupq_n_s32(shift));
    const uint32x4_t is_odd = vtstq_s32(q, vdupq_n_s32(1));
    const uint32x4_t sign = vshlq_n_u32(vshrq_n_u32(vreinterpretq_u32_s32(q), 1), 31);
    const float32x4_t v = vbslq_f32(is_odd, odd, even);
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(v), sign));
}
/* With q = j + shift, j integral: `even` where q is even, `odd` where it is odd; negated where q
   divided by 2 is odd. */
VF_INLINE vf vf_quadrant(vf j, int32_t shift, vf even, vf odd)
{
    return (vf){vf_quadrant_half_(j.a, shift, even.a, odd.a),
                vf_quadrant_half_(j.b, shift, even.b, odd.b)};
}
/* Every second lane of x, then of y. */
VF_INLINE vf vf_evens(vf x, vf y)
{
    return (vf){vuzp1q_f32(x.a, x.b), vuzp1q_f32(y.a, y.b)};
}
/* Lane t is p[2 t]: m0 are the lanes to load at p, m1 those at p + 8; +0 elsewhere. */
VF_INLINE vf vf_load_even_masked(const float *p, vm m0, vm m1)
{
    return vf_evens(vf_loadm(p, m0), vf_loadm(p + 8, m1));
}
/* Lane t is p[2 t] for lo <= t < hi, else +0; nothing else is read. */
VF_INLINE vf vf_load_even(const float *p, int64_t lo, int64_t hi)
{
    return vf_load_even_masked(p, vm_range(2 * lo, 2 * hi - 1), vm_range(2 * lo - 8, 2 * hi - 9));
}

/* Rows r[0 .. 3] of a 4 x 4 matrix to its columns. */
VF_INLINE void vf_transpose4_(float32x4_t r[4])
{
    const float32x4_t t0 = vzip1q_f32(r[0], r[2]), t1 = vzip1q_f32(r[1], r[3]),
                      t2 = vzip2q_f32(r[0], r[2]), t3 = vzip2q_f32(r[1], r[3]);
    r[0] = vzip1q_f32(t0, t1), r[1] = vzip2q_f32(t0, t1);
    r[2] = vzip1q_f32(t2, t3), r[3] = vzip2q_f32(t2, t3);
}
/* Eight vectors are the rows of a matrix; on return they are its columns. */
VF_INLINE void vf_transpose(vf r[VF_LANES])
{
    float32x4_t ul[4] = {r[0].a, r[1].a, r[2].a, r[3].a}, ur[4] = {r[0].b, r[1].b, r[2].b, r[3].b};
    float32x4_t ll[4] = {r[4].a, r[5].a, r[6].a, r[7].a}, lr[4] = {r[4].b, r[5].b, r[6].b, r[7].b};
    vf_transpose4_(ul);
    vf_transpose4_(ur);
    vf_transpose4_(ll);
    vf_transpose4_(lr);
    r[0] = (vf){ul[0], ll[0]}, r[1] = (vf){ul[1], ll[1]};
    r[2] = (vf){ul[2], ll[2]}, r[3] = (vf){ul[3], ll[3]};
    r[4] = (vf){ur[0], lr[0]}, r[5] = (vf){ur[1], lr[1]};
    r[6] = (vf){ur[2], lr[2]}, r[7] = (vf){ur[3], lr[3]};
}

/* 4 x VF_LANES neighbours to four vectors: out[i] lane t = element 4 t + i. */
VF_INLINE void vf_deal4(const vf in[4], vf *out)
{
    const float32x4_t e0 = vuzp1q_f32(in[0].a, in[0].b), o0 = vuzp2q_f32(in[0].a, in[0].b),
                      e1 = vuzp1q_f32(in[1].a, in[1].b), o1 = vuzp2q_f32(in[1].a, in[1].b),
                      e2 = vuzp1q_f32(in[2].a, in[2].b), o2 = vuzp2q_f32(in[2].a, in[2].b),
                      e3 = vuzp1q_f32(in[3].a, in[3].b), o3 = vuzp2q_f32(in[3].a, in[3].b);
    out[0] = (vf){vuzp1q_f32(e0, e1), vuzp1q_f32(e2, e3)};
    out[1] = (vf){vuzp1q_f32(o0, o1), vuzp1q_f32(o2, o3)};
    out[2] = (vf){vuzp2q_f32(e0, e1), vuzp2q_f32(e2, e3)};
    out[3] = (vf){vuzp2q_f32(o0, o1), vuzp2q_f32(o2, o3)};
}
/* The reverse of vf_deal4. */
VF_INLINE void vf_join4(const vf *in, vf out[4])
{
    float32x4_t lo[4] = {in[0].a, in[1].a, in[2].a, in[3].a};
    float32x4_t hi[4] = {in[0].b, in[1].b, in[2].b, in[3].b};
    vf_transpose4_(lo);
    vf_transpose4_(hi);
    out[0] = (vf){lo[0], lo[1]}, out[1] = (vf){lo[2], lo[3]};
    out[2] = (vf){hi[0], hi[1]}, out[3] = (vf){hi[2], hi[3]};
}

VF_INLINE float32x4_t vf_step_half_(const float *p, int64_t step, uint32x4_t m)
{
    float32x4_t v = vdupq_n_f32(0.0f);
    if (vgetq_lane_u32(m, 0)) v = vld1q_lane_f32(p, v, 0);
    if (vgetq_lane_u32(m, 1)) v = vld1q_lane_f32(p + step, v, 1);
    if (vgetq_lane_u32(m, 2)) v = vld1q_lane_f32(p + 2 * step, v, 2);
    if (vgetq_lane_u32(m, 3)) v = vld1q_lane_f32(p + 3 * step, v, 3);
    return v;
}
/* Lane l = p[l * step]; lanes outside the mask are not touched and give +0. */
VF_INLINE vf vf_load_step(const float *p, int32_t step, vm m)
{
    return (vf){vf_step_half_(p, step, m.a), vf_step_half_(p + 4 * (int64_t)step, step, m.b)};
}

/* 9 x VF_LANES neighbours to nine vectors: out[q] lane t = element 9 t + q. */
VF_INLINE void vf_deal9(const float *p, vf *out)
{
    for (int q = 0; q < 9; q++) out[q] = vf_load_step(p + q, 9, vm_first(VF_LANES));
}

#endif
