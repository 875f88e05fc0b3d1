/*
 * qgemm row for AVX2: tiles of 6 x 16, both operands widened to 16 bits and k taken in pairs by
 * vpmaddwd, which is exact (vpmaddubsw would saturate).
 */
#include "kernels/qgemm/qgather_tmpl.h"
#include "kernels/qgemm/qwindow_tmpl.h"

#include <immintrin.h>
#include <string.h>

enum { MR = 6, NR = 16, GROUP = 2, LANES = 8 };

#define ALWAYS static inline __attribute__((always_inline))
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)

lmn_qgemm_block_fn lmn_qgemm_i8_block_avx2;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_avx2;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_avx2;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_avx2;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_avx2, lmn_qgemm_i8_pack_b_avx2;

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* n (at most 8) of the numbers to int32. */
ALWAYS void store_words(int32_t *c, __m256i v, int64_t n)
{
    int32_t wide[LANES];
    if (n >= LANES) {
        _mm256_storeu_si256((__m256i *)(void *)c, v);
        return;
    }
    _mm256_storeu_si256((__m256i *)(void *)wide, v);
    memcpy(c, wide, (size_t)n * sizeof *c);
}

/* n (at most 8) floats, then zeros. */
ALWAYS __m256 load_floats(const float *p, int64_t n)
{
    float wide[LANES] = {0};
    if (n >= LANES) return _mm256_loadu_ps(p);
    memcpy(wide, p, (size_t)n * sizeof *p);
    return _mm256_loadu_ps(wide);
}

/* n (at most 8) of the values, quantised, to bytes. */
ALWAYS void store_bytes(uint8_t *c, __m256 x, const int32_t *zp_lo_hi, int64_t n)
{
    const int32_t zp = zp_lo_hi[0];
    x = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
    x = _mm256_max_ps(x, _mm256_set1_ps((float)(zp_lo_hi[1] - zp)));
    x = _mm256_min_ps(x, _mm256_set1_ps((float)(zp_lo_hi[2] - zp)));
    __m256i v = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(zp));
    /* The low byte of every lane: values lie inside their type, so nothing is lost. */
    v = _mm256_shuffle_epi8(v, _mm256_set1_epi32(0x0c080400));
    const uint32_t half[2] = {(uint32_t)_mm256_extract_epi32(v, 0),
                              (uint32_t)_mm256_extract_epi32(v, 4)};
    if (n >= LANES)
        memcpy(c, half, LANES);
    else
        memcpy(c, half, (size_t)n);
}

/* V and C of qgemm.h for a vector of sums, of which n are wanted. */
ALWAYS void finish(const lmn_qgemm_end *e, int64_t i, int64_t j, __m256i v, int64_t n)
{
    if (n <= 0) return;
    v = _mm256_add_epi32(v, load(e->col_add + j));
    v = _mm256_add_epi32(v, _mm256_set1_epi32(e->row_add[i]));
    if (e->col_zp)
        v = _mm256_sub_epi32(
            v, _mm256_mullo_epi32(load(e->col_zp + j), _mm256_set1_epi32(e->row_sum[i])));
    if (e->row_zp)
        v = _mm256_sub_epi32(
            v, _mm256_mullo_epi32(load(e->col_sum + j), _mm256_set1_epi32(e->row_zp[i])));
    const int64_t at = i * e->ldc + j;
    if (e->out == LMN_QGEMM_I32) {
        store_words((int32_t *)e->c + at, v, n);
        return;
    }
    const __m256 mul = e->col_mul ? _mm256_loadu_ps(e->col_mul + j) : _mm256_set1_ps(e->row_mul[i]);
    __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(v), mul);
    if (e->out == LMN_QGEMM_F32 && e->col_bias)
        x = _mm256_add_ps(x, _mm256_loadu_ps(e->col_bias + j));
    if (e->plus) x = _mm256_add_ps(x, load_floats(e->plus + i * e->ld_plus + j, n));
    if (e->out == LMN_QGEMM_F32) {
        store_words((int32_t *)e->c + at, _mm256_castps_si256(x), n);
        return;
    }
    if (e->div != 1.0f) x = _mm256_div_ps(x, _mm256_set1_ps(e->div));
    store_bytes((uint8_t *)e->c + at, x, (const int32_t[3]){e->zp, e->lo, e->hi}, n);
}

