/*
 * qgemm row for AVX-512 VNNI: tiles of 8 x 48, k in groups of four by vpdpbusd, which is exact
 * (it does not saturate). Accumulators are spelled out, the number of rows and of vectors a row is
 * constant in every instance.
 */
#include "kernels/qgemm/qgather_tmpl.h"
#include "kernels/qgemm/qgemm_avx512_tmpl.h"

enum { MR = 8, NR = 48, GROUP = 4 };

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_qgemm_block_fn lmn_qgemm_i8_block_avx512vnni;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_avx512vnni;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_avx512vnni;
lmn_qgemm_stream_fn lmn_qgemm_i8_stream_avx512vnni;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_avx512vnni, lmn_qgemm_i8_pack_b_avx512vnni;

/* rows x (vectors * 16) sums from row i0 and the panel at column j0 on. */
ALWAYS void tile(const lmn_qgemm_block *t, int64_t i0, int64_t j0, const int rows,
                 const int vectors)
{
    const int64_t groups = (t->k + GROUP - 1) / GROUP, lda = t->lda;
    const uint8_t *a = (const uint8_t *)t->a + i0 * lda;
    const int8_t *b = (const int8_t *)t->b + j0 / NR * t->b_panel;
    int32_t *part = t->part ? t->part + i0 * t->ld_part + j0 : NULL;
    const bool more = part && !t->first;
#define START(i)                                                                          \
    __m512i c##i##0 = _mm512_setzero_si512(), c##i##1 = c##i##0, c##i##2 = c##i##0;       \
    if (rows > i && more) {                                                               \
        c##i##0 = _mm512_loadu_si512(part + i * t->ld_part);                              \
        if (vectors > 1) c##i##1 = _mm512_loadu_si512(part + i * t->ld_part + LANES);     \
        if (vectors > 2) c##i##2 = _mm512_loadu_si512(part + i * t->ld_part + 2 * LANES); \
    }
    EACH_ROW(START)
#undef START
    for (int64_t g = 0; g < groups; g++) {
        const __m512i b0 = _mm512_loadu_si512(b);
        const __m512i b1 = vectors > 1 ? _mm512_loadu_si512(b + 64) : b0;
        const __m512i b2 = vectors > 2 ? _mm512_loadu_si512(b + 128) : b0;
#define STEP(i)                                                         \
    if (rows > i) {                                                     \
        const __m512i x = four(a + i * lda);                            \
        c##i##0 = _mm512_dpbusd_epi32(c##i##0, x, b0);                  \
        if (vectors > 1) c##i##1 = _mm512_dpbusd_epi32(c##i##1, x, b1); \
        if (vectors > 2) c##i##2 = _mm512_dpbusd_epi32(c##i##2, x, b2); \
    }
        EACH_ROW(STEP)
#undef STEP
        a += GROUP, b += (int64_t)NR * GROUP;
    }
    if (part && !t->last) {
#define KEEP(i)                                                                           \
    if (rows > i) {                                                                       \
        _mm512_storeu_si512(part + i * t->ld_part, c##i##0);                              \
        if (vectors > 1) _mm512_storeu_si512(part + i * t->ld_part + LANES, c##i##1);     \
        if (vectors > 2) _mm512_storeu_si512(part + i * t->ld_part + 2 * LANES, c##i##2); \
    }
        EACH_ROW(KEEP)
#undef KEEP
        return;
    }
    const int64_t n = t->n - j0;
    const lmn_qgemm_end end = t->end; /* ours: no store to C makes it be read again */
#define FINISH(i)                                                                             \
    if (rows > i) {                                                                           \
        finish(&end, i0 + i, j0, c##i##0, lanes(n));                                          \
        if (vectors > 1) finish(&end, i0 + i, j0 + LANES, c##i##1, lanes(n - LANES));         \
        if (vectors > 2) finish(&end, i0 + i, j0 + 2 * LANES, c##i##2, lanes(n - 2 * LANES)); \
    }
    EACH_ROW(FINISH)
#undef FINISH
}

/* One instance for every number of rows and vectors; a function of its own each, so that registers
   are given out one by one. */
#define INSTANCE(rows, vectors)                                                             \
    static __attribute__((noinline)) void tile_##rows##_##vectors(const lmn_qgemm_block *t, \
                                                                  int64_t i, int64_t j)     \
    {                                                                                       \
        tile(t, i, j, rows, vectors);                                                       \
    }
#define INSTANCES(rows) INSTANCE(rows, 1) INSTANCE(rows, 2) INSTANCE(rows, 3)
INSTANCES(1)
INSTANCES(2)
INSTANCES(4)
INSTANCES(8)

typedef void tile_fn(const lmn_qgemm_block *t, int64_t i, int64_t j);

void lmn_qgemm_i8_block_avx512vnni(const lmn_qgemm_block *t)
{
#define TILES(rows)                                       \
    {                                                     \
        tile_##rows##_1, tile_##rows##_2, tile_##rows##_3 \
    }
    static tile_fn *const tiles[4][3] = {TILES(1), TILES(2), TILES(4), TILES(8)};
#undef TILES
    for (int64_t j = 0; j < t->n; j += NR) {
        const int64_t vectors = lmn_min_i64(3, (t->n - j + LANES - 1) / LANES);
        int64_t i = 0;
        for (int step = 3; step >= 0; step--) {
            for (; i + (1 << step) <= t->m; i += (int64_t)1 << step)
                tiles[step][vectors - 1](t, i, j);
        }
    }
}

void lmn_qgemm_i8_pack_a_avx512vnni(const lmn_qgemm_pack *p)
{
    pack_a_run(p, GROUP);
}

void lmn_qgemm_i8_pack_b_avx512vnni(const lmn_qgemm_pack *p)
{
    pack_b_run(p, NR, GROUP);
}

/* Taps in fours: lane i of a vector gets the bytes i * stride .. i * stride + 3 of what is loaded,
   by moving dwords into the 16 bytes that want them and bytes inside those. */
typedef struct taps {
    __m512i dwords, bytes_of;
    int64_t n; /* fours of all kernel rows */
    int32_t w[LMN_QGEMM_TAPS], ones[LMN_QGEMM_TAPS];
    int64_t at[LMN_QGEMM_TAPS];
} taps;

static void lanes_of_taps(const lmn_qgemm_taps *t, taps *f)
{
    const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    const __m128i one = _mm_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6);
    const __m128i two = _mm_setr_epi8(0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9);
    f->dwords = _mm512_add_epi32(place, t->stride == 1 ? lane : _mm512_add_epi32(lane, lane));
    f->bytes_of = _mm512_broadcast_i32x4(t->stride == 1 ? one : two);
}

static void taps_in_fours(const lmn_qgemm_taps *t, taps *f)
{
    lanes_of_taps(t, f);
    f->n = 0;
    for (int64_t y = 0; y < t->kh; y++) {
        for (int64_t x = 0; x < t->kw; x += 4, f->n++) {
            const int64_t some = lmn_min_i64(4, t->kw - x);
            const uint32_t inside = (uint32_t)(((uint64_t)1 << 8 * some) - 1);
            uint32_t w;
            memcpy(&w, t->w + y * t->kw + x, sizeof w);
            f->w[f->n] = (int32_t)(w & inside), f->ones[f->n] = (int32_t)(0x01010101u & inside);
            f->at[f->n] = y * t->tap_step + x;
        }
    }
}

/* How outputs leave, in registers: no store to y makes it be read again. */
typedef struct taps_out {
    void *y;
    __m512 mul;
    int32_t zp, lo, hi;
    bool requant;
} taps_out;

ALWAYS taps_out taps_out_of(const lmn_qgemm_taps *t)
{
    return (taps_out){t->y, _mm512_set1_ps(t->mul), t->zp, t->lo, t->hi, t->requant};
}

/* Sixteen outputs from number `at` on, of which those of m are wanted. */
ALWAYS void taps_end(const taps_out *out, int64_t at, __m512i v, __mmask16 m)
{
    if (!out->requant) {
        _mm512_mask_storeu_epi32((int32_t *)out->y + at, m, v);
        return;
    }
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(v), out->mul);
    v = quantised(y, out->zp, out->lo, out->hi);
    _mm512_mask_cvtepi32_storeu_epi8((uint8_t *)out->y + at, m, v);
}

/* Three rows of up to four taps, stride 1: a row of the plane is spread out once for the three rows
   of outputs it takes part in. */
static void taps_three(const lmn_qgemm_taps *t)
{
    const taps_out out = taps_out_of(t);
    const int64_t n = t->n, rows = t->rows, step = t->tap_step;
    const __m512i add = _mm512_set1_epi32(t->add);
    taps f;
    lanes_of_taps(t, &f);
    const uint32_t inside = t->kw == 4 ? 0xffffffffu : (1u << 8 * t->kw) - 1;
    __m512i w[3];
    for (int r = 0; r < 3; r++) {
        uint32_t four_taps;
        memcpy(&four_taps, t->w + r * t->kw, sizeof four_taps);
        w[r] = _mm512_set1_epi32((int32_t)(four_taps & inside));
    }
#define SPREAD(p) \
    _mm512_shuffle_epi8(_mm512_permutexvar_epi32(f.dwords, _mm512_loadu_si512(p)), f.bytes_of)
    for (int64_t i = 0; i < n; i += LANES) {
        const uint8_t *x = t->x + i;
        const __mmask16 m = lanes(n - i);
        __m512i r0 = SPREAD(x), r1 = SPREAD(x + step);
        x += 2 * step;
        for (int64_t o = 0; o < rows; o++, x += step) {
            const __m512i r2 = SPREAD(x);
            __m512i acc = _mm512_dpbusd_epi32(add, r0, w[0]);
            acc = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(acc, r1, w[1]), r2, w[2]);
            taps_end(&out, o * n + i, acc, m);
            r0 = r1, r1 = r2;
        }
    }
#undef SPREAD
}

void lmn_qgemm_i8_taps_avx512vnni(const lmn_qgemm_taps *t)
{
    if (t->kh == 3 && t->kw <= 4 && t->stride == 1 && t->row_step == t->tap_step && !t->w_zp) {
        taps_three(t);
        return;
    }
    const taps_out out = taps_out_of(t);
    taps f;
    taps_in_fours(t, &f);
    for (int64_t o = 0; o < t->rows; o++) {
        for (int64_t i = 0; i < t->n; i += LANES) {
            const uint8_t *x = t->x + o * t->row_step + i * t->stride;
            __m512i acc = _mm512_set1_epi32(t->add), sum = _mm512_setzero_si512();
            for (int64_t k = 0; k < f.n; k++) {
                __m512i v = _mm512_loadu_si512(x + f.at[k]);
                v = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(f.dwords, v), f.bytes_of);
                acc = _mm512_dpbusd_epi32(acc, v, _mm512_set1_epi32(f.w[k]));
                if (t->w_zp) sum = _mm512_dpbusd_epi32(sum, v, _mm512_set1_epi32(f.ones[k]));
            }
            acc = _mm512_sub_epi32(acc, _mm512_mullo_epi32(sum, _mm512_set1_epi32(t->w_zp)));
            taps_end(&out, o * t->n + i, acc, lanes(t->n - i));
        }
    }
}

/* A row of any length and a stride of 1 or 2; what is stored behind it spills. */
ALWAYS void one_row(uint8_t *dst, const uint8_t *src, const gather_piece *a)
{
    const __m512i fill = _mm512_set1_epi8((char)a->pad);
    const int64_t width = a->stride == 1 ? 64 : 32;
    for (int64_t i = 0; i < a->n; i += width) {
        const __mmask64 in = bytes(a->inside.hi - i) & ~bytes(a->inside.lo - i);
        const uint8_t *from = src + (i - a->inside.lo) * a->stride;
        if (a->stride == 1) {
            _mm512_storeu_si512(dst + i, _mm512_mask_loadu_epi8(fill, in, from));
            continue;
        }
        const __mmask64 even = _pdep_u64(in, 0x5555555555555555u);
        const __m256i v = _mm512_cvtepi16_epi8(_mm512_maskz_loadu_epi8(even, from));
        const __m256i y = _mm256_mask_mov_epi8(_mm512_castsi512_si256(fill), (__mmask32)in, v);
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), y);
    }
}

