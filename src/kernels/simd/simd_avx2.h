/*
 * Eight f32 lanes under the names the kernel templates use (vf_*, vm_*). Include it only in files
 * whose suffix is _avx2; everything is static, so nothing leaks into other objects (STYLE K6).
 * simd_avx512.h gives the same names with sixteen lanes and the same results bit for bit.
 */
#ifndef LMN_KERNELS_SIMD_AVX2_H
#define LMN_KERNELS_SIMD_AVX2_H

#include <immintrin.h>

#include "base/types.h"

#define VF_LANES 8
#define VF_INLINE static inline __attribute__((always_inline, unused))
typedef float vf_real;
typedef __m256 vf;
typedef __m256i vm; /* all ones in a chosen lane: tails and comparisons */

/* Lanes 0 .. n-1; n is clamped to 0 .. 8. */
VF_INLINE vm vm_first(int64_t n)
{
    int32_t c = n > 8 ? 8 : n < 0 ? 0 : (int32_t)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(c), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* Lanes lo .. hi-1. */
VF_INLINE vm vm_range(int64_t lo, int64_t hi)
{
    return _mm256_andnot_si256(vm_first(lo), vm_first(hi));
}
VF_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
VF_INLINE vf vf_set1(float x)
{
    return _mm256_set1_ps(x);
}
/* The float at p in all lanes; p at any address, as weights in a mapped file are. */
VF_INLINE vf vf_bcast(const float *p)
{
    return _mm256_broadcast_ss(p);
}
VF_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
VF_INLINE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v);
}
/* Masked lanes are not touched in memory; a load gives +0 there. */
VF_INLINE vf vf_loadm(const float *p, vm m)
{
    return _mm256_maskload_ps(p, m);
}
VF_INLINE void vf_storem(float *p, vm m, vf v)
{
    _mm256_maskstore_ps(p, m, v);
}
VF_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
VF_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
VF_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
VF_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
VF_INLINE vf vf_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
/* *c += a * b, always in the register where *c is: left to itself gcc moves sums about and spills.
 */
VF_INLINE void vf_fma_to(vf *c, vf a, vf b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*c) : "x"(a), "x"(b));
}
/* c - a * b */
VF_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
/* The low half alone; here no narrower than the whole. */
VF_INLINE vf vf_loadm_lo(const float *p, vm m)
{
    return vf_loadm(p, m);
}
VF_INLINE void vf_storem_lo(float *p, vm m, vf v)
{
    vf_storem(p, m, v);
}
VF_INLINE vf vf_fma_lo(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
/* Past the caches; p at 32 bytes. vf_fence before others may read it. */
VF_INLINE void vf_stream(float *p, vf v)
{
    _mm256_stream_ps(p, v);
}
VF_INLINE void vf_fence(void)
{
    _mm_sfence();
}
/* The second operand when either is NaN: put the data second and NaN goes through. */
VF_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
VF_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
VF_INLINE vf vf_and(vf a, vf b)
{
    return _mm256_and_ps(a, b);
}
VF_INLINE vf vf_or(vf a, vf b)
{
    return _mm256_or_ps(a, b);
}
VF_INLINE vf vf_xor(vf a, vf b)
{
    return _mm256_xor_ps(a, b);
}
VF_INLINE vf vf_andnot(vf a, vf b)
{
    return _mm256_andnot_ps(a, b);
} /* ~a & b */
/* Nearest integer, ties to even. */
VF_INLINE vf vf_rint(vf a)
{
    return _mm256_round_ps(a, 8);
}
VF_INLINE vf vf_floor(vf a)
{
    return _mm256_round_ps(a, 9);
}
VF_INLINE vf vf_ceil(vf a)
{
    return _mm256_round_ps(a, 10);
}
VF_INLINE vf vf_trunc(vf a)
{
    return _mm256_round_ps(a, 11);
}
/* Ordered comparisons: false for NaN. */
VF_INLINE vm vf_lt(vf a, vf b)
{
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
VF_INLINE vm vf_le(vf a, vf b)
{
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LE_OQ));
}
VF_INLINE vm vf_eq(vf a, vf b)
{
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}
VF_INLINE vm vf_unord(vf a, vf b)
{
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_UNORD_Q));
}
/* Is any lane chosen? */
VF_INLINE bool vm_any(vm m)
{
    return _mm256_movemask_ps(_mm256_castsi256_ps(m)) != 0;
}
VF_INLINE vm vm_or(vm a, vm b)
{
    return _mm256_or_si256(a, b);
}
/* m ? a : b */
VF_INLINE vf vf_select(vm m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m));
}
VF_INLINE vf vf_exp2i_(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* a * 2^n for integral |n| <= 252: two factors, so that only the second product can round. */
VF_INLINE vf vf_scale2(vf a, vf n)
{
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    return vf_mul(vf_mul(a, vf_exp2i_(half)), vf_exp2i_(_mm256_sub_epi32(i, half)));
}
/* a = result * 2^e with the result in [2/3, 4/3); a is positive and normal. */
VF_INLINE vf vf_split2(vf a, vf *e)
{
    const __m256i i = _mm256_castps_si256(a),
                  n = _mm256_srai_epi32(_mm256_sub_epi32(i, _mm256_set1_epi32(0x3f2aaaab)), 23);
    *e = _mm256_cvtepi32_ps(n);
    return _mm256_castsi256_ps(_mm256_sub_epi32(i, _mm256_slli_epi32(n, 23)));
}
/* With q = j + shift, j integral: `even` where q is even, `odd` where it is odd; negated where q
   divided by 2 is odd. */
VF_INLINE vf vf_quadrant(vf j, int32_t shift, vf even, vf odd)
{
    const __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(j), _mm256_set1_epi32(shift));
    const vf v = _mm256_blendv_ps(even, odd, _mm256_castsi256_ps(_mm256_slli_epi32(q, 31)));
    const __m256i sign = _mm256_slli_epi32(_mm256_srli_epi32(q, 1), 31);
    return _mm256_xor_ps(v, _mm256_castsi256_ps(sign));
}
/* Sum over the lanes: halves are folded, so the order is a fixed tree. */
VF_INLINE float vf_hsum(vf v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
/* Largest lane; none may be NaN. */
VF_INLINE float vf_hmax(vf v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
/* out[q] = vf_hsum(v[q]), bit for bit. */
VF_INLINE void vf_hsum4(const vf v[4], float out[4])
{
    __m128 x[4];
    for (int q = 0; q < 4; q++)
        x[q] = _mm_add_ps(_mm256_castps256_ps128(v[q]), _mm256_extractf128_ps(v[q], 1));
    const __m128 p = _mm_add_ps(_mm_movelh_ps(x[0], x[1]), _mm_movehl_ps(x[1], x[0])),
                 q = _mm_add_ps(_mm_movelh_ps(x[2], x[3]), _mm_movehl_ps(x[3], x[2]));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(p, q, 0x88), _mm_shuffle_ps(p, q, 0xdd)));
}
/* Every second lane of x, then of y. */
VF_INLINE vf vf_evens(vf x, vf y)
{
    vf s = _mm256_shuffle_ps(x, y, 0x88); /* a0 a2 b0 b2 | a4 .. */
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(s), 0xd8));
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
/* Eight vectors are the rows of a matrix; on return they are its columns. */
VF_INLINE void vf_transpose(vf r[VF_LANES])
{
    vf t[8];
#define STEP1(i) \
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]), t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
#define STEP2(i)                                            \
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44),         \
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);     \
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44); \
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
#define STEP3(i)                                         \
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20); \
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    /* clang-format off */
    STEP1(0)
    STEP1(2)
    STEP1(4)
    STEP1(6)
    STEP2(0)
    STEP2(4)
    STEP3(0)
    STEP3(1)
    STEP3(2)
    STEP3(3)
    r[0] = t[0], r[1] = t[1], r[2] = t[2], r[3] = t[3];
    r[4] = t[4], r[5] = t[5], r[6] = t[6], r[7] = t[7];
    /* clang-format on */
