/*
 * Four f64 lanes under the names that the gemm templates use: the f64 twin of simd_avx2.h, with
 * only what they need. Include one of the two, in files whose suffix is _avx2.
 */
#ifndef LMN_KERNELS_SIMD_F64_AVX2_H
#define LMN_KERNELS_SIMD_F64_AVX2_H

#include <immintrin.h>

#include "base/types.h"

#define VF_LANES 4
#define VF_INLINE static inline __attribute__((always_inline, unused))
typedef double vf_real;
typedef __m256d vf;
typedef __m256i vm; /* all ones in a chosen lane */

/* Lanes 0 .. n-1; n is clamped to 0 .. 4. */
VF_INLINE vm vm_first(int64_t n)
{
    const int64_t c = n > 4 ? 4 : n < 0 ? 0 : n;
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(c), _mm256_setr_epi64x(0, 1, 2, 3));
}
VF_INLINE vf vf_zero(void)
{
    return _mm256_setzero_pd();
}
/* The double at p in all lanes; p at any address, as weights in a mapped file are. */
VF_INLINE vf vf_bcast(const double *p)
{
    return _mm256_broadcast_sd(p);
}
VF_INLINE vf vf_load(const double *p)
{
    return _mm256_loadu_pd(p);
}
VF_INLINE void vf_store(double *p, vf v)
{
    _mm256_storeu_pd(p, v);
}
/* Masked lanes are not touched in memory; a load gives +0 there. */
VF_INLINE vf vf_loadm(const double *p, vm m)
{
    return _mm256_maskload_pd(p, m);
}
VF_INLINE void vf_storem(double *p, vm m, vf v)
{
    _mm256_maskstore_pd(p, m, v);
}
VF_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_pd(a, b);
}
VF_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_pd(a, b, c);
}
/* *c += a * b, always in the register where *c is: left to itself gcc moves sums about and spills.
 */
VF_INLINE void vf_fma_to(vf *c, vf a, vf b)
{
    __asm__("vfmadd231pd %2, %1, %0" : "+x"(*c) : "x"(a), "x"(b));
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
/* Past the caches; p at 32 bytes. vf_fence before others may read it. */
VF_INLINE void vf_stream(double *p, vf v)
{
    _mm256_stream_pd(p, v);
}
VF_INLINE void vf_fence(void)
{
    _mm_sfence();
}
/* out[q] is the sum over the lanes of v[q]: halves are folded, so the order is a fixed tree. */
VF_INLINE void vf_hsum4(const vf v[4], double out[4])
{
    __m128d x[4];
    for (int q = 0; q < 4; q++)
        x[q] = _mm_add_pd(_mm256_castpd256_pd128(v[q]), _mm256_extractf128_pd(v[q], 1));
    _mm_storeu_pd(out, _mm_add_pd(_mm_unpacklo_pd(x[0], x[1]), _mm_unpackhi_pd(x[0], x[1])));
    _mm_storeu_pd(out + 2, _mm_add_pd(_mm_unpacklo_pd(x[2], x[3]), _mm_unpackhi_pd(x[2], x[3])));
}
/* Four vectors are the rows of a matrix; on return they are its columns. */
VF_INLINE void vf_transpose(vf m[VF_LANES])
{
    const vf a = _mm256_unpacklo_pd(m[0], m[1]), b = _mm256_unpackhi_pd(m[0], m[1]),
             c = _mm256_unpacklo_pd(m[2], m[3]), d = _mm256_unpackhi_pd(m[2], m[3]);
    m[0] = _mm256_permute2f128_pd(a, c, 0x20), m[1] = _mm256_permute2f128_pd(b, d, 0x20);
    m[2] = _mm256_permute2f128_pd(a, c, 0x31), m[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#endif
