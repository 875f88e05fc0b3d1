/*
 * Sums of up to sixteen products for the qgemm row for AVX-512 VNNI. Their ends are as much work as
 * the products, on other units: the weights of a line's 64 columns stay in registers while rows of
 * A pass, a row leaves as a line of bytes, and its end runs beside the products of the next. Panels
 * are those of the row's block kernel; the columns of a line lie in two or three of them.
 */
#include "kernels/qgemm/qgemm_avx512_tmpl.h"

enum { LINE = 64, STRIP = 128 /* rows that pass the weights of a line */ };

lmn_qgemm_short_fn lmn_qgemm_i8_short_avx512vnni;

/* Columns of a line: up to half of it; up to all; all, which go past the caches. */
enum { HALF, WHOLE, PAST, KINDS };

/* Four vectors as a matrix of fours of columns, transposed: what packing then interleaves comes out
   in order. */
ALWAYS void turn(__m512i *x0, __m512i *x1, __m512i *x2, __m512i *x3)
{
    const __m512i even01 = _mm512_shuffle_i32x4(*x0, *x1, 0x88);
    const __m512i odd01 = _mm512_shuffle_i32x4(*x0, *x1, 0xdd);
    const __m512i even23 = _mm512_shuffle_i32x4(*x2, *x3, 0x88);
    const __m512i odd23 = _mm512_shuffle_i32x4(*x2, *x3, 0xdd);
    *x0 = _mm512_shuffle_i32x4(even01, even23, 0x88);
    *x1 = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    *x2 = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    *x3 = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
}
ALWAYS void turn_floats(__m512 *x0, __m512 *x1, __m512 *x2, __m512 *x3)
{
    __m512i y0 = _mm512_castps_si512(*x0), y1 = _mm512_castps_si512(*x1);
    __m512i y2 = _mm512_castps_si512(*x2), y3 = _mm512_castps_si512(*x3);
    turn(&y0, &y1, &y2, &y3);
    *x0 = _mm512_castsi512_ps(y0), *x1 = _mm512_castsi512_ps(y1);
    *x2 = _mm512_castsi512_ps(y2), *x3 = _mm512_castsi512_ps(y3);
}

/* Rows i .. i + m - 1 by the columns of a line from j on; k is `groups` fours, of which the last
   may be short. shift: is zp not 0? What follows in C is fetched, unless the line goes past. */
