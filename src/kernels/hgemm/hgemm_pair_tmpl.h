/*
 * What the hgemm rows share that multiply pairs of bf16: packing into pairs, rows of A, and two
 * streaming kernels on vdpbf16ps. Before including it, define HG_NR (a multiple of 16), and
 * HG_OWN_NT where the file has a small_nt_run of its own. Arrays of accumulators are indexed by
 * literals alone, so that they stay in registers.
 */
#ifndef LMN_KERNELS_HGEMM_PAIR_TMPL_H
#define LMN_KERNELS_HGEMM_PAIR_TMPL_H

#include "kernels/hgemm/hgemm.h"
#include "kernels/hgemm/hgemm_bf16_avx512.h"

enum { PAIR = 2, PAIR_LANES = 32 };

/* Two neighbours of a row of A in every lane. */
VF_INLINE __m512i pair_bcast(const uint16_t *p)
{
    typedef int32_t anywhere __attribute__((aligned(1), may_alias));
    return _mm512_set1_epi32(*(const anywhere *)(const void *)p);
}
/* Of 32 columns of two rows as pairs, the first and the last sixteen: for permutex2var. */
VF_INLINE __m512i pair_low(void)
{
    const __m512i n = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_or_si512(n, _mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(32)), 16));
}
VF_INLINE __m512i pair_high(void)
{
    return _mm512_add_epi32(pair_low(), _mm512_set1_epi32(0x100010));
}
/* What stands at 0 .. 15 and at 16 .. 31 as pairs. */
VF_INLINE __m512i pair_mix(void)
{
    const __m512i n = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_or_si512(n, _mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(16)), 16));
}
/* v0 and v1 rounded, in order; denormals become 0, as they would in a product. */
VF_INLINE __m512i f32_join(vf v0, vf v1)
{
    return (__m512i)_mm512_cvtne2ps_pbh(v1, v0);
}
VF_INLINE vf pair_dot(vf sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* ---- packing ----------------------------------------------------------------------------------
 */

/* Sixteen columns of two rows as pairs. */
VF_INLINE __m512i pair_up(const uint16_t *even, const uint16_t *odd, int64_t n)
{
    const __mmask16 in = vm_first(n);
    const __m512i e = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(in, even));
    const __m512i o = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(odd ? in : 0, odd));
    return _mm512_or_si512(e, _mm512_slli_epi32(o, 16));
}
VF_INLINE __m512i pair_up_f32(const float *even, const float *odd, int64_t n)
{
    const __mmask16 in = vm_first(n);
    const __m512i x = f32_join(vf_loadm(even, in), odd ? vf_loadm(odd, in) : vf_zero());
    return _mm512_permutexvar_epi16(pair_mix(), x);
}

/* So many rows of row-major B are packed for all panels before the next, so that what is read of a
   row is long; those are asked for. */
enum { PACK_ROWS = 8 };

/* Rows [k, end) of one panel of n <= HG_NR columns from row-major B. */
VF_INLINE void pack_nn_f32_panel(const lmn_hgemm_pack *p, int64_t j, int64_t k, int64_t end)
{
    const int64_t ld = p->ld, n = p->n - j;
    const float *src = (const float *)p->src + k * ld + j;
    uint16_t *dst = (uint16_t *)p->dst + j / HG_NR * p->panel + k * HG_NR;
    for (; k < end; k += PAIR, dst += PAIR * HG_NR, src += PAIR * ld) {
        const float *odd = k + 1 < p->k ? src + ld : NULL;
        if (k + PACK_ROWS + 1 < p->k) {
            __builtin_prefetch(src + PACK_ROWS * ld);
            __builtin_prefetch(src + (PACK_ROWS + 1) * ld);
        }
        for (int64_t v = 0; v < HG_NR; v += VF_LANES) {
            const __m512i x =
                v < n ? pair_up_f32(src + v, odd ? odd + v : NULL, n - v) : _mm512_setzero_si512();
            _mm512_storeu_si512(dst + PAIR * v, x);
        }
    }
}

