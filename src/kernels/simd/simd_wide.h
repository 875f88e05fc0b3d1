/*
 * Sixteen floats at a time whatever the width of a vector (include simd_<isa>.h first): one vector
 * or two. Sums that keep their partial sums in such words add in one order on every level.
 */
#ifndef LMN_KERNELS_SIMD_WIDE_H
#define LMN_KERNELS_SIMD_WIDE_H

#include "kernels/simd/simd_math.h"

#define VW_LANES 16

#if VF_LANES == 16

typedef vf vw;
VF_INLINE vw vw_set1(float x)
{
    return vf_set1(x);
}
VF_INLINE vw vw_load(const float *p)
{
    return vf_load(p);
}
/* The first `left` lanes, of 16 at most; the others are +0. */
VF_INLINE vw vw_load_first(const float *p, int64_t left)
{
    return vf_loadm(p, vm_first(left));
}
VF_INLINE void vw_store(float *p, vw v)
{
    vf_store(p, v);
}
VF_INLINE void vw_store_first(float *p, int64_t left, vw v)
{
    vf_storem(p, vm_first(left), v);
}
/* The first lanes, the others +0. */
VF_INLINE vw vw_first(vw v, int64_t left)
{
    return vf_select(vm_first(left), v, vf_zero());
}
VF_INLINE vw vw_add(vw a, vw b)
{
    return vf_add(a, b);
}
VF_INLINE vw vw_sub(vw a, vw b)
{
    return vf_sub(a, b);
}
VF_INLINE vw vw_fma(vw a, vw b, vw c)
{
    return vf_fma(a, b, c);
}
VF_INLINE vw vw_exp(vw v)
{
    return vf_exp(v);
}
VF_INLINE float vw_hsum(vw v)
{
    return vf_hsum(v);
}

#else

typedef struct vw {
    vf lo, hi;
} vw;
VF_INLINE vw vw_set1(float x)
{
    return (vw){vf_set1(x), vf_set1(x)};
}
VF_INLINE vw vw_load(const float *p)
{
    return (vw){vf_load(p), vf_load(p + VF_LANES)};
}
VF_INLINE vw vw_load_first(const float *p, int64_t left)
{
    const vf lo = vf_loadm(p, vm_first(left));
    return (vw){lo,
                left > VF_LANES ? vf_loadm(p + VF_LANES, vm_first(left - VF_LANES)) : vf_zero()};
}
VF_INLINE void vw_store(float *p, vw v)
{
    vf_store(p, v.lo);
    vf_store(p + VF_LANES, v.hi);
}
VF_INLINE void vw_store_first(float *p, int64_t left, vw v)
{
    vf_storem(p, vm_first(left), v.lo);
    if (left > VF_LANES) vf_storem(p + VF_LANES, vm_first(left - VF_LANES), v.hi);
}
VF_INLINE vw vw_first(vw v, int64_t left)
{
    return (vw){vf_select(vm_first(left), v.lo, vf_zero()),
                vf_select(vm_first(left - VF_LANES), v.hi, vf_zero())};
}
VF_INLINE vw vw_add(vw a, vw b)
{
    return (vw){vf_add(a.lo, b.lo), vf_add(a.hi, b.hi)};
}
VF_INLINE vw vw_sub(vw a, vw b)
{
    return (vw){vf_sub(a.lo, b.lo), vf_sub(a.hi, b.hi)};
}
VF_INLINE vw vw_fma(vw a, vw b, vw c)
{
    return (vw){vf_fma(a.lo, b.lo, c.lo), vf_fma(a.hi, b.hi, c.hi)};
}
VF_INLINE vw vw_exp(vw v)
{
    return (vw){vf_exp(v.lo), vf_exp(v.hi)};
}
VF_INLINE float vw_hsum(vw v)
{
    return vf_hsum(vf_add(v.lo, v.hi));
}

#endif

/* y = e^(x - max); the sum comes back. y may be x. */
VF_INLINE float vw_row_exp(const float *x, float *y, int64_t n, float max)
{
    const vw shift = vw_set1(max);
    vw acc = vw_set1(0);
    int64_t i = 0;
    for (; i + VW_LANES <= n; i += VW_LANES) {
        const vw e = vw_exp(vw_sub(vw_load(x + i), shift));
        vw_store(y + i, e);
        acc = vw_add(acc, e);
    }
    if (i < n) {
        const vw e = vw_exp(vw_sub(vw_load_first(x + i, n - i), shift));
        vw_store_first(y + i, n - i, e);
        acc = vw_add(acc, vw_first(e, n - i));
    }
    return vw_hsum(acc);
}

VF_INLINE float vw_row_sum(const float *x, int64_t n)
{
    vw a0 = vw_set1(0), a1 = vw_set1(0);
    int64_t i = 0;
    for (; i + 2 * VW_LANES <= n; i += 2 * VW_LANES) {
        a0 = vw_add(a0, vw_load(x + i));
        a1 = vw_add(a1, vw_load(x + i + VW_LANES));
    }
    for (; i < n; i += VW_LANES) a0 = vw_add(a0, vw_load_first(x + i, n - i));
    return vw_hsum(vw_add(a0, a1));
}

#endif