ALWAYS void line(const lmn_qgemm_block *t, int64_t nr, int64_t i, int64_t m, int64_t j,
                 const int groups, const int kind, const bool shift)
{
    const int vectors = kind == HALF ? 2 : 4;
    const bool past = kind == PAST;
    const int64_t lda = t->lda, ldc = t->end.ldc, left = t->k % FOUR, n = t->n - j;
    const uint8_t *a = (const uint8_t *)t->a + i * lda;
    uint8_t *c = (uint8_t *)t->end.c + i * ldc + j;
    const __mmask16 some = (__mmask16)((1u << left) - 1);
    const __mmask64 in = bytes(n);
    const bool u8 = t->end.hi > 127;
    const __m512i order = packer_of(&t->end).order, zp = _mm512_set1_epi16((short)t->end.zp);
#define WEIGHTS(v, g) \
    b##v##g = (g) < groups ? _mm512_loadu_si512(b##v + (g)*nr * FOUR) : _mm512_setzero_si512()
#define COLUMNS(v)                                                                         \
    const int64_t j##v = (v) < vectors && (v)*LANES < n ? j + (v)*LANES : j;               \
    const int8_t *b##v = (const int8_t *)t->b + j##v / nr * t->b_panel + j##v % nr * FOUR; \
    __m512i add##v = _mm512_loadu_si512(t->end.col_add + j##v);                            \
    __m512 mul##v = _mm512_loadu_ps(t->end.col_mul + j##v);                                \
    __m512i WEIGHTS(v, 0), WEIGHTS(v, 1), WEIGHTS(v, 2), WEIGHTS(v, 3);
    COLUMNS(0)
    COLUMNS(1)
    COLUMNS(2)
    COLUMNS(3)
    if (vectors > 2) {
        turn(&add0, &add1, &add2, &add3), turn_floats(&mul0, &mul1, &mul2, &mul3);
        turn(&b00, &b10, &b20, &b30);
        if (groups > 1) turn(&b01, &b11, &b21, &b31);
        if (groups > 2) turn(&b02, &b12, &b22, &b32);
        if (groups > 3) turn(&b03, &b13, &b23, &b33);
    }
#define STEP(g)                                                                             \
    if ((g) < groups) {                                                                     \
        const uint8_t *p = a + FOUR * (g);                                                  \
        const __m512i y = (g) == groups - 1 && left                                         \
                              ? _mm512_broadcastd_epi32(_mm_maskz_loadu_epi8(some, p))      \
                              : four(p);                                                    \
        c0 = _mm512_dpbusd_epi32(c0, y, b0##g), c1 = _mm512_dpbusd_epi32(c1, y, b1##g);     \
        if (vectors > 2)                                                                    \
            c2 = _mm512_dpbusd_epi32(c2, y, b2##g), c3 = _mm512_dpbusd_epi32(c3, y, b3##g); \
    }
#define WORDS(v) _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(c##v), mul##v))
#define SHIFTED(x) (shift ? _mm512_adds_epi16(x, zp) : (x))
    for (int64_t r = 0; r < m; r++, a += lda, c += ldc) {
        __m512i c0 = add0, c1 = add1, c2 = add2, c3 = add3;
        if (!past) __builtin_prefetch((const void *)((uintptr_t)c + LINE), 1, 2);
        STEP(0)
        STEP(1) STEP(2) STEP(3) const __m512i lo = SHIFTED(_mm512_packs_epi32(WORDS(0), WORDS(1)));
        const __m512i hi = vectors > 2 ? SHIFTED(_mm512_packs_epi32(WORDS(2), WORDS(3))) : lo;
        const __m512i packed = u8 ? _mm512_packus_epi16(lo, hi) : _mm512_packs_epi16(lo, hi);
        const __m512i y = vectors > 2 ? packed : _mm512_permutexvar_epi32(order, packed);
        if (past)
            _mm512_stream_si512((void *)c, y);
        else
            _mm512_mask_storeu_epi8(c, in, y);
    }
#undef SHIFTED
#undef WORDS
#undef STEP
#undef COLUMNS
#undef WEIGHTS
}

typedef void line_fn(const lmn_qgemm_block *t, int64_t nr, int64_t i, int64_t m, int64_t j);

#define INSTANCE(groups, kind, shift)                                          \
    static __attribute__((noinline)) void line_##groups##_##kind##_##shift(    \
        const lmn_qgemm_block *t, int64_t nr, int64_t i, int64_t m, int64_t j) \
    {                                                                          \
        line(t, nr, i, m, j, groups, kind, shift);                             \
    }
#define SHIFTS(groups, kind) INSTANCE(groups, kind, 0) INSTANCE(groups, kind, 1)
#define INSTANCES(groups) SHIFTS(groups, HALF) SHIFTS(groups, WHOLE) SHIFTS(groups, PAST)
INSTANCES(1)
INSTANCES(2)
INSTANCES(3)
INSTANCES(4)

void lmn_qgemm_i8_short_avx512vnni(const lmn_qgemm_block *t, int64_t nr)
{
#define KIND(g, kind)                                \
    {                                                \
        line_##g##_##kind##_0, line_##g##_##kind##_1 \
    }
#define OF(g)                                        \
    {                                                \
        KIND(g, HALF), KIND(g, WHOLE), KIND(g, PAST) \
    }
    static line_fn *const lines[LMN_QGEMM_SHORT_K / FOUR][KINDS][2] = {OF(1), OF(2), OF(3), OF(4)};
#undef OF
#undef KIND
    line_fn *const(*const run)[2] = lines[(t->k - 1) / FOUR];
    const bool shift = t->end.zp != 0;
    const bool past = t->c_past && ((uintptr_t)t->end.c | (uintptr_t)t->end.ldc) % LINE == 0;
    for (int64_t i = 0; i < t->m; i += STRIP)
        for (int64_t j = 0; j < t->n; j += LINE) {
            const int64_t n = t->n - j;
            const int kind = n <= LINE / 2 ? HALF : n >= LINE && past ? PAST : WHOLE;
            run[kind][shift](t, nr, i, lmn_min_i64(STRIP, t->m - i), j);
        }
    if (past) _mm_sfence();
}
