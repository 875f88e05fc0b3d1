/*
 * nbits row for AVX-512: the loops of nbits_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/nbits/nbits.h"

typedef __m128i bytes16;

static inline void store16(float *dst, bytes16 v, vf s, vf z)
{
    vf_store(dst, vf_mul(vf_sub(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v)), z), s));
}

#include "kernels/nbits/nbits_tmpl.h"

lmn_nbits_expand_fn lmn_nbits_f32_expand4_avx512, lmn_nbits_f32_expand8_avx512;

void lmn_nbits_f32_expand4_avx512(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                  const float *scale, const float *zp)
{
    expand4_run(dst, q, n, block, scale, zp);
}
void lmn_nbits_f32_expand8_avx512(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                  const float *scale, const float *zp)
{
    expand8_run(dst, q, n, block, scale, zp);
}

typedef __m512 v16;

VF_INLINE v16 v16_zero(void)
{
    return _mm512_setzero_ps();
}
VF_INLINE v16 v16_fma(v16 w, const float *p, v16 c)
{
    return _mm512_fmadd_ps(w, _mm512_loadu_ps(p), c);
}
VF_INLINE float v16_sum(v16 c)
{
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
    const __m128 d = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 e = _mm_add_ps(d, _mm_movehl_ps(d, d));
    return _mm_cvtss_f32(_mm_add_ss(e, _mm_movehdup_ps(e)));
}

/* All sixteen weights of a block as a table, picked from by the low four bits of an index. */
VF_INLINE v16 base4(float zp)
{
    const __m512 all = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return vf_sub(all, vf_set1(zp));
}
VF_INLINE v16 base8(float zp)
{
    return vf_set1(zp);
}
VF_INLINE __m512i sixteen(const uint8_t *q)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)q));
}
VF_INLINE void widen4(const uint8_t *q, const float *scale, v16 base, v16 *f, v16 *s)
{
    const __m512 table = vf_mul(base, vf_bcast(scale));
    const __m512i v = sixteen(q);
    *f = _mm512_permutexvar_ps(v, table);
    *s = _mm512_permutexvar_ps(_mm512_srli_epi32(v, 4), table);
}
VF_INLINE void widen8(const uint8_t *q, const float *scale, v16 base, v16 *f, v16 *s)
{
    const vf by = vf_bcast(scale);
    *f = vf_mul(vf_sub(_mm512_cvtepi32_ps(sixteen(q)), base), by);
    *s = vf_mul(vf_sub(_mm512_cvtepi32_ps(sixteen(q + 16)), base), by);
}

#include "kernels/nbits/nbits_mul_tmpl.h"

MUL_INSTANCE(1, 1, 4)
MUL_INSTANCE(1, 4, 4)
MUL_INSTANCE(4, 1, 4)
MUL_INSTANCE(4, 4, 4)
MUL_INSTANCE(1, 1, 8)
MUL_INSTANCE(1, 4, 8)
MUL_INSTANCE(4, 1, 8)
MUL_INSTANCE(4, 4, 8)

lmn_nbits_mul_fn lmn_nbits_f32_mul_avx512;

void lmn_nbits_f32_mul_avx512(const lmn_nbits_block *b)
{
    static mul_fn *const four[2][2] = {{mul_1_1_4, mul_1_4_4}, {mul_4_1_4, mul_4_4_4}};
    static mul_fn *const eight[2][2] = {{mul_1_1_8, mul_1_4_8}, {mul_4_1_8, mul_4_4_8}};
    mul_run(b, b->w.bits == 4 ? four : eight, 4, 4);
}
