/*
 * Sixteen f32 lanes under the names the kernel templates use (vf_*, vm_*). Include it only in files
 * whose suffix is _avx512; everything is static, so nothing leaks into other objects (STYLE K6).
 * simd_avx2.h gives the same names with eight lanes and the same results bit for bit.
 */
#ifndef LMN_KERNELS_SIMD_AVX512_H
#define LMN_KERNELS_SIMD_AVX512_H

#include <immintrin.h>

#include "base/types.h"

#define VF_LANES 16
#define VF_INLINE static inline __attribute__((always_inline, unused))
typedef float vf_real;
typedef __m512 vf;
typedef __mmask16 vm; /* one bit a lane: tails and comparisons */

/* Lanes 0 .. n-1; n is clamped to 0 .. 16. */
VF_INLINE vm vm_first(int64_t n)
{
    return n >= 16 ? (vm)0xffff : n <= 0 ? 0 : (vm)((1u << n) - 1);
}
/* Lanes lo .. hi-1. */
VF_INLINE vm vm_range(int64_t lo, int64_t hi)
{
    return (vm)(vm_first(hi) & ~vm_first(lo));
}
VF_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
VF_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
/* The float at p in all lanes; p at any address, as weights in a mapped file are. */
VF_INLINE vf vf_bcast(const float *p)
{
    typedef float anywhere __attribute__((aligned(1), may_alias));
    return _mm512_set1_ps(*(const anywhere *)p);
}
VF_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
VF_INLINE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
/* Masked lanes are not touched in memory; a load gives +0 there. */
VF_INLINE vf vf_loadm(const float *p, vm m)
{
    return _mm512_maskz_loadu_ps(m, p);
}
VF_INLINE void vf_storem(float *p, vm m, vf v)
{
    _mm512_mask_storeu_ps(p, m, v);
}
VF_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
VF_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
VF_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
VF_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
VF_INLINE vf vf_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* *c += a * b, always in the register where *c is: left to itself gcc moves sums about and spills.
 */
VF_INLINE void vf_fma_to(vf *c, vf a, vf b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*c) : "v"(a), "v"(b));
}
#define VF_EMBEDS /* vf_fma_at, vf_fma_from, vf_fma_behind */
/* *c += *a * b: one operation with its load. */
VF_INLINE void vf_fma_at(vf *c, vf b, const float *a)
{
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(*c) : "v"(b), "m"(*a));
}
/* *c += a * the vector at b, or `off` bytes behind it: one instruction that loads it by both
   registers, and stays in the order of the text. The compiler is not told that memory is read: the
   caller must be a function that is not inlined where b is written. */