/* Whole vectors are stored: what spills is overwritten by the next row, or lies in the spill. */
static inline void gather_rows(uint8_t *dst, const uint8_t *x, const gather_piece *a)
{
    const uint8_t *src = x;
    const int64_t step = a->step;
    if (a->stride == 1 && a->n <= 64) {
        const __mmask64 in = bytes(a->inside.hi) & ~bytes(a->inside.lo);
        const __m512i fill = _mm512_set1_epi8((char)a->pad);
        const __m256i fill32 = _mm512_castsi512_si256(fill);
        const __m128i fill16 = _mm512_castsi512_si128(fill);
        src -= a->inside.lo;
        /* The narrowest vector: wide stores across lines cost more. */
        for (int64_t r = 0; r < a->rows; r++, src += step, dst += a->n) {
            if (a->n <= 16)
                _mm_storeu_si128((__m128i *)(void *)dst,
                                 _mm_mask_loadu_epi8(fill16, (__mmask16)in, src));
            else if (a->n <= 32)
                _mm256_storeu_si256((__m256i *)(void *)dst,
                                    _mm256_mask_loadu_epi8(fill32, (__mmask32)in, src));
            else
                _mm512_storeu_si512(dst, _mm512_mask_loadu_epi8(fill, in, src));
        }
        return;
    }
    for (int64_t r = 0; r < a->rows; r++, src += step, dst += a->n) {
        if (a->stride <= 2) {
            one_row(dst, src, a);
            continue;
        }
        for (int64_t i = 0; i < a->n; i++) dst[i] = a->pad;
        for (int64_t i = a->inside.lo; i < a->inside.hi; i++)
            dst[i] = src[(i - a->inside.lo) * a->stride];
    }
}

