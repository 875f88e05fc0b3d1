/*
 * Few rows: row-major B is streamed once and nothing is packed. small_nn updates strips of C by
 * rows of B. Included by gemm_tmpl.h.
 */
#ifndef LMN_KERNELS_GEMM_SMALL_TMPL_H
#define LMN_KERNELS_GEMM_SMALL_TMPL_H

#include <stdalign.h>

#include "kernels/split.h"

/* Row i of eight: of the four behind base##0 or base##4, ld and ld3 bytes apart. */
#define QUAD_ROW(type, base, i)                                  \
    ((type *)((char *)(uintptr_t)((i) < 4 ? base##0 : base##4) + \
              ((i) % 4 == 3 ? base##_ld3 : (i) % 4 * base##_ld)))

/*
 * small_nn: C += A B as updates of C by four rows of B at a time. B is read once, in order, a strip
 * of columns at a time so that the strip of C stays in L1; the next four rows are prefetched into
 * L2, since L1 would lose them before their turn (24 GB/s from DRAM instead of 16).
 */
typedef struct strip {
    const vf_real *a;
    int64_t lda;
    const vf_real *b;
    int64_t ldb;
    vf_real *c;
    int64_t ldc, n;
    bool fresh; /* C starts from 0 */
} strip;

VF_INLINE vf strip_vec(const vf a[4], const vf b[4], vf c, const int kk)
{
    c = vf_fma(a[0], b[0], c);
    if (kk > 1) c = vf_fma(a[1], b[1], c);
    if (kk > 2) c = vf_fma(a[2], b[2], c);
    if (kk > 3) c = vf_fma(a[3], b[3], c);
    return c;
}

/* mr rows by kk steps of k, all columns of the strip; fetch: the next four rows (all constants).
   All rows of C are loaded before one is stored: a load at the place in its page of a store just
   before it may wait for that, which depends on where the pages lie in memory. */
VF_INLINE void strip_run(const strip *s, const int mr, const int kk, const bool fetch)
{
    vf a[4][4], b[4], c[4];
#define STRIP_A(i)                                                                            \
    if ((i) < mr) {                                                                           \
        const vf_real *ai = s->a + (i)*s->lda;                                                \
        a[i][0] = vf_bcast(ai), a[i][1] = vf_bcast(ai + (kk > 1 ? 1 : 0));                    \
        a[i][2] = vf_bcast(ai + (kk > 2 ? 2 : 0)), a[i][3] = vf_bcast(ai + (kk > 3 ? 3 : 0)); \
    }
#define STRIP_B(q, LOAD) b[q] = (q) < kk ? LOAD(s->b + (q)*s->ldb + j) : vf_zero();
#define STRIP_C(i, LOAD) \
    if ((i) < mr) c[i] = s->fresh ? vf_zero() : LOAD(s->c + (i)*s->ldc + j);
#define STRIP_OUT(i, STORE) \
    if ((i) < mr) STORE(s->c + (i)*s->ldc + j, strip_vec(a[i], b, c[i], kk));
#define STRIP_TAIL_LOAD(p) vf_loadm(p, tail)
#define STRIP_TAIL_STORE(p, v) vf_storem(p, tail, v)
#define STRIP_VECTOR(L, S) \
    STRIP_B(0, L)          \
    STRIP_B(1, L)          \
    STRIP_B(2, L)          \
    STRIP_B(3, L)          \
    STRIP_C(0, L)          \
    STRIP_C(1, L)          \
    STRIP_C(2, L)          \
    STRIP_C(3, L)          \
    STRIP_OUT(0, S) STRIP_OUT(1, S) STRIP_OUT(2, S) STRIP_OUT(3, S)
    STRIP_A(0) STRIP_A(1) STRIP_A(2) STRIP_A(3) int64_t j = 0;
    for (; j + VF_LANES <= s->n; j += VF_LANES) {
        if (fetch) {
            const vf_real *next = s->b + 4 * s->ldb + j; /* a prefetch past the end does no harm */
            __builtin_prefetch(next, 0, 2), __builtin_prefetch(next + s->ldb, 0, 2);
            __builtin_prefetch(next + 2 * s->ldb, 0, 2);
            __builtin_prefetch(next + 3 * s->ldb, 0, 2);
        }
        STRIP_VECTOR(vf_load, vf_store)
    }
    if (j < s->n) {
        const vm tail = vm_first(s->n - j);
        STRIP_VECTOR(STRIP_TAIL_LOAD, STRIP_TAIL_STORE)
    }
}

enum { STRIP_WIDE = 1024 /* columns for which 16 rows below are far enough ahead, and not 8 */ };

/* One row by eight steps of k: C comes and goes half as often, and more of memory is kept busy (24
   to 28 GB/s of B). fetch, a constant: what comes. wide, a constant: two vectors of C at a time,
   and of each row that comes one line, for hardware brings the others. */
VF_INLINE void strip_line(const strip *s, const bool fetch, const bool wide)
{
    vf a[8];
    const vf_real *b0 = s->b, *b4 = b0 + 4 * s->ldb;
    int64_t b_ld = s->ldb * (int64_t)sizeof(vf_real), b_ld3 = 3 * b_ld;
    WHOLE_HIDE(b_ld);
    WHOLE_HIDE(b_ld3);
    const int64_t ahead = (s->n < STRIP_WIDE ? 8 : 16) * s->ldb;
#define STRIP_A8(q) a[q] = vf_bcast(s->a + (q));
#define STRIP_AHEAD8(q) __builtin_prefetch(QUAD_ROW(const vf_real, b, q) + ahead, 0, 2);
#define STRIP_STEP8(q) v = vf_fma(a[q], vf_load(QUAD_ROW(const vf_real, b, q)), v);
#define STRIP_TAIL8(q) v = vf_fma(a[q], vf_loadm(QUAD_ROW(const vf_real, b, q), tail), v);
#define STRIP_TWO8(q)                                            \
    v = vf_fma(a[q], vf_load(QUAD_ROW(const vf_real, b, q)), v); \
    u = vf_fma(a[q], vf_load(QUAD_ROW(const vf_real, b, q) + VF_LANES), u);
    EACH_ROW(STRIP_A8)
    int64_t j = 0;
    if (wide) {
        enum { TWO = 2 * VF_LANES };
        EACH_ROW(STRIP_AHEAD8)
        for (; j + TWO <= s->n; j += TWO, b0 += TWO, b4 += TWO) {
            vf v = s->fresh ? vf_zero() : vf_load(s->c + j);
            vf u = s->fresh ? vf_zero() : vf_load(s->c + j + VF_LANES);
            EACH_ROW(STRIP_TWO8)
            vf_store(s->c + j, v), vf_store(s->c + j + VF_LANES, u);
        }
    }
    for (; j + VF_LANES <= s->n; j += VF_LANES, b0 += VF_LANES, b4 += VF_LANES) {
        vf v = s->fresh ? vf_zero() : vf_load(s->c + j);
        if (fetch) {
            EACH_ROW(STRIP_AHEAD8)
        }
        EACH_ROW(STRIP_STEP8)
        vf_store(s->c + j, v);
    }
    if (j < s->n) {
        const vm tail = vm_first(s->n - j);
        vf v = s->fresh ? vf_zero() : vf_loadm(s->c + j, tail);
        EACH_ROW(STRIP_TAIL8)
        vf_storem(s->c + j, tail, v);
    }
}

/* All m rows by kk steps; the rows of B are in L1 after the first group of rows of A. */
VF_INLINE void strip_rows(strip s, int64_t m, const int kk)
{
    for (int64_t i = 0; i < m; i += GEMM_SMALL_M) {
        int64_t mr = lmn_min_i64(GEMM_SMALL_M, m - i);
        if (mr == 1)
            strip_run(&s, 1, kk, kk == 4);
        else if (mr == 2)
            strip_run(&s, 2, kk, kk == 4);
        else if (GEMM_SMALL_M > 2 && mr == 3)
            strip_run(&s, 3, kk, kk == 4);
        else
            strip_run(&s, GEMM_SMALL_M, kk, kk == 4);
        s.a += mr * s.lda, s.c += mr * s.ldc;
    }
}

/*
 * One row by eight steps of k at a time, k of it in all; what is left of k is returned. Rows from
 * memory want to be fetched, rows from L3 come faster if they are not (92 GB/s instead of 76), and
 * only the clock knows: the weights of a model come from memory even where each would fit. So a
 * step that was fast goes without. Eight rows 4 KiB apart would share a set of L1.
 */
#if defined(__x86_64__)
enum { STRIP_CLOCK = 1 };
#define STRIP_TICKS() __builtin_ia32_rdtsc()
#else
enum { STRIP_CLOCK = 0 };
#define STRIP_TICKS() 0u
#endif
enum { STRIP_HOT = 3 /* ticks a line of the caches */, STRIP_TIMED = 8192 /* elements at least */ };

/* Eight steps of k. */
VF_INLINE void strip_step(strip *s, bool hot, bool wide)
{
    if (hot && s->ldb % (int64_t)PAGE == 0) {
        for (int half = 0; half < 2; half++) {
            strip_run(s, 1, 4, false);
            s->a += 4, s->b += 4 * s->ldb, s->fresh = false;
        }
        return;
    }
#ifdef VF_EMBEDS
    if (wide)
        strip_line(s, false, true);
    else
#endif
        if (hot)
        strip_line(s, false, false);
    else
        strip_line(s, true, false);
    (void)wide;
    s->a += 8, s->b += 8 * s->ldb, s->fresh = false;
}

static int64_t strip_steps(strip *s, int64_t k, bool far, bool wide)
{
    const bool timed = STRIP_CLOCK && !far && s->n >= VF_LANES;
    const int64_t n = lmn_max_i64(1, s->n), each = lmn_max_i64(1, STRIP_TIMED / 8 / n);
    const int64_t lines = 8 * each * n * (int64_t)sizeof(vf_real) / 64;
    bool hot = false;
    while (k >= 8) {
        const uint64_t since = timed ? STRIP_TICKS() : 0;
        int64_t i = 0;
        for (; i < each && k >= 8; i++, k -= 8) strip_step(s, hot, wide);
        hot = timed && (int64_t)(STRIP_TICKS() - since) < lines * STRIP_HOT;
    }
    return k;
}

static void clear_block(const gemm_block *t)
{
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < t->n; j++) t->c[i * t->ldc + j] = 0;
}

/* Columns of B at j, s->n of them, by all rows of A. */
static void strip_all(const gemm_block *t, strip s)
{
    int64_t k = t->m == 1 ? strip_steps(&s, t->k, t->b_far, t->wide) : t->k;
    for (; k >= 4; k -= 4) {
        strip_rows(s, t->m, 4);
        s.a += 4, s.b += 4 * s.ldb, s.fresh = false;
    }
    for (; k > 0; k--) {
        strip_rows(s, t->m, 1);
        s.a += 1, s.b += s.ldb, s.fresh = false;
    }
}

#if defined(VF_EMBEDS) && GEMM_EPI
#define STRIP_BROADS 1
enum { BROAD_M = 4, BROAD_LEAST = (512 << 10) / sizeof(vf_real) /* of B */ };
/*
 * Four rows by four steps of k, whole vectors of the strip, on a core that is wide. Of a B from a
 * cache each vector is loaded once and nothing is fetched. far, a constant: B is an operand of each
 * product, so that fewer of them wait for it, and the next four rows are fetched.
 */
VF_INLINE void broad_run(const strip *s, const bool far)
{
    enum { REAL = sizeof(vf_real) };
    vf a[4][4], c[4], w;
    const vf_real *b = s->b, *next = b + 4 * s->ldb;
    vf_real *to = s->c;
    const int64_t ld0 = 0, c_ld0 = 0;
    int64_t ld1 = s->ldb * REAL, ld2 = 2 * ld1, ld3 = 3 * ld1;
    int64_t c_ld1 = s->ldc * REAL, c_ld2 = 2 * c_ld1, c_ld3 = 3 * c_ld1;
    WHOLE_HIDE(ld2);
    WHOLE_HIDE(ld3);
    WHOLE_HIDE(c_ld2);
    WHOLE_HIDE(c_ld3);
#define BROAD_EACH(X) X(0) X(1) X(2) X(3)
#define BROAD_TO(i) (vf_real *)(void *)((char *)to + c_ld##i)
#define BROAD_A(i)                                 \
    for (int64_t q = 0; q < BROAD_M; q++) {        \
        a[i][q] = vf_bcast(s->a + (i)*s->lda + q); \
    }
#define BROAD_C(i) c[i] = s->fresh ? vf_zero() : vf_load(BROAD_TO(i));
#define BROAD_OUT(i) vf_store(BROAD_TO(i), c[i]);
#define BROAD_AT(i, q)                           \
    if (far)                                     \
        vf_fma_behind(&c[i], a[i][q], b, ld##q); \
    else                                         \
        vf_fma_to(&c[i], a[i][q], w);
#define BROAD_STEP(q)                                                          \
    if (far)                                                                   \
        __builtin_prefetch((const char *)next + ld##q, 0, 2);                  \
    else                                                                       \
        w = vf_load((const vf_real *)(const void *)((const char *)b + ld##q)); \
    BROAD_AT(0, q) BROAD_AT(1, q) BROAD_AT(2, q) BROAD_AT(3, q)
    BROAD_EACH(BROAD_A)
    for (int64_t left = s->n; left >= VF_LANES; left -= VF_LANES) {
        BROAD_EACH(BROAD_C)
        BROAD_EACH(BROAD_STEP)
        BROAD_EACH(BROAD_OUT)
        b += VF_LANES, next += VF_LANES, to += VF_LANES;
    }
}

static __attribute__((noinline)) void broad_near(const strip *s)
{
    broad_run(s, false);
}
static __attribute__((noinline)) void broad_far(const strip *s)
{
    broad_run(s, true);
}

/* Is strip_broad the faster one? From memory every product loads B, so its rows are whole lines. */
static bool suits_broad(const gemm_block *t, const strip *s)
{
    const uintptr_t spread = (uintptr_t)s->b | (uintptr_t)s->ldb * sizeof(vf_real);
    return t->wide && t->m == BROAD_M && t->k * t->n >= BROAD_LEAST &&
           (!t->b_far || spread % 64 == 0);
}

/* Columns of B at j by four rows of A; what is no whole vector as strip_all has it. */
static __attribute__((noinline)) void broad_all(const gemm_block *t, strip s)
{
    const int64_t whole = s.n / VF_LANES * VF_LANES;
    strip rest = s;
    rest.b += whole, rest.c += whole, rest.n -= whole;
    int64_t k = t->k;
    for (; k >= 4; k -= 4) {
        (t->b_far ? broad_far : broad_near)(&s);
        s.a += 4, s.b += 4 * s.ldb, s.fresh = false;
    }
    s.n = whole;
    gemm_block left = *t;
    left.k = k;
    if (k > 0) strip_all(&left, s);
    if (rest.n > 0) strip_all(t, rest);
}
#endif

/* A C that follows a row of B in its page by less than this: loads of that row, which run ahead,
   wait for stores that only seem to be of their place. Where eight rows of B are whole pages they
   do so at every step (1 x 1024 x 1024 at 0.6 of its speed). */
enum { MEET_BYTES = 256, ASIDE = 16384 / sizeof(vf_real), ASIDE_LEAST = 256, ASIDE_TRIES = 16 };

static bool strip_meets(const strip *s, const vf_real *c)
{
    for (int64_t q = 0; q < 8; q++)
        if (((uintptr_t)c - (uintptr_t)(s->b + q * s->ldb) - 1) % 4096 < MEET_BYTES) return true;
    return false;
}

/* From row to row of C aside: a quarter of a page further on in each, for they would meet each
   other, too. */
VF_INLINE int64_t aside_ld(const strip *s)
{
    return (s->n + PAGE - 1) / PAGE * PAGE + PAGE / 4;
}

static bool strip_stalls(const gemm_block *t, const strip *s)
{
    if (t->k < 8 || s->ldb * 8 % (int64_t)PAGE != 0) return false;
    if (s->n < ASIDE_LEAST || (t->m - 1) * aside_ld(s) + s->n > ASIDE) return false;
    for (int64_t i = 0; i < t->m; i++)
        if (strip_meets(s, s->c + i * s->ldc)) return true;
    return false;
}

/* Such rows, summed up at another place of the page. */
static void strip_aside(const gemm_block *t, strip s)
{
    alignas(64) vf_real room[ASIDE + PAGE];
    vf_real *const c = s.c;
    const int64_t ldc = s.ldc;
    s.c = room, s.ldc = aside_ld(&s);
    for (int q = 1; q < ASIDE_TRIES && strip_meets(&s, s.c); q++)
        s.c += MEET_BYTES / sizeof(vf_real);
    for (int64_t i = 0; !s.fresh && i < t->m; i++)
        for (int64_t j = 0; j < s.n; j++) s.c[i * s.ldc + j] = c[i * ldc + j];
    strip_all(t, s);
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < s.n; j++) c[i * ldc + j] = s.c[i * s.ldc + j];
}

static void small_nn_run(const gemm_block *t)
{
    if (t->k == 0 && !t->beta) clear_block(t);
    /* m rows of C by 2 to 4 KiB, or one by 16. */
    int64_t width = t->m > 4 ? 512 : t->m > 1 ? 1024 : 4096;
#ifdef STRIP_BROADS
    if (t->wide && t->m == BROAD_M) width = lmn_split_even(t->n, width, 64 / sizeof(vf_real));
#endif
    for (int64_t j = 0; j < t->n; j += width) {
        const strip s = {
            t->a,    t->lda, t->b + j, t->ldb, t->c + j, t->ldc, lmn_min_i64(width, t->n - j),
            !t->beta};
#ifdef STRIP_BROADS
        if (suits_broad(t, &s)) {
            broad_all(t, s);
            continue;
        }
#endif
        if (strip_stalls(t, &s))
            strip_aside(t, s);
        else
            strip_all(t, s);
    }
}

#endif
