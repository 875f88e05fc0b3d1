/*
 * Few rows against a B that is read once, where it lies, on AVX-512 VNNI: row-major B in passing
 * turned into fours of k, transposed B by dot products of 64 bytes.
 */
#include "kernels/qgemm/qgemm_avx512_tmpl.h"
#include "kernels/split.h"

enum { GROUP = 4 };

lmn_qgemm_stream_fn lmn_qgemm_i8_stream_avx512vnni, lmn_qgemm_i8_dot_avx512vnni,
    lmn_qgemm_i8_dot_wide_avx512vnni;

/* ---- B row-major -------------------------------------------------------------------------------
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

/* ---- B transposed ------------------------------------------------------------------------------
 */

#define EACH_DOT(M) M(0) M(1) M(2) M(3)

enum { PAGE = 4096, AHEAD = 4 * PAGE }; /* of each of four streams */

/* The sums over the lanes of four vectors, in order. */
ALWAYS __m128i sum4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i s =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i y = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
}

/* What four columns of B are besides: more: there are sums of the k before; wide: the next four are
   wanted in the first cache, fetched evenly while these pass all rows of A. */
typedef struct dot_how {
    bool more, wide;
} dot_how;

/* Results of four columns, `apart` from each other, of which n are wanted. */
ALWAYS void dot_store(int32_t *to, int64_t apart, int64_t n, bool more, __m128i v)
{
    if (apart == 1) {
        const __mmask8 in = (__mmask8)((1u << n) - 1);
        if (more) v = _mm_add_epi32(v, _mm_maskz_loadu_epi32(in, to));
        _mm_mask_storeu_epi32(to, in, v);
        return;
    }
    to[0] = _mm_extract_epi32(v, 0), to[apart] = _mm_extract_epi32(v, 1);
    to[2 * apart] = _mm_extract_epi32(v, 2), to[3 * apart] = _mm_extract_epi32(v, 3);
}

/* Rows of B are too short for the hardware to run ahead: the rows of A fetch the next four of B, as
   one stream, not four; the first rows all of them, or each their part. */
typedef struct dot_next {
    const uint8_t *at;
    int64_t left, k, hop; /* of this row of B; of a row; from its end to the next */
    int64_t step;         /* bytes a step of k; 0 = none */
} dot_next;

ALWAYS dot_next dot_next_of(const lmn_qgemm_stream *s, dot_how how, int64_t i0, int64_t j)
{
    const int64_t step = !how.wide ? 256 : s->m > 12 ? 64 : s->m > 4 ? 128 : 256;
    const int64_t row = i0 / 4 * step / 64; /* of the four: the first that is left to these */
    if (row >= 4 || j + 8 > s->n) return (dot_next){.step = 0};
    return (dot_next){s->b + (j + 4 + row) * s->ldb, s->k, s->k, s->ldb - s->k, step};
}

ALWAYS void dot_fetch(dot_next *a, dot_how how)
{
    if (how.wide) {
        __builtin_prefetch(a->at, 0, 3);
        if (a->step > 64) __builtin_prefetch(a->at + 64, 0, 3);
        if (a->step > 128)
            __builtin_prefetch(a->at + 128, 0, 3), __builtin_prefetch(a->at + 192, 0, 3);
    } else {
        __builtin_prefetch(a->at, 0, 2), __builtin_prefetch(a->at + 64, 0, 2);
        __builtin_prefetch(a->at + 128, 0, 2), __builtin_prefetch(a->at + 192, 0, 2);
    }
    a->at += a->step, a->left -= a->step;
    if (a->left <= 0) a->at += a->hop, a->left += a->k;
}

/* rows by four columns, `apart` from each other, of which n are wanted; the others repeat the last.
   With `sums`, the sums of the columns too: the products with a row of ones. */