VF_INLINE void vf_fma_from(vf *c, vf a, const float *b)
{
    __asm__ volatile("vfmadd231ps (%2), %1, %0" : "+v"(*c) : "v"(a), "r"(b));
}
VF_INLINE void vf_fma_behind(vf *c, vf a, const float *b, int64_t off)
{
    __asm__ volatile("vfmadd231ps (%2, %3), %1, %0" : "+v"(*c) : "v"(a), "r"(b), "r"(off));
}
/* c - a * b */
VF_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* The low half alone: the upper lanes of the result are of no use. A mask is of the low lanes. */
VF_INLINE vf vf_loadm_lo(const float *p, vm m)
{
    return _mm512_castps256_ps512(_mm256_maskz_loadu_ps((__mmask8)m, p));
}
VF_INLINE vf vf_bcast_lo(const float *p)
{
    typedef float anywhere __attribute__((aligned(1), may_alias));
    return _mm512_castps256_ps512(_mm256_set1_ps(*(const anywhere *)p));
}
VF_INLINE void vf_storem_lo(float *p, vm m, vf v)
{
    /* Told to the letter: gcc makes of it a masked vextract, which faults on lanes that are off. */
    __asm__("vmovups %t2, %0%{%1%}" : "+m"(*(float(*)[8])p) : "Yk"(m), "v"(v));
}
VF_INLINE vf vf_fma_lo(vf a, vf b, vf c)
{
    return _mm512_castps256_ps512(_mm256_fmadd_ps(
        _mm512_castps512_ps256(a), _mm512_castps512_ps256(b), _mm512_castps512_ps256(c)));
}
/* Past the caches; p at 64 bytes. vf_fence before others may read it. */
VF_INLINE void vf_stream(float *p, vf v)
{
    _mm512_stream_ps(p, v);
}
VF_INLINE void vf_fence(void)
{
    _mm_sfence();
}
/* The second operand when either is NaN: put the data second and NaN goes through. */
VF_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
VF_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
VF_INLINE vf vf_and(vf a, vf b)
{
    return _mm512_and_ps(a, b);
}
VF_INLINE vf vf_or(vf a, vf b)
{
    return _mm512_or_ps(a, b);
}
VF_INLINE vf vf_xor(vf a, vf b)
{
    return _mm512_xor_ps(a, b);
}
VF_INLINE vf vf_andnot(vf a, vf b)
{
    return _mm512_andnot_ps(a, b);
} /* ~a & b */
/* Nearest integer, ties to even. */
VF_INLINE vf vf_rint(vf a)
{
    return _mm512_roundscale_ps(a, 8);
}
VF_INLINE vf vf_floor(vf a)
{
    return _mm512_roundscale_ps(a, 9);
}
VF_INLINE vf vf_ceil(vf a)
{
    return _mm512_roundscale_ps(a, 10);
}
VF_INLINE vf vf_trunc(vf a)
{
    return _mm512_roundscale_ps(a, 11);
}
/* Ordered comparisons: false for NaN. */
VF_INLINE vm vf_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
VF_INLINE vm vf_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
VF_INLINE vm vf_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
VF_INLINE vm vf_unord(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
}
/* Is any lane chosen? */
VF_INLINE bool vm_any(vm m)
{
    return m != 0;
}
VF_INLINE vm vm_or(vm a, vm b)
{
    return (vm)(a | b);
}
/* m ? a : b */
VF_INLINE vf vf_select(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
/* a * 2^n for integral n, rounded once (denormal results are right). */
VF_INLINE vf vf_scale2(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}
/* a = result * 2^e with the result in [2/3, 4/3); a is positive and normal. */
VF_INLINE vf vf_split2(vf a, vf *e)
{
    const __m512i i = _mm512_castps_si512(a),
                  n = _mm512_srai_epi32(_mm512_sub_epi32(i, _mm512_set1_epi32(0x3f2aaaab)), 23);
    *e = _mm512_cvtepi32_ps(n);
    return _mm512_castsi512_ps(_mm512_sub_epi32(i, _mm512_slli_epi32(n, 23)));
}
/* With q = j + shift, j integral: `even` where q is even, `odd` where it is odd; negated where q
   divided by 2 is odd. */
VF_INLINE vf vf_quadrant(vf j, int32_t shift, vf even, vf odd)
{
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(j), _mm512_set1_epi32(shift));
    const vf v = _mm512_mask_blend_ps(_mm512_test_epi32_mask(q, _mm512_set1_epi32(1)), even, odd);
    const __m512i sign = _mm512_slli_epi32(_mm512_srli_epi32(q, 1), 31);
    return _mm512_xor_ps(v, _mm512_castsi512_ps(sign));
}
/* Sum over the lanes: halves are folded, so the order is a fixed tree. */
VF_INLINE float vf_hsum(vf v)
{
    __m256 y = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
/* Largest lane; none may be NaN. */
VF_INLINE float vf_hmax(vf v)
{
    __m256 y = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
/* out[q] = vf_hsum(v[q]), bit for bit. */
VF_INLINE void vf_hsum4(const vf v[4], float out[4])
{
    __m128 x[4];
    for (int q = 0; q < 4; q++) {
        __m256 y = _mm256_add_ps(_mm512_castps512_ps256(v[q]), _mm512_extractf32x8_ps(v[q], 1));
        x[q] = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    }
    const __m128 p = _mm_add_ps(_mm_movelh_ps(x[0], x[1]), _mm_movehl_ps(x[1], x[0])),
                 q = _mm_add_ps(_mm_movelh_ps(x[2], x[3]), _mm_movehl_ps(x[3], x[2]));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(p, q, 0x88), _mm_shuffle_ps(p, q, 0xdd)));
}
/* Every second lane of x, then of y. */
VF_INLINE vf vf_evens(vf x, vf y)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(x, even, y);
}
/* Lane t is p[2 t]: m0 are the lanes to load at p, m1 those at p + 16; +0 elsewhere. */
VF_INLINE vf vf_load_even_masked(const float *p, vm m0, vm m1)
{
    return vf_evens(vf_loadm(p, m0), vf_loadm(p + 16, m1));
}
/* Lane t is p[2 t] for lo <= t < hi, else +0; nothing else is read. */
VF_INLINE vf vf_load_even(const float *p, int64_t lo, int64_t hi)
{
    return vf_load_even_masked(p, vm_range(2 * lo, 2 * hi - 1), vm_range(2 * lo - 16, 2 * hi - 17));
}
/* Sixteen vectors are the rows of a matrix; on return they are its columns. */
VF_INLINE void vf_transpose(vf r[VF_LANES])
{
    vf t[16];
#define STEP1(i) \
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]), t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
#define STEP2(i)                                            \
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44),         \
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);     \
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44); \
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
#define STEP3(i)                                       \
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88); \
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
#define STEP4(i)                                       \
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88); \
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    /* clang-format off */
    STEP1(0)
    STEP1(2)
    STEP1(4)
    STEP1(6)
    STEP1(8)
    STEP1(10)
    STEP1(12)
    STEP1(14)
    STEP2(0)
    STEP2(4)
    STEP2(8)
    STEP2(12)
    STEP3(0)
    STEP3(1)
    STEP3(2)
    STEP3(3)
    STEP3(8)
    STEP3(9)
    STEP3(10)
    STEP3(11)
    STEP4(0)
    STEP4(1)
    STEP4(2)
    STEP4(3)
    STEP4(4)
    STEP4(5)
    STEP4(6)
    STEP4(7)
    /* clang-format on */