/* The same of 16 bits, by vectors of 32 columns; whole: are there HG_NR. A constant. */
VF_INLINE void pack_nn_panel(const lmn_hgemm_pack *p, int64_t j, int64_t k, int64_t end,
                             const bool whole)
{
    const __m512i low = pair_low(), high = pair_high(), none = _mm512_setzero_si512();
    const int64_t ld = p->ld, n = whole ? HG_NR : p->n - j;
    const __mmask32 in = first32(n);
    const uint16_t *src = (const uint16_t *)p->src + k * ld + j;
    uint16_t *dst = (uint16_t *)p->dst + j / HG_NR * p->panel + k * HG_NR;
#define PACK_LOAD(src) (whole ? load32(src) : _mm512_maskz_loadu_epi16(in, src))
    for (; k + PAIR <= end; k += PAIR, src += PAIR * ld, dst += PAIR * HG_NR) {
        const __m512i even = PACK_LOAD(src), odd = PACK_LOAD(src + ld);
        if (k + PACK_ROWS + 1 < p->k) {
            __builtin_prefetch(src + PACK_ROWS * ld);
            __builtin_prefetch(src + (PACK_ROWS + 1) * ld);
        }
        _mm512_storeu_si512(dst, _mm512_permutex2var_epi16(even, low, odd));
        _mm512_storeu_si512(dst + 32, _mm512_permutex2var_epi16(even, high, odd));
        if (HG_NR > 32)
            _mm512_storeu_si512(dst + 64, n > 32 ? pair_up(src + 32, src + ld + 32, n - 32) : none);
    }
    if (k == end) return;
    const __m512i even = PACK_LOAD(src);
    _mm512_storeu_si512(dst, _mm512_permutex2var_epi16(even, low, none));
    _mm512_storeu_si512(dst + 32, _mm512_permutex2var_epi16(even, high, none));
    if (HG_NR > 32) _mm512_storeu_si512(dst + 64, n > 32 ? pair_up(src + 32, NULL, n - 32) : none);
#undef PACK_LOAD
}

static void pack_nn_run(const lmn_hgemm_pack *p)
{
    for (int64_t k = 0; k < p->k; k += PACK_ROWS) {
        const int64_t end = lmn_min_i64(p->k, k + PACK_ROWS), whole = p->n / HG_NR * HG_NR;
        for (int64_t j = 0; j < whole; j += HG_NR) pack_nn_panel(p, j, k, end, true);
        if (whole < p->n) pack_nn_panel(p, whole, k, end, false);
    }
}

static void pack_nn_f32_run(const lmn_hgemm_pack *p)
{
    for (int64_t k = 0; k < p->k; k += PACK_ROWS)
        for (int64_t j = 0; j < p->n; j += HG_NR)
            pack_nn_f32_panel(p, j, k, lmn_min_i64(p->k, k + PACK_ROWS));
}

VF_INLINE __m512i pairs_of(const uint16_t *p, int64_t n)
{
    return n >= PAIR_LANES ? load32(p) : load32n(p, n);
}
VF_INLINE __m512i pairs_of_f32(const float *p, int64_t n)
{
    return f32_join(vf_loadm(p, vm_first(n)),
                    n > VF_LANES ? vf_loadm(p + VF_LANES, vm_first(n - VF_LANES)) : vf_zero());
}

/* Pairs of a transposed B are words of 32 bits, and packing is their transposition. */
#define PACK_NT(name, type, PAIRS_OF)                                                              \
    static void name(const lmn_hgemm_pack *p)                                                      \
    {                                                                                              \
        for (int64_t j = 0; j < lmn_round_up_i64(p->n, HG_NR); j += VF_LANES) {                    \
            uint16_t *dst = (uint16_t *)p->dst + j / HG_NR * p->panel + PAIR * (j % HG_NR);        \
            const type *src = (const type *)p->src + (j < p->n ? j * p->ld : 0);                   \
            for (int64_t k = 0; k < p->k; k += PAIR_LANES) {                                       \
                vf r[VF_LANES];                                                                    \
                const int64_t left = p->k - k;                                                     \
                for (int i = 0; i < VF_LANES; i++)                                                 \
                    r[i] = j + i < p->n ? _mm512_castsi512_ps(PAIRS_OF(src + i * p->ld + k, left)) \
                                        : vf_zero();                                               \
                vf_transpose(r);                                                                   \
                for (int i = 0; i < VF_LANES && PAIR * i < left; i++)                              \
                    _mm512_storeu_ps(dst + (k + PAIR * i) * HG_NR, r[i]);                          \
            }                                                                                      \
        }                                                                                          \
    }
PACK_NT(pack_nt_run, uint16_t, pairs_of)
PACK_NT(pack_nt_f32_run, float, pairs_of_f32)