void lmn_qgemm_i8_gather_avx512vnni(const lmn_qgemm_gather *w)
{
    gather_slab(w);
}

/* ---- few rows ---------------------------------------------------------------------------------
 */

/* Rows of B at once: as many streams as the caches follow, and sums rest in memory rarely. */
enum { STREAM_K = 32 };

/* A row of 64 columns, or zeros. */
ALWAYS __m512i stream_row(const uint8_t *b, bool there, __mmask64 in, __m512i flip,
                          const bool whole)
{
    if (whole) return _mm512_xor_si512(_mm512_loadu_si512(b), flip);
    if (!there) return _mm512_setzero_si512();
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(in, b), flip);
}

/* STREAM_K rows from k0 on, or what is left of them, times 64 columns. Sums of 64 columns stay as
   unpacks leave them until the end: lane l of vector v holds columns 16 l + 4 v on. `ahead`: bytes
   to the same place of the rows that come next. */
ALWAYS void stream_block(const lmn_qgemm_stream *s, int64_t k0, int64_t j, int64_t ahead,
                         const int rows, const bool whole)
{
    const __m512i flip = _mm512_set1_epi8((char)s->flip), one = _mm512_set1_epi8(1);
    const __m512i zero = _mm512_setzero_si512();
    const __mmask64 in = bytes(s->n - j);
    const int64_t k = whole ? STREAM_K : lmn_min_i64(s->k - k0, STREAM_K), ld = s->ldb;
    const int64_t a_step = s->a_step;
    const uint8_t *b = s->b + k0 * ld + j, *a = s->a + k0;
    int32_t *cs = s->col_sum + j, *part = s->part + j;
    __m512i sum[4], acc[LMN_QGEMM_STREAM_M][4];
    for (int v = 0; v < 4; v++) {
        sum[v] = k0 ? _mm512_loadu_si512(cs + v * LANES) : zero;
        for (int i = 0; i < rows; i++)
            acc[i][v] = k0 ? _mm512_loadu_si512(part + i * s->ld_part + v * LANES) : zero;
    }
    for (int64_t e = 0; e < k; e += GROUP, b += GROUP * ld, a += GROUP) {
        if (whole)
            for (int i = 0; i < GROUP; i++)
                _mm_prefetch((const char *)b + ahead + i * ld, _MM_HINT_T0);
        const __m512i r0 = stream_row(b, true, in, flip, whole);
        const __m512i r1 = stream_row(b + ld, k - e > 1, in, flip, whole);
        const __m512i r2 = stream_row(b + 2 * ld, k - e > 2, in, flip, whole);
        const __m512i r3 = stream_row(b + 3 * ld, k - e > 3, in, flip, whole);
        const __m512i lo01 = _mm512_unpacklo_epi8(r0, r1), hi01 = _mm512_unpackhi_epi8(r0, r1);
        const __m512i lo23 = _mm512_unpacklo_epi8(r2, r3), hi23 = _mm512_unpackhi_epi8(r2, r3);
        const __m512i x[4] = {_mm512_unpacklo_epi16(lo01, lo23), _mm512_unpackhi_epi16(lo01, lo23),
                              _mm512_unpacklo_epi16(hi01, hi23), _mm512_unpackhi_epi16(hi01, hi23)};
        for (int v = 0; v < 4; v++) {
            sum[v] = _mm512_dpbusd_epi32(sum[v], one, x[v]);
            for (int i = 0; i < rows; i++)
                acc[i][v] = _mm512_dpbusd_epi32(acc[i][v], four(a + i * a_step), x[v]);
        }
        /* Here gcc 12 would keep copies of the sums of four rows in memory. */
        for (int v = 0; v < 4; v++)
            for (int i = 0; i < rows; i++) __asm__("" : "+v"(acc[i][v]));
    }
    for (int v = 0; v < 4; v++) {
        _mm512_storeu_si512(cs + v * LANES, sum[v]);
        for (int i = 0; i < rows; i++)
            _mm512_storeu_si512(part + i * s->ld_part + v * LANES, acc[i][v]);
    }
}