#undef STEP1
#undef STEP2
#undef STEP3
}

/* 4 x VF_LANES neighbours to four vectors: out[i] lane t = element 4 t + i. */
VF_INLINE void vf_deal4(const vf in[4], vf *out)
{
    const vf p0 = _mm256_permute2f128_ps(in[0], in[2], 0x20),
             p1 = _mm256_permute2f128_ps(in[0], in[2], 0x31),
             p2 = _mm256_permute2f128_ps(in[1], in[3], 0x20),
             p3 = _mm256_permute2f128_ps(in[1], in[3], 0x31);
    const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(p0, p1)),
                  b = _mm256_castps_pd(_mm256_unpackhi_ps(p0, p1)),
                  c = _mm256_castps_pd(_mm256_unpacklo_ps(p2, p3)),
                  d = _mm256_castps_pd(_mm256_unpackhi_ps(p2, p3));
    out[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
    out[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
    out[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
    out[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
}
/* The reverse of vf_deal4. */
VF_INLINE void vf_join4(const vf *in, vf out[4])
{
    const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(in[0], in[1])),
                  b = _mm256_castps_pd(_mm256_unpackhi_ps(in[0], in[1])),
                  c = _mm256_castps_pd(_mm256_unpacklo_ps(in[2], in[3])),
                  d = _mm256_castps_pd(_mm256_unpackhi_ps(in[2], in[3]));
    const vf u0 = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)),
             u1 = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c)),
             u2 = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)),
             u3 = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
    out[0] = _mm256_permute2f128_ps(u0, u1, 0x20);
    out[1] = _mm256_permute2f128_ps(u2, u3, 0x20);
    out[2] = _mm256_permute2f128_ps(u0, u1, 0x31);
    out[3] = _mm256_permute2f128_ps(u2, u3, 0x31);
}

/* Lane l = p[l * step]; lanes outside the mask are not touched and give +0. */
VF_INLINE vf vf_load_step(const float *p, int32_t step, vm m)
{
    const __m256i at =
        _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(step));
    return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), p, at, _mm256_castsi256_ps(m), 4);
}

/* 9 x VF_LANES neighbours to nine vectors: out[q] lane t = element 9 t + q. */
VF_INLINE void vf_deal9(const float *p, vf *out)
{
    for (int q = 0; q < 9; q++) out[q] = vf_load_step(p + q, 9, vm_first(VF_LANES));
}

#endif