#define ROWS(name, type, PAIRS_OF)                                              \
    static void name(const lmn_hgemm_rows *r)                                   \
    {                                                                           \
        for (int64_t i = 0; i < r->m; i++) {                                    \
            const type *src = (const type *)r->src + i * r->ld;                 \
            uint16_t *dst = (uint16_t *)r->dst + i * r->ld_dst;                 \
            int64_t k = 0;                                                      \
            for (; k + PAIR_LANES <= r->k; k += PAIR_LANES)                     \
                _mm512_storeu_si512(dst + k, PAIRS_OF(src + k, PAIR_LANES));    \
            for (; k < r->padded; k += PAIR_LANES)                              \
                _mm512_mask_storeu_epi16(dst + k, first32(r->padded - k),       \
                                         k < r->k ? PAIRS_OF(src + k, r->k - k) \
                                                  : _mm512_setzero_si512());    \
        }                                                                       \
    }
ROWS(rows_run, uint16_t, pairs_of)
ROWS(rows_f32_run, float, pairs_of_f32)

static void widen_run(const lmn_hgemm_rows *r)
{
    for (int64_t i = 0; i < r->m; i++) {
        const uint16_t *src = (const uint16_t *)r->src + i * r->ld;
        float *dst = (float *)r->dst + i * r->ld_dst;
        int64_t k = 0;
        for (; k + VF_LANES <= r->k; k += VF_LANES)
            vf_store(dst + k,
                     bf16_widen(_mm256_loadu_si256((const __m256i *)(const void *)(src + k))));
        for (; k < r->padded; k += VF_LANES) {
            const __m256i h = _mm256_maskz_loadu_epi16(vm_first(r->k - k), src + k);
            vf_storem(dst + k, vm_first(r->padded - k), bf16_widen(h));
        }
    }
}

static void narrow_run(uint16_t *dst, int64_t ld_dst, const float *src, int64_t ld, int64_t m,
                       int64_t n)
{
    for (int64_t i = 0; i < m; i++, dst += ld_dst, src += ld)
        for (int64_t j = 0; j < n; j += VF_LANES)
            bf16_store(dst + j, vf_loadm(src + j, vm_first(n - j)), n - j);
}

/* ---- few rows, B row-major --------------------------------------------------------------------
 */

/* Rows of B at once: as many streams as the caches follow, and sums rest in memory rarely. */
enum { STREAM_K = 32, STREAM_N = 64, STREAM_ROWS = 4 };

#define EACH_STREAM_ROW(M) M(0) M(1) M(2) M(3)

/* rows by 64 columns by STREAM_K; rows and tail (columns behind n) are constants at every call. */
VF_INLINE void stream_block(const lmn_hgemm_small *t, int64_t k0, int64_t i0, int64_t j,
                            const int rows, const bool tail)
{
    const __m512i low = pair_low(), high = pair_high();
    const uint16_t *a = (const uint16_t *)t->a + i0 * t->lda, *b = t->b + j;
    float *c = t->c + i0 * t->ldc + j;
    const int64_t end = lmn_min_i64(t->k, k0 + STREAM_K), n = t->n - j;
    vf acc[STREAM_ROWS][4];
#define STREAM_OPEN_V(i, v)                                                       \
    acc[i][v] = k0 == 0 ? vf_zero()                                               \
                : tail  ? vf_loadm(c + (i)*t->ldc + (v)*16, vm_first(n - (v)*16)) \
                        : vf_load(c + (i)*t->ldc + (v)*16);
#define STREAM_OPEN(i)                                                                  \
    if ((i) < rows) {                                                                   \
        STREAM_OPEN_V(i, 0) STREAM_OPEN_V(i, 1) STREAM_OPEN_V(i, 2) STREAM_OPEN_V(i, 3) \
    }
#define STREAM_STEP(i)                                                                    \
    if ((i) < rows) {                                                                     \
        const __m512i av = pair_bcast(a + (i)*t->lda + k);                                \
        acc[i][0] = pair_dot(acc[i][0], av, x0), acc[i][1] = pair_dot(acc[i][1], av, x1); \
        acc[i][2] = pair_dot(acc[i][2], av, x2), acc[i][3] = pair_dot(acc[i][3], av, x3); \
    }
#define STREAM_CLOSE_V(i, v)                                                 \
    if (tail)                                                                \
        vf_storem(c + (i)*t->ldc + (v)*16, vm_first(n - (v)*16), acc[i][v]); \
    else                                                                     \
        vf_store(c + (i)*t->ldc + (v)*16, acc[i][v]);
#define STREAM_CLOSE(i)                                                                     \
    if ((i) < rows) {                                                                       \
        STREAM_CLOSE_V(i, 0) STREAM_CLOSE_V(i, 1) STREAM_CLOSE_V(i, 2) STREAM_CLOSE_V(i, 3) \
    }
#define STREAM_B(p, v) (tail ? load32n((p) + (v)*32, n - (v)*32) : load32((p) + (v)*32))
    EACH_STREAM_ROW(STREAM_OPEN)
    for (int64_t k = k0; k < end; k += PAIR) {
        const uint16_t *even = b + k * t->ldb;
        const bool pair = k + 1 < t->k;
        if (i0 == 0 && k + STREAM_K + 1 < t->k) {
            const uint16_t *far = even + STREAM_K * t->ldb;
            __builtin_prefetch(far), __builtin_prefetch(far + 32);
            __builtin_prefetch(far + t->ldb), __builtin_prefetch(far + t->ldb + 32);
        }
        const __m512i e0 = STREAM_B(even, 0), e1 = STREAM_B(even, 1);
        __m512i o0 = _mm512_setzero_si512(), o1 = o0;
        if (pair) o0 = STREAM_B(even + t->ldb, 0), o1 = STREAM_B(even + t->ldb, 1);
        const __m512i x0 = _mm512_permutex2var_epi16(e0, low, o0),
                      x1 = _mm512_permutex2var_epi16(e0, high, o0),
                      x2 = _mm512_permutex2var_epi16(e1, low, o1),
                      x3 = _mm512_permutex2var_epi16(e1, high, o1);
        EACH_STREAM_ROW(STREAM_STEP)
    }
    EACH_STREAM_ROW(STREAM_CLOSE)
}

