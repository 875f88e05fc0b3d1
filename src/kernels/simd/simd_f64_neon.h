/*
 * Four f64 lanes in two NEON registers under the names that the gemm templates use: the f64 twin of
 * simd_neon.h, with only what they need, and with the trees of simd_f64_avx2.h, so that results are
 * the same bit for bit. Include one of the two, in files whose suffix is _neon.
 */
#ifndef LMN_KERNELS_SIMD_F64_NEON_H
#define LMN_KERNELS_SIMD_F64_NEON_H

#include <arm_neon.h>

#include "base/types.h"

#define VF_LANES 4
#define VF_INLINE static inline __attribute__((always_inline, unused))
typedef double vf_real;
typedef struct vf {
    float64x2_t a, b;
} vf;
typedef struct vm {
    int64_t n; /* lanes 0 .. n-1 are chosen; n is any number */
} vm;

VF_INLINE vm vm_first(int64_t n)
{
    return (vm){n};
}
VF_INLINE vf vf_zero(void)
{
    return (vf){vdupq_n_f64(0.0), vdupq_n_f64(0.0)};
}
/* The double at p in all lanes; p at any address, as weights in a mapped file are. */
VF_INLINE vf vf_bcast(const double *p)
{
    typedef double anywhere __attribute__((aligned(1), may_alias));
    const float64x2_t v = vdupq_n_f64(*(const anywhere *)p);
    return (vf){v, v};
}
VF_INLINE vf vf_load(const double *p)
{
    return (vf){vld1q_f64(p), vld1q_f64(p + 2)};
}
VF_INLINE void vf_store(double *p, vf v)
{
    vst1q_f64(p, v.a);
    vst1q_f64(p + 2, v.b);
}
/* NEON has no masked access: whole halves at once, then a lane. Lanes that are not chosen are not
   touched in memory; a load gives +0 there. */
VF_INLINE vf vf_loadm(const double *p, vm m)
{
    vf v = vf_zero();
    if (m.n >= 2)
        v.a = vld1q_f64(p);
    else if (m.n == 1)
        v.a = vld1q_lane_f64(p, v.a, 0);
    if (m.n >= 4)
        v.b = vld1q_f64(p + 2);
    else if (m.n == 3)
        v.b = vld1q_lane_f64(p + 2, v.b, 0);
    return v;
}
VF_INLINE void vf_storem(double *p, vm m, vf v)
{
    if (m.n >= 2)
        vst1q_f64(p, v.a);
    else if (m.n == 1)
        vst1q_lane_f64(p, v.a, 0);
    if (m.n >= 4)
        vst1q_f64(p + 2, v.b);
    else if (m.n == 3)
        vst1q_lane_f64(p + 2, v.b, 0);
}
VF_INLINE vf vf_add(vf x, vf y)
{
    return (vf){vaddq_f64(x.a, y.a), vaddq_f64(x.b, y.b)};
}
VF_INLINE vf vf_fma(vf x, vf y, vf z)
{
    return (vf){vfmaq_f64(z.a, x.a, y.a), vfmaq_f64(z.b, x.b, y.b)};
}
/* *c += a * b */
VF_INLINE void vf_fma_to(vf *c, vf a, vf b)
{
    *c = vf_fma(a, b, *c);
}
/* The low half alone; here no narrower than the whole. */
VF_INLINE vf vf_loadm_lo(const double *p, vm m)
{
    return vf_loadm(p, m);
}
VF_INLINE void vf_storem_lo(double *p, vm m, vf v)
{
    vf_storem(p, m, v);
}
VF_INLINE vf vf_fma_lo(vf a, vf b, vf c)
{
    return vf_fma(a, b, c);
}
/* Stores past the caches are the compiler's to choose here; nothing is left to fence. */
VF_INLINE void vf_stream(double *p, vf v)
{
    vf_store(p, v);
}
VF_INLINE void vf_fence(void) {}
/* out[q] is the sum over the lanes of v[q]: halves are folded, so the order is a fixed tree. */
VF_INLINE void vf_hsum4(const vf v[4], double out[4])
{
    for (int q = 0; q < 4; q++) out[q] = vaddvq_f64(vaddq_f64(v[q].a, v[q].b));
}
/* Four vectors are the rows of a matrix; on return they are its columns. */
VF_INLINE void vf_transpose(vf m[VF_LANES])
{
    const vf r0 = m[0], r1 = m[1], r2 = m[2], r3 = m[3];
    m[0] = (vf){vzip1q_f64(r0.a, r1.a), vzip1q_f64(r2.a, r3.a)};
    m[1] = (vf){vzip2q_f64(r0.a, r1.a), vzip2q_f64(r2.a, r3.a)};
    m[2] = (vf){vzip1q_f64(r0.b, r1.b), vzip1q_f64(r2.b, r3.b)};
    m[3] = (vf){vzip2q_f64(r0.b, r1.b), vzip2q_f64(r2.b, r3.b)};
}

#endif
