/*
 * Eight f64 lanes under the names that the gemm templates use: the f64 twin of simd_avx512.h, with
 * only what they need. Include one of the two, in files whose suffix is _avx512.
 */
#ifndef LMN_KERNELS_SIMD_F64_AVX512_H
#define LMN_KERNELS_SIMD_F64_AVX512_H

#include <immintrin.h>

#include "base/types.h"

#define VF_LANES 8
#define VF_INLINE static inline __attribute__((always_inline, unused))
typedef double vf_real;
typedef __m512d vf;
typedef __mmask8 vm; /* one bit a lane */

/* Lanes 0 .. n-1; n is clamped to 0 .. 8. */
VF_INLINE vm vm_first(int64_t n)
{
    return n >= 8 ? (vm)0xff : n <= 0 ? 0 : (vm)((1u << n) - 1);
}
VF_INLINE vf vf_zero(void)
{
    return _mm512_setzero_pd();
}
/* The double at p in all lanes; p at any address, as weights in a mapped file are. */
VF_INLINE vf vf_bcast(const double *p)
{
    typedef double anywhere __attribute__((aligned(1), may_alias));
    return _mm512_set1_pd(*(const anywhere *)p);
}
VF_INLINE vf vf_load(const double *p)
{
    return _mm512_loadu_pd(p);
}
VF_INLINE void vf_store(double *p, vf v)
{
    _mm512_storeu_pd(p, v);
}
/* Masked lanes are not touched in memory; a load gives +0 there. */
VF_INLINE vf vf_loadm(const double *p, vm m)
{
    return _mm512_maskz_loadu_pd(m, p);
}
VF_INLINE void vf_storem(double *p, vm m, vf v)
{
    _mm512_mask_storeu_pd(p, m, v);
}
VF_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_pd(a, b);
}
VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_pd(a, b, c);
}
/* *c += a * b, always in the register where *c is: left to itself gcc moves sums about and spills.
 */
VF_INLINE void vf_fma_to(vf *c, vf a, vf b)
{
    __asm__("vfmadd231pd %2, %1, %0" : "+v"(*c) : "v"(a), "v"(b));
}
#define VF_EMBEDS /* vf_fma_at, vf_fma_from, vf_fma_behind */
/* *c += *a * b: one operation with its load. */
VF_INLINE void vf_fma_at(vf *c, vf b, const double *a)
{
    __asm__("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(*c) : "v"(b), "m"(*a));
}
/* *c += a * the vector at b, or `off` bytes behind it: one instruction that loads it by both
   registers, and stays in the order of the text. The compiler is not told that memory is read: the
   caller must be a function that is not inlined where b is written. */
VF_INLINE void vf_fma_from(vf *c, vf a, const double *b)
{
    __asm__ volatile("vfmadd231pd (%2), %1, %0" : "+v"(*c) : "v"(a), "r"(b));
}
VF_INLINE void vf_fma_behind(vf *c, vf a, const double *b, int64_t off)
{
    __asm__ volatile("vfmadd231pd (%2, %3), %1, %0" : "+v"(*c) : "v"(a), "r"(b), "r"(off));
}
/* The low half alone: the upper lanes of the result are of no use. A mask is of the low lanes. */
VF_INLINE vf vf_loadm_lo(const double *p, vm m)
{
    return _mm512_castpd256_pd512(_mm256_maskz_loadu_pd(m, p));
}
VF_INLINE void vf_storem_lo(double *p, vm m, vf v)
{
    /* Whole: gcc makes of the half a masked vextract, which faults on lanes that are off. */
    _mm512_mask_storeu_pd(p, m, v);
}
VF_INLINE vf vf_fma_lo(vf a, vf b, vf c)
{
    return _mm512_castpd256_pd512(_mm256_fmadd_pd(
        _mm512_castpd512_pd256(a), _mm512_castpd512_pd256(b), _mm512_castpd512_pd256(c)));
}
/* Past the caches; p at 64 bytes. vf_fence before others may read it. */
VF_INLINE void vf_stream(double *p, vf v)
{
    _mm512_stream_pd(p, v);
}
VF_INLINE void vf_fence(void)
{
    _mm_sfence();
}
/* out[q] is the sum over the lanes of v[q]: halves are folded, so the order is a fixed tree. */
VF_INLINE void vf_hsum4(const vf v[4], double out[4])
{
    __m128d x[4];
    for (int q = 0; q < 4; q++) {
        __m256d y = _mm256_add_pd(_mm512_castpd512_pd256(v[q]), _mm512_extractf64x4_pd(v[q], 1));
        x[q] = _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
    }
    _mm_storeu_pd(out, _mm_add_pd(_mm_unpacklo_pd(x[0], x[1]), _mm_unpackhi_pd(x[0], x[1])));
    _mm_storeu_pd(out + 2, _mm_add_pd(_mm_unpacklo_pd(x[2], x[3]), _mm_unpackhi_pd(x[2], x[3])));
}
/* Columns c and c + 4 of those below, where p, q, r, s hold pairs of rows. */
#define PAIR_COLUMNS(c, p, q, r, s)                                                           \
    {                                                                                         \
        const vf u = _mm512_shuffle_f64x2(p, q, 0x88), w = _mm512_shuffle_f64x2(r, s, 0x88);  \
        const vf x = _mm512_shuffle_f64x2(p, q, 0xdd), y = _mm512_shuffle_f64x2(r, s, 0xdd);  \
        m[c] = _mm512_shuffle_f64x2(u, w, 0x88), m[c + 4] = _mm512_shuffle_f64x2(u, w, 0xdd); \
        m[c + 2] = _mm512_shuffle_f64x2(x, y, 0x88);                                          \
        m[c + 6] = _mm512_shuffle_f64x2(x, y, 0xdd);                                          \
    }
/* Eight vectors are the rows of a matrix; on return they are its columns. */
VF_INLINE void vf_transpose(vf m[VF_LANES])
{
    const vf a = _mm512_unpacklo_pd(m[0], m[1]), b = _mm512_unpacklo_pd(m[2], m[3]),
             c = _mm512_unpacklo_pd(m[4], m[5]), d = _mm512_unpacklo_pd(m[6], m[7]),
             e = _mm512_unpackhi_pd(m[0], m[1]), f = _mm512_unpackhi_pd(m[2], m[3]),
             g = _mm512_unpackhi_pd(m[4], m[5]), h = _mm512_unpackhi_pd(m[6], m[7]);
    PAIR_COLUMNS(0, a, b, c, d)
    PAIR_COLUMNS(1, e, f, g, h)
}
#undef PAIR_COLUMNS

#endif