#define STREAM_DEFINE(rows, tail)                                                                  \
    static __attribute__((noinline)) void stream_##rows##_##tail(const lmn_hgemm_small *t,         \
                                                                 int64_t k0, int64_t i, int64_t j) \
    {                                                                                              \
        stream_block(t, k0, i, j, rows, tail);                                                     \
    }
STREAM_DEFINE(1, 0)
STREAM_DEFINE(2, 0)
STREAM_DEFINE(3, 0)
STREAM_DEFINE(4, 0)
STREAM_DEFINE(1, 1)
STREAM_DEFINE(2, 1)
STREAM_DEFINE(3, 1)
STREAM_DEFINE(4, 1)
typedef void stream_fn(const lmn_hgemm_small *t, int64_t k0, int64_t i, int64_t j);

static void small_nn_run(const lmn_hgemm_small *t)
{
    static stream_fn *const run[2][STREAM_ROWS] = {
        {stream_1_0, stream_2_0, stream_3_0, stream_4_0},
        {stream_1_1, stream_2_1, stream_3_1, stream_4_1}};
    for (int64_t k = 0; k == 0 || k < t->k; k += STREAM_K) {
        for (int64_t j = 0; j < t->n; j += STREAM_N) {
            for (int64_t i = 0; i < t->m; i += STREAM_ROWS)
                run[t->n - j < STREAM_N][lmn_min_i64(STREAM_ROWS, t->m - i) - 1](t, k, i, j);
        }
    }
}

/* ---- few rows, B transposed -------------------------------------------------------------------
 */

#ifdef HG_OWN_NT
static void small_nt_run(const lmn_hgemm_small *t);
#else

#define EACH_DOT(M) M(0) M(1) M(2) M(3)

/* Of each of four streams; and a B this large comes from memory. */
enum { DOT_PAGE = 4096 / 2, DOT_AHEAD = 4 * DOT_PAGE, DOT_FAR = 4 << 20, DOT_LINES_AHEAD = 1024 };

/* The sums over the lanes of four vectors, in order. */
VF_INLINE __m128 sum4(vf a, vf b, vf c, vf d)
{
    const vf ab = vf_add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const vf cd = vf_add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const vf s = vf_add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    return _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
}

/* Results of four columns, `apart` from each other, of which n are wanted. */
VF_INLINE void dot_store(float *to, int64_t apart, int64_t n, __m128 v)
{
    float x[4];
    if (apart == 1) {
        _mm_mask_storeu_ps(to, (__mmask8)((1u << n) - 1), v);
        return;
    }
    _mm_storeu_ps(x, v);
    to[0] = x[0], to[apart] = x[1], to[2 * apart] = x[2], to[3 * apart] = x[3];
}

