/*
 * nbits row for AVX2: the loops of nbits_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/nbits/nbits.h"

typedef __m128i bytes16;

static inline void store16(float *dst, bytes16 v, vf s, vf z)
{
    const __m256i a = _mm256_cvtepu8_epi32(v), b = _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8));
    vf_store(dst, vf_mul(vf_sub(_mm256_cvtepi32_ps(a), z), s));
    vf_store(dst + 8, vf_mul(vf_sub(_mm256_cvtepi32_ps(b), z), s));
}

#include "kernels/nbits/nbits_tmpl.h"

lmn_nbits_expand_fn lmn_nbits_f32_expand4_avx2, lmn_nbits_f32_expand8_avx2;

void lmn_nbits_f32_expand4_avx2(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                const float *scale, const float *zp)
{
    expand4_run(dst, q, n, block, scale, zp);
}
void lmn_nbits_f32_expand8_avx2(float *dst, const uint8_t *q, int64_t n, int64_t block,
                                const float *scale, const float *zp)
{
    expand8_run(dst, q, n, block, scale, zp);
}

typedef struct v16 {
    __m256 a, b;
} v16;

VF_INLINE v16 v16_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
VF_INLINE v16 v16_fma(v16 w, const float *p, v16 c)
{
    c.a = _mm256_fmadd_ps(w.a, _mm256_loadu_ps(p), c.a);
    c.b = _mm256_fmadd_ps(w.b, _mm256_loadu_ps(p + 8), c.b);
    return c;
}
VF_INLINE float v16_sum(v16 c)
{
    const __m256 a = _mm256_add_ps(c.a, c.b);
    const __m128 d = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 e = _mm_add_ps(d, _mm_movehl_ps(d, d));
    return _mm_cvtss_f32(_mm_add_ss(e, _mm_movehdup_ps(e)));
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
VF_INLINE v16 widened(__m128i v, v16 base, vf by)
{
    const __m256i a = _mm256_cvtepu8_epi32(v), b = _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8));
    return (v16){vf_mul(vf_sub(_mm256_cvtepi32_ps(a), base.a), by),
                 vf_mul(vf_sub(_mm256_cvtepi32_ps(b), base.a), by)};
}
VF_INLINE void widen4(const uint8_t *q, const float *scale, v16 base, v16 *f, v16 *s)
{
    const __m128i low = _mm_set1_epi8(15);
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)q);
    *f = widened(_mm_and_si128(v, low), base, vf_bcast(scale));
    *s = widened(_mm_and_si128(_mm_srli_epi16(v, 4), low), base, vf_bcast(scale));
}
VF_INLINE void widen8(const uint8_t *q, const float *scale, v16 base, v16 *f, v16 *s)
{
    const __m128i *p = (const __m128i *)(const void *)q;
    *f = widened(_mm_loadu_si128(p), base, vf_bcast(scale));
    *s = widened(_mm_loadu_si128(p + 1), base, vf_bcast(scale));
}

#include "kernels/nbits/nbits_mul_tmpl.h"

/* More rows would not fit the registers. */
MUL_INSTANCE(1, 1, 4)
MUL_INSTANCE(1, 2, 4)
MUL_INSTANCE(1, 1, 8)
MUL_INSTANCE(1, 2, 8)

lmn_nbits_mul_fn lmn_nbits_f32_mul_avx2;

void lmn_nbits_f32_mul_avx2(const lmn_nbits_block *b)
{
    static mul_fn *const four[2][2] = {{mul_1_1_4, mul_1_2_4}, {mul_1_1_4, mul_1_2_4}};
    static mul_fn *const eight[2][2] = {{mul_1_1_8, mul_1_2_8}, {mul_1_1_8, mul_1_2_8}};
    mul_run(b, b->w.bits == 4 ? four : eight, 1, 2);
}