ALWAYS void tile(const lmn_qgemm_block *t, int64_t i0, int64_t j0, const int rows)
{
    const int64_t groups = (t->k + GROUP - 1) / GROUP, lda = t->lda;
    const char *a = (const char *)t->a + i0 * lda;
    const char *b = (const char *)t->b + j0 / NR * t->b_panel;
    int32_t *part = t->part ? t->part + i0 * t->ld_part + j0 : NULL;
    const bool more = part && !t->first;
#define START(i)                                                 \
    __m256i c##i##0 = _mm256_setzero_si256(), c##i##1 = c##i##0; \
    if (rows > i && more) {                                      \
        c##i##0 = load(part + i * t->ld_part);                   \
        c##i##1 = load(part + i * t->ld_part + LANES);           \
    }
    EACH_ROW(START)
#undef START
    for (int64_t g = 0; g < groups; g++) {
        const __m256i b0 = load(b), b1 = load(b + 32);
#define STEP(i)                                                        \
    if (rows > i) {                                                    \
        int32_t two;                                                   \
        memcpy(&two, a + i * lda, sizeof two);                         \
        const __m256i x = _mm256_set1_epi32(two);                      \
        c##i##0 = _mm256_add_epi32(c##i##0, _mm256_madd_epi16(x, b0)); \
        c##i##1 = _mm256_add_epi32(c##i##1, _mm256_madd_epi16(x, b1)); \
    }
        EACH_ROW(STEP)
#undef STEP
        a += 2 * GROUP, b += 2 * NR * GROUP;
    }
    if (part && !t->last) {
#define KEEP(i)                                                                           \
    if (rows > i) {                                                                       \
        _mm256_storeu_si256((__m256i *)(void *)(part + i * t->ld_part), c##i##0);         \
        _mm256_storeu_si256((__m256i *)(void *)(part + i * t->ld_part + LANES), c##i##1); \
    }
        EACH_ROW(KEEP)
#undef KEEP
        return;
    }
    const int64_t n = t->n - j0;
#define FINISH(i)                                                \
    if (rows > i) {                                              \
        finish(&t->end, i0 + i, j0, c##i##0, n);                 \
        finish(&t->end, i0 + i, j0 + LANES, c##i##1, n - LANES); \
    }
    EACH_ROW(FINISH)
#undef FINISH
}

#define INSTANCE(rows)                                                                             \
    static                                                                                         \
        __attribute__((noinline)) void tile_##rows(const lmn_qgemm_block *t, int64_t i, int64_t j) \
    {                                                                                              \
        tile(t, i, j, rows);                                                                       \
    }
INSTANCE(1)
INSTANCE(2)
INSTANCE(4)
INSTANCE(6)

void lmn_qgemm_i8_block_avx2(const lmn_qgemm_block *t)
{
    for (int64_t j = 0; j < t->n; j += NR) {
        int64_t i = 0;
        for (; i + 6 <= t->m; i += 6) tile_6(t, i, j);
        for (; i + 4 <= t->m; i += 4) tile_4(t, i, j);
        for (; i + 2 <= t->m; i += 2) tile_2(t, i, j);
        for (; i < t->m; i++) tile_1(t, i, j);
    }
}

void lmn_qgemm_i8_pack_a_avx2(const lmn_qgemm_pack *p)
{
    const __m128i flip = _mm_set1_epi8((char)p->flip), zero = _mm_setzero_si128();
    for (int64_t i = 0; i < p->n; i++) {
        const uint8_t *src = p->src + i * p->ld;
        int16_t *dst = (int16_t *)(void *)((char *)p->dst + i * p->step);
        __m128i sum = zero;
        int64_t k = 0;
        for (; k + 16 <= p->k; k += 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(src + k));
            x = _mm_xor_si128(x, flip);
            _mm256_storeu_si256((__m256i *)(void *)(dst + k), _mm256_cvtepu8_epi16(x));
            sum = _mm_add_epi64(sum, _mm_sad_epu8(x, zero));
        }
        uint32_t total = (uint32_t)_mm_cvtsi128_si64(sum) + (uint32_t)_mm_extract_epi64(sum, 1);
        for (; k < p->k; k++) {
            dst[k] = (uint8_t)(src[k] ^ p->flip);
            total += (uint32_t)dst[k];
        }
        if (k % GROUP) dst[k] = 0;
        p->sums[i] = (int32_t)((uint32_t)p->sums[i] + total);
    }
}

/* 16 columns of a row, of which n are there, as 16-bit numbers. */
ALWAYS __m256i columns(const uint8_t *src, int64_t n, __m128i flip)
{
    uint8_t some[NR] = {0};
    const void *from = src;
    if (n < NR) from = memcpy(some, src, (size_t)n);
    return _mm256_cvtepi8_epi16(_mm_xor_si128(_mm_loadu_si128((const __m128i *)from), flip));
}

void lmn_qgemm_i8_pack_b_avx2(const lmn_qgemm_pack *p)
{
    const __m128i flip = _mm_set1_epi8((char)p->flip);
    const __m256i one = _mm256_set1_epi16(1), zero = _mm256_setzero_si256();
    for (int64_t j = 0; j < p->n; j += NR) {
        const int64_t n = p->n - j;
        char *dst = (char *)p->dst + j / NR * p->step;
        int32_t *sums = p->sums + j;
        __m256i s0 = load(sums), s1 = load(sums + LANES);
        for (int64_t k = 0; k < p->k; k += GROUP, dst += 2 * NR * GROUP) {
            const uint8_t *src = p->src + k * p->ld + j;
            const __m256i r0 = columns(src, n, flip);
            const __m256i r1 = k + 1 < p->k ? columns(src + p->ld, n, flip) : zero;
            const __m256i lo = _mm256_unpacklo_epi16(r0, r1), hi = _mm256_unpackhi_epi16(r0, r1);
            const __m256i x0 = _mm256_permute2x128_si256(lo, hi, 0x20);
            const __m256i x1 = _mm256_permute2x128_si256(lo, hi, 0x31);
            _mm256_storeu_si256((__m256i *)(void *)dst, x0);
            _mm256_storeu_si256((__m256i *)(void *)(dst + 32), x1);
            s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(x0, one));
            s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(x1, one));
        }
        _mm256_storeu_si256((__m256i *)(void *)sums, s0);
        _mm256_storeu_si256((__m256i *)(void *)(sums + LANES), s1);
    }
}

/* Eight outputs whose first tap lies at x, two taps at a time: bytes in pairs, widened. */
ALWAYS __m256i eight(const lmn_qgemm_taps *t, const uint8_t *x, __m128i pairs)
{
    __m256i acc = _mm256_set1_epi32(t->add);
    for (int64_t ky = 0; ky < t->kh; ky++) {
        for (int64_t kx = 0; kx < t->kw; kx += 2) {
            const int8_t *tap = t->w + ky * t->kw + kx;
            const int32_t w0 = tap[0] - t->w_zp, w1 = kx + 1 < t->kw ? tap[1] - t->w_zp : 0;
            const uint8_t *src = x + ky * t->tap_step + kx;
            const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)src);
            const __m256i v = _mm256_cvtepu8_epi16(_mm_shuffle_epi8(b, pairs));
            const __m256i w = _mm256_set1_epi32((int32_t)((uint16_t)w0 | (uint32_t)w1 << 16));
            acc = _mm256_add_epi32(acc, _mm256_madd_epi16(v, w));
        }
    }
    return acc;
}