/* rows by four columns, `apart` from each other, of which n are wanted; the others repeat the last.
   lines: every line is fetched, and not one a page, which hardware follows. A constant. */
VF_INLINE void dot_block(const lmn_hgemm_small *t, int64_t i0, int64_t j, int64_t n, int64_t apart,
                         const int rows, const bool lines)
{
    const int64_t next_b = apart * t->ldb;
    const uint16_t *a = (const uint16_t *)t->a + i0 * t->lda, *b0 = t->b + j * t->ldb;
    const uint16_t *b1 = b0 + (n > 1 ? next_b : 0), *b2 = b1 + (n > 2 ? next_b : 0),
                   *b3 = b2 + (n > 3 ? next_b : 0);
    float *c = t->c + i0 * t->ldc + j;
    const int64_t lda = t->lda, n_k = t->k;
    /* Rows are too short for the hardware to run ahead: the first rows of A fetch the next of B. */
    const int64_t ahead = apart == 1 && i0 == 0 && j + 8 <= t->n ? 4 * t->ldb : 0;
    vf acc[4][4];
#define DOT_OPEN(i) \
    acc[i][0] = vf_zero(), acc[i][1] = vf_zero(), acc[i][2] = vf_zero(), acc[i][3] = vf_zero();
#define DOT_STEP(i, LOAD)                                                                 \
    if ((i) < rows) {                                                                     \
        const __m512i av = LOAD(a + (i)*lda + k);                                         \
        acc[i][0] = pair_dot(acc[i][0], av, w0), acc[i][1] = pair_dot(acc[i][1], av, w1); \
        acc[i][2] = pair_dot(acc[i][2], av, w2), acc[i][3] = pair_dot(acc[i][3], av, w3); \
    }
#define DOT_WHOLE(i) DOT_STEP(i, load32)
#define DOT_SOME(p) load32n(p, n_k - k)
#define DOT_PART(i) DOT_STEP(i, DOT_SOME)
#define DOT_CLOSE(i) \
    if ((i) < rows)  \
        dot_store(c + (i)*t->ldc, apart, n, sum4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));
    EACH_DOT(DOT_OPEN)
    int64_t k = 0;
    for (; k + PAIR_LANES <= n_k; k += PAIR_LANES) {
        if (lines) {
            __builtin_prefetch(b0 + k + DOT_LINES_AHEAD);
            __builtin_prefetch(b1 + k + DOT_LINES_AHEAD);
            __builtin_prefetch(b2 + k + DOT_LINES_AHEAD);
            __builtin_prefetch(b3 + k + DOT_LINES_AHEAD);
        } else if (apart != 1 && k % DOT_PAGE == 0) { /* hardware stops at the end of a page */
            __builtin_prefetch(b0 + k + DOT_AHEAD, 0, 2);
            __builtin_prefetch(b1 + k + DOT_AHEAD, 0, 2);
            __builtin_prefetch(b2 + k + DOT_AHEAD, 0, 2);
            __builtin_prefetch(b3 + k + DOT_AHEAD, 0, 2);
        }
        const __m512i w0 = load32(b0 + k), w1 = load32(b1 + k), w2 = load32(b2 + k),
                      w3 = load32(b3 + k);
        if (ahead) { /* one stream, not four */
            const uint16_t *next = b0 + ahead + 4 * k;
            __builtin_prefetch(next, 0, 2), __builtin_prefetch(next + 32, 0, 2);
            __builtin_prefetch(next + 64, 0, 2), __builtin_prefetch(next + 96, 0, 2);
        }
        EACH_DOT(DOT_WHOLE)
    }
    if (k < n_k) {
        const __m512i w0 = DOT_SOME(b0 + k), w1 = DOT_SOME(b1 + k), w2 = DOT_SOME(b2 + k),
                      w3 = DOT_SOME(b3 + k);
        EACH_DOT(DOT_PART)
    }
    EACH_DOT(DOT_CLOSE)
}

/* apart is 1, or rows are at most as many as are met at once and columns four runs of such. */
#define DOT_DEFINE(rows)                                                                  \
    static __attribute__((noinline)) void dot_##rows(const lmn_hgemm_small *t, int64_t i, \
                                                     int64_t j, int64_t n, int64_t apart) \
    {                                                                                     \
        dot_block(t, i, j, n, apart, rows, false);                                        \
    }
