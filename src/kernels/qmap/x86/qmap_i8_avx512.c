/*
 * qmap row for AVX-512: the loops of qmap_tmpl.h as the compiler makes them, but for sums, which
 * need no division an element: t = a ka + b kb + c is what is to be rounded, with an error. With
 * u = 2^-24, A = 255 ka and B = 255 kb the four operations of the definition err by 3 u (A + B) at
 * most, those here by u (7 (A + B) + 3 255). Where t is no nearer than that to the middle between
 * two integers both are rounded to the same one; a block with a t nearer is done as it is defined.
 */
#define QMAP_QUICK
#include "kernels/qmap/qmap_tmpl.h"

#include <immintrin.h>

enum { QUICK = 64 };

typedef struct quick {
    __m512 ka, kb, c;
    float near; /* the most that t may lie off an integer */
} quick;

static inline bool is_plain(float scale)
{
    return scale >= 0x1p-60f && scale <= 0x1p60f;
}

static inline bool quick_of(const lmn_qmap_pair *p, quick *q)
{
    if (p->kind != LMN_QMAP_ADD || p->a_one || p->b_one || !is_plain(p->qa.scale) ||
        !is_plain(p->qb.scale) || !is_plain(p->qc.scale))
        return false;
    const double ka = (double)p->qa.scale / (double)p->qc.scale;
    const double kb = (double)p->qb.scale / (double)p->qc.scale;
    const double error = 0x1p-24 * (10 * 255 * (ka + kb) + 3 * 255);
    const int32_t shift = p->flip ? 128 : 0; /* flipped bytes are read as s8, 128 less */
    q->ka = _mm512_set1_ps((float)ka), q->kb = _mm512_set1_ps((float)kb);
    q->c = _mm512_set1_ps((float)(p->qc.zp - (p->qa.zp - shift) * ka - (p->qb.zp - shift) * kb));
    q->near = (float)(0.5 - 1.25 * error);
    return error < 0x1p-9; /* else too many would be done again */
}

static inline __m512 sixteen(const uint8_t *x, bool flip)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)x);
    return _mm512_cvtepi32_ps(flip ? _mm512_cvtepi8_epi32(v) : _mm512_cvtepu8_epi32(v));
}

/* Sixteen sums as integers; *off: the most that one lies off. */
static inline __m512i sums_of(const quick *q, const uint8_t *a, const uint8_t *b, bool flip,
                              __m512 *off)
{
    const __m512 t =
        _mm512_fmadd_ps(sixteen(a, flip), q->ka, _mm512_fmadd_ps(sixteen(b, flip), q->kb, q->c));
    enum { NEAREST = 0, ABS_MOST = 0xb }; /* to even; the larger of two magnitudes, no sign */
    *off = _mm512_range_ps(*off, _mm512_reduce_ps(t, NEAREST), ABS_MOST);
    return _mm512_cvtps_epi32(t);
}

/* Sixteen sums as they are defined; scales are numbers. */
static inline __m512i exact_of(const lmn_qmap_pair *p, int64_t at, bool flip)
{
    const int32_t shift = flip ? 128 : 0;
    const __m512 za = _mm512_set1_ps((float)(p->qa.zp - shift));
    const __m512 zb = _mm512_set1_ps((float)(p->qb.zp - shift));
    const __m512 a =
        _mm512_mul_ps(_mm512_sub_ps(sixteen(p->a + at, flip), za), _mm512_set1_ps(p->qa.scale));
    const __m512 b =
        _mm512_mul_ps(_mm512_sub_ps(sixteen(p->b + at, flip), zb), _mm512_set1_ps(p->qb.scale));
    const __m512 x = _mm512_div_ps(_mm512_add_ps(a, b), _mm512_set1_ps(p->qc.scale));
    return _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(p->qc.zp));
}

static inline void quick_block(const quick *q, const lmn_qmap_pair *p, int64_t at, bool flip)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const uint8_t *a = p->a + at, *b = p->b + at;
    __m512 off = _mm512_setzero_ps();
    __m512i v0 = sums_of(q, a, b, flip, &off), v1 = sums_of(q, a + 16, b + 16, flip, &off);
    __m512i v2 = sums_of(q, a + 32, b + 32, flip, &off),
            v3 = sums_of(q, a + 48, b + 48, flip, &off);
    if (_mm512_cmp_ps_mask(off, _mm512_set1_ps(q->near), _CMP_GT_OQ)) {
        v0 = exact_of(p, at, flip), v1 = exact_of(p, at + 16, flip);
        v2 = exact_of(p, at + 32, flip), v3 = exact_of(p, at + 48, flip);
    }
    const __m512i lo = _mm512_packs_epi32(v0, v1), hi = _mm512_packs_epi32(v2, v3);
    const __m512i y = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(lo, hi));
    _mm512_storeu_si512(p->dst + at, _mm512_xor_si512(y, _mm512_set1_epi8(flip ? -128 : 0)));
}

static inline int64_t quick_sums(const lmn_qmap_pair *p)
{
    quick q;
    int64_t at = 0;
    if (!quick_of(p, &q)) return 0;
    if (p->flip)
        for (; at + QUICK <= p->n; at += QUICK) quick_block(&q, p, at, true);
    else
        for (; at + QUICK <= p->n; at += QUICK) quick_block(&q, p, at, false);
    return at;
}

QMAP_ROW(avx512)