void lmn_qgemm_i8_taps_avx2(const lmn_qgemm_taps *t)
{
    const __m128i pairs = t->stride == 1
                              ? _mm_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8)
                              : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const int32_t ends[3] = {t->zp, t->lo, t->hi};
    const __m256 mul = _mm256_set1_ps(t->mul);
    for (int64_t o = 0; o < t->rows; o++) {
        for (int64_t i = 0; i < t->n; i += LANES) {
            const __m256i v = eight(t, t->x + o * t->row_step + i * t->stride, pairs);
            const int64_t at = o * t->n + i;
            if (t->requant)
                store_bytes((uint8_t *)t->y + at, _mm256_mul_ps(_mm256_cvtepi32_ps(v), mul), ends,
                            t->n - i);
            else
                store_words((int32_t *)t->y + at, v, t->n - i);
        }
    }
}

/* Every second byte, sixteen at once; the last vector may read one byte more than it takes. */
ALWAYS int64_t every_second(uint8_t *dst, const uint8_t *src, int64_t n)
{
    const __m128i low = _mm_set1_epi16(0xff);
    int64_t i = 0;
    for (; i + 17 <= n; i += 16) {
        const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(src + 2 * i));
        const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(src + 2 * i + 16));
        const __m128i v = _mm_packus_epi16(_mm_and_si128(a, low), _mm_and_si128(b, low));
        _mm_storeu_si128((__m128i *)(void *)(dst + i), v);
    }
    return i;
}

ALWAYS void one_row(uint8_t *dst, const uint8_t *src, const gather_piece *a)
{
    uint8_t *to = dst + a->inside.lo;
    const int64_t some = a->inside.hi - a->inside.lo;
    int64_t i = 0;
    for (int64_t e = 0; e < a->inside.lo; e++) dst[e] = a->pad;
    if (a->stride == 2) i = every_second(to, src, some);
    for (; a->stride == 1 && i + 16 <= some; i += 16)
        _mm_storeu_si128((__m128i *)(void *)(to + i),
                         _mm_loadu_si128((const __m128i *)(const void *)(src + i)));
    for (; i < some; i++) to[i] = src[i * a->stride];
    for (int64_t e = a->inside.hi; e < a->n; e++) dst[e] = a->pad;
}

static inline void gather_rows(uint8_t *dst, const uint8_t *x, const gather_piece *a)
{
    for (int64_t r = 0; r < a->rows; r++) one_row(dst + r * a->n, x + r * a->step, a);
}

void lmn_qgemm_i8_gather_avx2(const lmn_qgemm_gather *w)
{
    gather_slab(w);
}

void lmn_qgemm_i8_windows_avx2(const lmn_qgemm_windows *w)
{
    windows_run(w);
}