DOT_DEFINE(1)
DOT_DEFINE(2)
DOT_DEFINE(3)
DOT_DEFINE(4)
typedef void dot_fn(const lmn_hgemm_small *t, int64_t i, int64_t j, int64_t n, int64_t apart);

static void small_nt_run(const lmn_hgemm_small *t)
{
    static dot_fn *const run[4] = {dot_1, dot_2, dot_3, dot_4};
    /* One row, or a few from memory, by four runs of columns side by side: memory gives more to
       four streams, an odd number of columns each, since rows many pages apart meet in L1. */
    const bool runs = t->m == 1 || (t->m <= 4 && t->n * t->ldb >= DOT_FAR);
    const int64_t apart = runs && t->n >= 16 ? (t->n / 4 - 1) | 1 : 0;
    for (int64_t j = 0; j < apart; j++) run[t->m - 1](t, 0, j, 4, apart);
    for (int64_t j = 4 * apart; j < t->n; j += 4) {
        const int64_t n = lmn_min_i64(4, t->n - j);
        for (int64_t i = 0; i < t->m; i += 4) run[lmn_min_i64(4, t->m - i) - 1](t, i, j, n, 1);
    }
}

#endif /* HG_OWN_NT */

/* All functions of a row but block, named after its ISA. */
#define HG_DEFINE(isa)                                                                            \
    lmn_hgemm_block_fn lmn_hgemm_bf16_block_##isa;                                                \
    lmn_hgemm_small_fn lmn_hgemm_bf16_small_nn_##isa, lmn_hgemm_bf16_small_nt_##isa;              \
    lmn_hgemm_pack_fn lmn_hgemm_bf16_pack_nn_##isa, lmn_hgemm_bf16_pack_nt_##isa,                 \
        lmn_hgemm_bf16_pack_nn_f32_##isa, lmn_hgemm_bf16_pack_nt_f32_##isa;                       \
    lmn_hgemm_rows_fn lmn_hgemm_bf16_rows_##isa, lmn_hgemm_bf16_rows_f32_##isa,                   \
        lmn_hgemm_bf16_widen_##isa;                                                               \
    lmn_hgemm_narrow_fn lmn_hgemm_bf16_narrow_##isa;                                              \
    void lmn_hgemm_bf16_small_nn_##isa(const lmn_hgemm_small *t)                                  \
    {                                                                                             \
        small_nn_run(t);                                                                          \
    }                                                                                             \
    void lmn_hgemm_bf16_small_nt_##isa(const lmn_hgemm_small *t)                                  \
    {                                                                                             \
        small_nt_run(t);                                                                          \
    }                                                                                             \
    void lmn_hgemm_bf16_pack_nn_##isa(const lmn_hgemm_pack *p)                                    \
    {                                                                                             \
        pack_nn_run(p);                                                                           \
    }                                                                                             \
    void lmn_hgemm_bf16_pack_nt_##isa(const lmn_hgemm_pack *p)                                    \
    {                                                                                             \
        pack_nt_run(p);                                                                           \
    }                                                                                             \
    void lmn_hgemm_bf16_pack_nn_f32_##isa(const lmn_hgemm_pack *p)                                \
    {                                                                                             \
        pack_nn_f32_run(p);                                                                       \
    }                                                                                             \
    void lmn_hgemm_bf16_pack_nt_f32_##isa(const lmn_hgemm_pack *p)                                \
    {                                                                                             \
        pack_nt_f32_run(p);                                                                       \
    }                                                                                             \
    void lmn_hgemm_bf16_rows_##isa(const lmn_hgemm_rows *r)                                       \
    {                                                                                             \
        rows_run(r);                                                                              \
    }                                                                                             \
    void lmn_hgemm_bf16_rows_f32_##isa(const lmn_hgemm_rows *r)                                   \
    {                                                                                             \
        rows_f32_run(r);                                                                          \
    }                                                                                             \
    void lmn_hgemm_bf16_widen_##isa(const lmn_hgemm_rows *r)                                      \
    {                                                                                             \
        widen_run(r);                                                                             \
    }                                                                                             \
    void lmn_hgemm_bf16_narrow_##isa(uint16_t *dst, int64_t ld_dst, const float *src, int64_t ld, \
                                     int64_t m, int64_t n)                                        \
    {                                                                                             \
        narrow_run(dst, ld_dst, src, ld, m, n);                                                   \
    }

#endif