ALWAYS void dot_block(const lmn_qgemm_stream *s, dot_how how, int64_t i0, int64_t j, int64_t n,
                      int64_t apart, const int rows, const bool sums)
{
    const uint8_t *a = s->a + i0 * s->a_step, *b0 = s->b + j * s->ldb;
    const int64_t next_b = apart * s->ldb;
    const uint8_t *b1 = b0 + (n > 1 ? next_b : 0), *b2 = b1 + (n > 2 ? next_b : 0),
                  *b3 = b2 + (n > 3 ? next_b : 0);
    const int64_t step = s->a_step, n_k = s->k;
    dot_next next = dot_next_of(s, how, i0, j);
    const bool ahead = apart == 1 && next.step;
    const __m512i flip = _mm512_set1_epi8((char)s->flip), one = _mm512_set1_epi8(1);
    __m512i acc[4][4], sum[4];
#define DOT_OPEN(i)                  \
    sum[i] = _mm512_setzero_si512(); \
    acc[i][0] = sum[i], acc[i][1] = sum[i], acc[i][2] = sum[i], acc[i][3] = sum[i];
/* gcc 12 would copy every sum a step, and keep some in memory. */
#define DOT_ADD(sum, x, w)                \
    sum = _mm512_dpbusd_epi32(sum, x, w); \
    __asm__("" : "+v"(sum));
#define DOT_STEP(i, LOAD)                         \
    if ((i) < rows) {                             \
        const __m512i x = LOAD(a + (i)*step + k); \
        DOT_ADD(acc[i][0], x, w0)                 \
        DOT_ADD(acc[i][1], x, w1)                 \
        DOT_ADD(acc[i][2], x, w2)                 \
        DOT_ADD(acc[i][3], x, w3)                 \
    }
#define DOT_SUMS()               \
    if (sums) {                  \
        DOT_ADD(sum[0], one, w0) \
        DOT_ADD(sum[1], one, w1) \
        DOT_ADD(sum[2], one, w2) \
        DOT_ADD(sum[3], one, w3) \
    }
#define DOT_SOME(p) _mm512_maskz_loadu_epi8(in, p)
#define DOT_WHOLE(i) DOT_STEP(i, _mm512_loadu_si512)
#define DOT_PART(i) DOT_STEP(i, DOT_SOME)
#define DOT_CLOSE(i)                                                         \
    if ((i) < rows)                                                          \
        dot_store(s->part + (i0 + (i)) * s->ld_part + j, apart, n, how.more, \
                  sum4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    EACH_DOT(DOT_OPEN)
    int64_t k = 0;
    for (; k + 64 <= n_k; k += 64) {
        if (apart != 1 && k % PAGE == 0) { /* hardware stops at the end of a page */
            __builtin_prefetch(b0 + k + AHEAD, 0, 2), __builtin_prefetch(b1 + k + AHEAD, 0, 2);
            __builtin_prefetch(b2 + k + AHEAD, 0, 2), __builtin_prefetch(b3 + k + AHEAD, 0, 2);
        }
        const __m512i w0 = _mm512_xor_si512(_mm512_loadu_si512(b0 + k), flip),
                      w1 = _mm512_xor_si512(_mm512_loadu_si512(b1 + k), flip),
                      w2 = _mm512_xor_si512(_mm512_loadu_si512(b2 + k), flip),
                      w3 = _mm512_xor_si512(_mm512_loadu_si512(b3 + k), flip);
        if (ahead) dot_fetch(&next, how);
        DOT_SUMS()
        EACH_DOT(DOT_WHOLE)
    }
    if (k < n_k) {
        const __mmask64 in = bytes(n_k - k);
        const __m512i flips = _mm512_maskz_mov_epi8(in, flip);
        const __m512i w0 = _mm512_xor_si512(DOT_SOME(b0 + k), flips),
                      w1 = _mm512_xor_si512(DOT_SOME(b1 + k), flips),
                      w2 = _mm512_xor_si512(DOT_SOME(b2 + k), flips),
                      w3 = _mm512_xor_si512(DOT_SOME(b3 + k), flips);
        DOT_SUMS()
        EACH_DOT(DOT_PART)
    }
    EACH_DOT(DOT_CLOSE)
    if (sums) dot_store(s->col_sum + j, apart, n, how.more, sum4(sum[0], sum[1], sum[2], sum[3]));
}

#define DOT(rows, sums)                                                          \
    static __attribute__((noinline)) void dot_##rows##_##sums(                   \
        const lmn_qgemm_stream *s, dot_how how, int64_t i, int64_t j, int64_t n) \
    {                                                                            \
        dot_block(s, how, i, j, n, 1, rows, sums);                               \
    }
DOT(1, 0)
DOT(2, 0)
DOT(3, 0)
DOT(4, 0)
DOT(1, 1)
DOT(2, 1)
DOT(3, 1)
DOT(4, 1)
#define RUNS(sums)                                                                            \
    static __attribute__((noinline)) void runs_##sums(const lmn_qgemm_stream *s, int64_t run) \
    {                                                                                         \
        for (int64_t j = 0; j < run; j++) dot_block(s, (dot_how){0}, 0, j, 4, run, 1, sums);  \
    }
RUNS(0)
RUNS(1)
typedef void dot_fn(const lmn_qgemm_stream *s, dot_how how, int64_t i, int64_t j, int64_t n);

/* Columns from j on. */
static void dot_columns(const lmn_qgemm_stream *s, dot_how how, int64_t j)
{
    static dot_fn *const run[2][4] = {{dot_1_0, dot_2_0, dot_3_0, dot_4_0},
                                      {dot_1_1, dot_2_1, dot_3_1, dot_4_1}};
    for (; j < s->n; j += 4) {
        const int64_t n = lmn_min_i64(4, s->n - j);
        for (int64_t i = 0; i < s->m; i += 4)
            run[i == 0 && s->col_sum][lmn_min_i64(4, s->m - i) - 1](s, how, i, j, n);
    }
}

/* One row by four runs of columns side by side: memory gives more to four streams. The columns done
   are returned. */
static int64_t dot_runs(const lmn_qgemm_stream *s)
{
    const int64_t apart = s->m == 1 && s->n >= 16 ? s->n / 4 : 0;
    (s->col_sum ? runs_1 : runs_0)(s, apart);
    return 4 * apart;
}

void lmn_qgemm_i8_dot_avx512vnni(const lmn_qgemm_stream *s)
{
    dot_columns(s, (dot_how){0}, dot_runs(s));
}

/* Rows of A that do not stay in the first cache pass in pieces of k. */
enum { DOT_NEAR = 48 << 10, DOT_K = 2048 };

void lmn_qgemm_i8_dot_wide_avx512vnni(const lmn_qgemm_stream *s)
{
    const int64_t done = dot_runs(s);
    const int64_t most = s->m * s->k > DOT_NEAR ? DOT_K : lmn_max_i64(1, s->k);
    const int64_t some = lmn_split_even(s->k, most, 64);
    lmn_qgemm_stream t = *s;
    for (int64_t k = 0; k == 0 || k < s->k; k += some) {
        t.k = lmn_min_i64(some, s->k - k), t.a = s->a + k, t.b = s->b + k;
        dot_columns(&t, (dot_how){.more = k != 0, .wide = true}, done);
    }
}