#undef STEP1
#undef STEP2
#undef STEP3
#undef STEP4
}

/* 4 x VF_LANES neighbours to four vectors: out[i] lane t = element 4 t + i. */
VF_INLINE void vf_deal4(const vf in[4], vf *out)
{
    const __m512i lo = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    const __m512i hi = _mm512_add_epi32(lo, _mm512_set1_epi32(2));
    const vf a = _mm512_permutex2var_ps(in[0], lo, in[1]),
             b = _mm512_permutex2var_ps(in[2], lo, in[3]),
             c = _mm512_permutex2var_ps(in[0], hi, in[1]),
             d = _mm512_permutex2var_ps(in[2], hi, in[3]);
    out[0] = _mm512_shuffle_f32x4(a, b, 0x44), out[1] = _mm512_shuffle_f32x4(a, b, 0xee);
    out[2] = _mm512_shuffle_f32x4(c, d, 0x44), out[3] = _mm512_shuffle_f32x4(c, d, 0xee);
}
/* The reverse of vf_deal4. */
VF_INLINE void vf_join4(const vf *in, vf out[4])
{
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(in[0], in[1])),
                  b = _mm512_castps_pd(_mm512_unpackhi_ps(in[0], in[1])),
                  c = _mm512_castps_pd(_mm512_unpacklo_ps(in[2], in[3])),
                  d = _mm512_castps_pd(_mm512_unpackhi_ps(in[2], in[3]));
    const vf u0 = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c)),
             u1 = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c)),
             u2 = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)),
             u3 = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    /* 4 x 4 of 128-bit lanes */
    const vf p = _mm512_shuffle_f32x4(u0, u1, 0x44), q = _mm512_shuffle_f32x4(u2, u3, 0x44),
             r = _mm512_shuffle_f32x4(u0, u1, 0xee), s = _mm512_shuffle_f32x4(u2, u3, 0xee);
    out[0] = _mm512_shuffle_f32x4(p, q, 0x88), out[1] = _mm512_shuffle_f32x4(p, q, 0xdd);
    out[2] = _mm512_shuffle_f32x4(r, s, 0x88), out[3] = _mm512_shuffle_f32x4(r, s, 0xdd);
}

/* Lane l = p[l * step]; lanes outside the mask are not touched and give +0. */
VF_INLINE vf vf_load_step(const float *p, int32_t step, vm m)
{
    const __m512i at =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32(step));
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), m, at, p, 4);
}

/* 9 x VF_LANES neighbours to nine vectors: out[q] lane t = element 9 t + q. */
VF_INLINE void vf_deal9(const float *p, vf *out)
{
    /* Four elements of filters t, t + 4, t + 8 and t + 12 a register, turned within 128 bits. */
    for (int q = 0; q < 8; q += 4) {
        vf x[4];
        for (int t = 0; t < 4; t++) {
            const float *at = p + 9 * t + q;
            x[t] = _mm512_castps128_ps512(_mm_loadu_ps(at));
            x[t] = _mm512_mask_broadcast_f32x4(x[t], 0x00f0, _mm_loadu_ps(at + 36));
            x[t] = _mm512_mask_broadcast_f32x4(x[t], 0x0f00, _mm_loadu_ps(at + 72));
            x[t] = _mm512_mask_broadcast_f32x4(x[t], 0xf000, _mm_loadu_ps(at + 108));
        }
        const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(x[0], x[1]));
        const __m512d b = _mm512_castps_pd(_mm512_unpacklo_ps(x[2], x[3]));
        const __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(x[0], x[1]));
        const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(x[2], x[3]));
        out[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        out[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        out[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        out[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
    /* Element 9 t + 8 lies in lane (9 t + 8) % 32 of one of five pairs of loads, whichever. */
    const __m512i at =
        _mm512_setr_epi32(8, 17, 26, 35, 44, 53, 62, 71, 80, 89, 98, 107, 116, 125, 134, 143);
    vf x = _mm512_permutexvar_ps(at, vf_load(p + 128));
    x = vf_select(0x0007, _mm512_permutex2var_ps(vf_load(p), at, vf_load(p + 16)), x);
    x = vf_select(0x0078, _mm512_permutex2var_ps(vf_load(p + 32), at, vf_load(p + 48)), x);
    x = vf_select(0x0380, _mm512_permutex2var_ps(vf_load(p + 64), at, vf_load(p + 80)), x);
    x = vf_select(0x3c00, _mm512_permutex2var_ps(vf_load(p + 96), at, vf_load(p + 112)), x);
    out[8] = x;
}

#endif