/* 64 sums into the order of their columns: lanes transposed. */
static void columns_in_order(int32_t *p)
{
    const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + LANES);
    const __m512i c = _mm512_loadu_si512(p + 2 * LANES), d = _mm512_loadu_si512(p + 3 * LANES);
    const __m512i ab0 = _mm512_shuffle_i32x4(a, b, 0x44), ab1 = _mm512_shuffle_i32x4(a, b, 0xee);
    const __m512i cd0 = _mm512_shuffle_i32x4(c, d, 0x44), cd1 = _mm512_shuffle_i32x4(c, d, 0xee);
    _mm512_storeu_si512(p, _mm512_shuffle_i32x4(ab0, cd0, 0x88));
    _mm512_storeu_si512(p + LANES, _mm512_shuffle_i32x4(ab0, cd0, 0xdd));
    _mm512_storeu_si512(p + 2 * LANES, _mm512_shuffle_i32x4(ab1, cd1, 0x88));
    _mm512_storeu_si512(p + 3 * LANES, _mm512_shuffle_i32x4(ab1, cd1, 0xdd));
}

#define STREAM(rows)                                                                           \
    static __attribute__((noinline)) void stream_##rows(const lmn_qgemm_stream *s)             \
    {                                                                                          \
        for (int64_t k = 0; k == 0 || k < s->k; k += STREAM_K) {                               \
            const int64_t ahead = k + 2 * STREAM_K <= s->k ? STREAM_K * s->ldb : 0;            \
            const int64_t most = k + STREAM_K <= s->k ? s->n - LMN_QGEMM_STREAM : -1;          \
            int64_t j = 0;                                                                     \
            for (; j <= most; j += LMN_QGEMM_STREAM) stream_block(s, k, j, ahead, rows, true); \
            for (; j < s->n; j += LMN_QGEMM_STREAM) stream_block(s, k, j, 0, rows, false);     \
        }                                                                                      \
    }
STREAM(1)
STREAM(2)
STREAM(3)
STREAM(4)

void lmn_qgemm_i8_stream_avx512vnni(const lmn_qgemm_stream *s)
{
    static void (*const run[LMN_QGEMM_STREAM_M])(const lmn_qgemm_stream *) = {stream_1, stream_2,
                                                                              stream_3, stream_4};
    run[s->m - 1](s);
    for (int64_t j = 0; j < s->n; j += LMN_QGEMM_STREAM) {
        columns_in_order(s->col_sum + j);
        for (int64_t i = 0; i < s->m; i++) columns_in_order(s->part + i * s->ld_part + j);
    }
}
