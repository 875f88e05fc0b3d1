/*
 * Few rows, or few columns, as dot products: B is streamed once and nothing is packed. Included by
 * gemm_tmpl.h.
 */
#ifndef LMN_KERNELS_GEMM_DOTS_TMPL_H
#define LMN_KERNELS_GEMM_DOTS_TMPL_H

/*
 * small_nt: C[i][j] = dot(row i of A, row j of B), a few rows of B at a time; each element has one
 * partial sum for each of 64 bytes of k: GEMM_DOT_V vectors, folded at the end by halves, so that
 * rows of any width add in one order. A is the operand with fewer rows: B is read once.
 */
/* Prefetch distances of one stream, and where four rows further is no longer near. */
enum { DOT_STREAM = 8192 / sizeof(vf_real), DOT_NEAR = 256 << 10, DOT_K = 64 / sizeof(vf_real) };
/* Of each stream of several that lie far apart: a line a page; all lines, of one row and of a
 * group.
 */
enum { LINE_AHEAD = 16384 / sizeof(vf_real), LINES_AHEAD = 2048 / sizeof(vf_real) };
enum { RUN_AHEAD = 3072 / sizeof(vf_real), RUN_AHEAD_WIDE = 2048 / sizeof(vf_real) };
enum { GEMM_DOT_V = DOT_K / VF_LANES, LAID_N = 6 /* rows of B by laid ones of A */ };

typedef struct dots {
    const vf_real *a, *b;
    int64_t lda, ldb;
    vf_real *c;
    int64_t ldc, c_step;
    int64_t m, n, k;
    int64_t ahead; /* from a row of B to what is prefetched */
    int32_t beta;
    bool wide;     /* as gemm_block has it */
    int64_t apart; /* own_run: from a row of B to the next of six */
} dots;

VF_INLINE void dot_run(const dots *t, int64_t i0, int64_t j0, const int mr, const int nr)
{
    const vf_real *a = t->a + i0 * t->lda, *b = t->b + j0 * t->ldb;
    const int64_t ahead = i0 == 0 ? t->ahead : 0;
    vf acc[6][4], high[6][4], w[4]; /* high: of the upper half, where there are two */
#define DOT_OPEN(x, i) x[i][0] = x[i][1] = x[i][2] = x[i][3] = vf_zero()
#define DOT_W(q, LOAD) w[q] = (q) < nr ? LOAD(b + (q)*t->ldb + at) : vf_zero()
#define DOT_STEP(x, i, LOAD)                             \
    if ((i) < mr) {                                      \
        vf av = LOAD(a + (i)*t->lda + at);               \
        x[i][0] = vf_fma(av, w[0], x[i][0]);             \
        if (nr > 1) x[i][1] = vf_fma(av, w[1], x[i][1]); \
        if (nr > 2) x[i][2] = vf_fma(av, w[2], x[i][2]); \
        if (nr > 3) x[i][3] = vf_fma(av, w[3], x[i][3]); \
    }
#define DOT_HALF(x, at_k, L)                                \
    do {                                                    \
        const int64_t at = at_k;                            \
        DOT_W(0, L), DOT_W(1, L), DOT_W(2, L), DOT_W(3, L); \
        DOT_STEP(x, 0, L);                                  \
        DOT_STEP(x, 1, L);                                  \
        DOT_STEP(x, 2, L);                                  \
        DOT_STEP(x, 3, L);                                  \
        DOT_STEP(x, 4, L);                                  \
        DOT_STEP(x, 5, L);                                  \
    } while (0)
#define DOT_TAIL(ptr) vf_loadm(ptr, tail)
#define DOT_TAIL_HIGH(ptr) vf_loadm(ptr, tail_high)
#define DOT_AHEAD(q) \
    if ((q) < nr) __builtin_prefetch(b + (q)*t->ldb + p + ahead, 0, 2)
#define DOT_FOLD(i, q) \
    if ((int)GEMM_DOT_V > 1 && (q) < nr) acc[i][q] = vf_add(acc[i][q], high[i][q])
#define DOT_CLOSE(i)                                                               \
    if ((i) < mr) {                                                                \
        vf_real sum[4], *c = t->c + (i0 + (i)) * t->ldc + j0 * t->c_step;          \
        DOT_FOLD(i, 0);                                                            \
        DOT_FOLD(i, 1);                                                            \
        DOT_FOLD(i, 2);                                                            \
        DOT_FOLD(i, 3);                                                            \
        vf_hsum4(acc[i], sum);                                                     \
        for (int q = 0; q < nr; q++)                                               \
            c[q * t->c_step] = sum[q] + (t->beta ? c[q * t->c_step] : (vf_real)0); \
    }
    DOT_OPEN(acc, 0), DOT_OPEN(acc, 1), DOT_OPEN(acc, 2);
    DOT_OPEN(acc, 3), DOT_OPEN(acc, 4), DOT_OPEN(acc, 5);
    DOT_OPEN(high, 0), DOT_OPEN(high, 1), DOT_OPEN(high, 2);
    DOT_OPEN(high, 3), DOT_OPEN(high, 4), DOT_OPEN(high, 5);
    int64_t p = 0;
    for (; p + DOT_K <= t->k; p += DOT_K) {
        DOT_AHEAD(0);
        DOT_AHEAD(1);
        DOT_AHEAD(2);
        DOT_AHEAD(3);
        DOT_HALF(acc, p, vf_load);
        if ((int)GEMM_DOT_V > 1) DOT_HALF(high, p + VF_LANES, vf_load);
    }
    if (p < t->k) {
        const vm tail = vm_first(t->k - p), tail_high = vm_first(t->k - p - VF_LANES);
        (void)tail_high;
        DOT_HALF(acc, p, DOT_TAIL);
        if ((int)GEMM_DOT_V > 1) DOT_HALF(high, p + VF_LANES, DOT_TAIL_HIGH);
    }
    DOT_CLOSE(0);
    DOT_CLOSE(1);
    DOT_CLOSE(2);
    DOT_CLOSE(3);
    DOT_CLOSE(4);
    DOT_CLOSE(5);
}

/* All rows of A in groups of like size by nr rows of B. */
VF_INLINE void dot_rows(const dots *t, int64_t j, const int nr)
{
    const int64_t groups = (t->m + GEMM_DOT_M - 1) / GEMM_DOT_M;
    int64_t i = 0;
    for (int64_t g = groups; g > 0; g--) {
        int64_t mr = (t->m - i + g - 1) / g;
        if (mr == 1)
            dot_run(t, i, j, 1, nr);
        else if (mr == 2)
            dot_run(t, i, j, 2, nr);
        else if (GEMM_DOT_M > 2 && mr == 3)
            dot_run(t, i, j, 3, nr);
        else if (GEMM_DOT_M > 3 && mr == 4)
            dot_run(t, i, j, 4, nr);
        else if (GEMM_DOT_M > 3 && mr == 5)
            dot_run(t, i, j, 5, nr);
        else
            dot_run(t, i, j, GEMM_DOT_M, nr);
        i += mr;
    }
}

/* One row of A by nr rows of B (a constant), `apart` rows from each other, as dot_run adds.
   Hardware follows four streams, up to the end of a page: a line of each one's page to come is
   fetched. Of eight all lines are: more of memory is kept busy. */
VF_INLINE void line_run(const dots *t, int64_t j, int64_t apart, const int nr)
{
    const vf_real *a = t->a, *b0 = t->b + j * t->ldb, *b4 = b0 + 4 * apart * t->ldb;
    int64_t b_ld = apart * t->ldb * (int64_t)sizeof(vf_real), b_ld3 = 3 * b_ld, left = t->k;
    WHOLE_HIDE(b_ld);
    WHOLE_HIDE(b_ld3);
    vf acc[8], high[8];
#define LINE_ROW(q) QUAD_ROW(const vf_real, b, q)
#define LINE_OPEN(q) acc[q] = high[q] = vf_zero();
#define LINE_TOUCH(q) \
    if (nr == 4 && (q) < nr) __builtin_prefetch(LINE_ROW(q) + LINE_AHEAD, 0, 2);
#define LINE_FETCH(q) \
    if (nr > 4) __builtin_prefetch(LINE_ROW(q) + LINES_AHEAD, 0, 2);
#define LINE_STEP(q) \
    if ((q) < nr) acc[q] = vf_fma(av, vf_load(LINE_ROW(q)), acc[q]);
#define LINE_HIGH(q) \
    if ((q) < nr) high[q] = vf_fma(hv, vf_load(LINE_ROW(q) + VF_LANES), high[q]);
#define LINE_TAIL(q)                                                                    \
    if ((q) < nr) {                                                                     \
        acc[q] = vf_fma(av, vf_loadm(LINE_ROW(q), tail), acc[q]);                       \
        if ((int)GEMM_DOT_V > 1)                                                        \
            high[q] = vf_fma(hv, vf_loadm(LINE_ROW(q) + VF_LANES, tail_high), high[q]); \
    }
#define LINE_FOLD(q) \
    if ((int)GEMM_DOT_V > 1) acc[q] = vf_add(acc[q], high[q]);
    EACH_ROW(LINE_OPEN)
    while (left >= DOT_K) {
        int64_t steps = lmn_min_i64(left, PAGE) / DOT_K;
        EACH_ROW(LINE_TOUCH)
        left -= steps * DOT_K;
        for (; steps > 0; steps--, a += DOT_K, b0 += DOT_K, b4 += DOT_K) {
            const vf av = vf_load(a);
            EACH_ROW(LINE_FETCH)
            EACH_ROW(LINE_STEP)
            if ((int)GEMM_DOT_V > 1) {
                const vf hv = vf_load(a + VF_LANES);
                EACH_ROW(LINE_HIGH)
            }
        }
    }
    if (left > 0) {
        const vm tail = vm_first(left), tail_high = vm_first(left - VF_LANES);
        const vf av = vf_loadm(a, tail);
        const vf hv = (int)GEMM_DOT_V > 1 ? vf_loadm(a + VF_LANES, tail_high) : vf_zero();
        (void)tail_high, (void)hv;
        EACH_ROW(LINE_TAIL)
    }
    EACH_ROW(LINE_FOLD)
    vf_real sum[8], *c = t->c + j * t->c_step;
    vf_hsum4(acc, sum);
    if (nr > 4) vf_hsum4(acc + 4, sum + 4);
    for (int q = 0; q < nr; q++, c += apart * t->c_step) *c = sum[q] + (t->beta ? *c : (vf_real)0);
}

/* Runs of an odd number of rows: they lie no multiple of many pages apart. */
static void lines_run(const dots *t, bool many)
{
    int64_t j = 0, apart;
    if (many && GEMM_DOT_V == 1 && t->n >= 16) {
        apart = (t->n / 8 - 1) | 1;
        for (; j < apart; j++) line_run(t, j, apart, 8);
        j = 8 * apart;
    }
    for (; j + 4 <= t->n; j += 3 * apart) {
        apart = ((t->n - j) / 4 - 1) | 1;
        for (const int64_t end = j + apart; j < end; j++) line_run(t, j, apart, 4);
    }
    for (; j < t->n; j++) dot_run(t, 0, j, 1, 1);
}

/* m rows of A, side by side by 64 bytes of k, +0 past k: what a tile reads of them is one stream,
   and rows a multiple of 4 KiB apart do not meet in one set of L1. */
static void lay_rows(vf_real *to, const vf_real *a, int64_t lda, int64_t m, int64_t k)
{
    for (int64_t p = 0; p < k; p += DOT_K) {
        const vm some = vm_first(k - p);
        for (int64_t i = 0; i < m; i++, to += DOT_K) vf_store(to, vf_loadm(a + i * lda + p, some));
    }
}

/* mr laid rows of A (a constant) by six rows of B, `apart` rows from each other, as dot_run adds;
   of `fetch` rows that lie ahead the lines are fetched. */
VF_INLINE void laid_run(const dots *t, int64_t i0, int64_t j0, int64_t apart, const int mr,
                        int64_t fetch, const bool l1)
{
    const vf_real *a = t->a, *b0 = t->b + j0 * t->ldb, *b4 = b0 + 4 * apart * t->ldb;
    const vf_real *next0 = b0 + t->ahead, *next4 = b4 + t->ahead;
    int64_t b_ld = apart * t->ldb * (int64_t)sizeof(vf_real), b_ld3 = 3 * b_ld, left = t->k;
    WHOLE_HIDE(b_ld);
    WHOLE_HIDE(b_ld3);
    const int64_t next_ld = b_ld, next_ld3 = b_ld3;
    vf acc[4 * LAID_N], w[LAID_N];
#define LAID_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define LAID_OPEN(q) acc[q] = acc[6 + (q)] = acc[12 + (q)] = acc[18 + (q)] = vf_zero();
#define LAID_FETCH(q)                                               \
    if ((q) < fetch && l1)                                          \
        __builtin_prefetch(QUAD_ROW(const vf_real, next, q), 0, 3); \
    else if ((q) < fetch)                                           \
        __builtin_prefetch(QUAD_ROW(const vf_real, next, q), 0, 2);
#define LAID_LOAD(q) w[q] = vf_load(QUAD_ROW(const vf_real, b, q));
#define LAID_TAIL(q) w[q] = vf_loadm(QUAD_ROW(const vf_real, b, q), tail);
#define LAID_STEP(i)                                                                    \
    if ((i) < mr) {                                                                     \
        const vf av = vf_load(a + (i)*DOT_K);                                           \
        vf_fma_to(&acc[6 * (i)], av, w[0]), vf_fma_to(&acc[6 * (i) + 1], av, w[1]);     \
        vf_fma_to(&acc[6 * (i) + 2], av, w[2]), vf_fma_to(&acc[6 * (i) + 3], av, w[3]); \
        vf_fma_to(&acc[6 * (i) + 4], av, w[4]), vf_fma_to(&acc[6 * (i) + 5], av, w[5]); \
    }
#define LAID_SUM(g) \
    if (4 * (g) < LAID_N * mr) vf_hsum4(acc + 4 * (g), sum + 4 * (g));
    LAID_EACH(LAID_OPEN)
    for (; left >= DOT_K; left -= DOT_K) {
        LAID_EACH(LAID_FETCH)
        LAID_EACH(LAID_LOAD)
        LAID_STEP(0)
        LAID_STEP(1)
        LAID_STEP(2)
        LAID_STEP(3) a += mr * DOT_K, b0 += DOT_K, b4 += DOT_K, next0 += DOT_K, next4 += DOT_K;
    }
    if (left > 0) {
        const vm tail = vm_first(left);
        LAID_EACH(LAID_TAIL)
        LAID_STEP(0) LAID_STEP(1) LAID_STEP(2) LAID_STEP(3)
    }
    vf_real sum[4 * LAID_N], *c = t->c + i0 * t->ldc + j0 * t->c_step;
    LAID_EACH(LAID_SUM)
    for (int i = 0; i < mr; i++)
        for (int q = 0; q < LAID_N; q++) {
            vf_real *to = c + i * t->ldc + q * apart * t->c_step;
            *to = sum[LAID_N * i + q] + (t->beta ? *to : (vf_real)0);
        }
}

VF_INLINE void laid_group(const dots *t, int64_t i, int64_t j, int64_t apart, int64_t mr,
                          int64_t fetch, const bool l1)
{
    if (mr == 2)
        laid_run(t, i, j, apart, 2, fetch, l1);
    else if (mr == 3)
        laid_run(t, i, j, apart, 3, fetch, l1);
    else
        laid_run(t, i, j, apart, 4, fetch, l1);
}

/* One line of every page of six rows of B from row j on, so that the fetches of all other lines, in
   other groups, do not wait for their addresses. */
static void touch_pages(const dots *t, int64_t j)
{
    const vf_real *b = t->b + j * t->ldb; /* past the end it does no harm */
    for (int q = 0; q < LAID_N; q++, b += t->ldb)
        for (int64_t p = 0; p < t->k; p += PAGE) __builtin_prefetch(b + p, 0, 2);
}

/*
 * Two rows of A and more, laid into `room`, in groups of up to four of like size by six rows of B:
 * more of memory is kept busy, and of L1 less is read. One group takes six runs of rows side by
 * side, an odd number of rows each, since rows a multiple of many pages apart meet in L1, and each
 * fetches its own lines ahead. Of several each fetches its share of the next six rows, so that
 * memory is at work all along. How many columns were run.
 */
static __attribute__((noinline)) int64_t laid_rows(const dots *t, vf_real *room, bool near,
                                                   bool far)
{
    const int64_t groups = (t->m + 3) / 4, share = near ? (LAID_N + groups - 1) / groups : LAID_N;
    const int64_t padded = (t->k + DOT_K - 1) / DOT_K * DOT_K;
    const int64_t apart = groups == 1 && t->n >= 3 * LAID_N ? (t->n / LAID_N - 1) | 1 : 0;
    for (int64_t i = 0, mr, g = groups; g > 0; g--, i += mr) {
        mr = (t->m - i + g - 1) / g;
        lay_rows(room + i * padded, t->a + i * t->lda, t->lda, mr, t->k);
    }
    int64_t j = 0;
    for (bool runs = apart > 0; runs || j + LAID_N <= t->n; runs = j < apart) {
        dots d = *t;
        d.a = room;
        int64_t i = 0, from = 0;
        if (far && groups > 1) touch_pages(t, j + 3 * LAID_N);
        for (int64_t g = groups; g > 0; g--) {
            const int64_t mr = (t->m - i + g - 1) / g, step = runs ? apart : 1;
            const int64_t fetch = LAID_N - from < share ? LAID_N - from : share;
            d.ahead = !runs ? t->ahead + from * t->ldb : t->wide ? RUN_AHEAD_WIDE : RUN_AHEAD;
            if (t->wide)
                laid_group(&d, i, j, step, mr, fetch, true);
            else
                laid_group(&d, i, j, step, mr, fetch, false);
            i += mr, from += share, d.a += mr * padded;
        }
        j += !runs ? LAID_N : j + 1 < apart ? 1 : LAID_N * apart - j;
    }
    return j;
}

#ifdef VF_EMBEDS
#include "kernels/gemm/gemm_wide_tmpl.h"
#endif

static void small_nt_run(const gemm_block *t)
{
    const int64_t step = t->c_step ? t->c_step : 1;
    dots d = {t->a, t->b, t->lda, t->ldb, t->c,    t->ldc,  step,
              t->m, t->n, t->k,   0,      t->beta, t->wide, 1};
    if (t->m > t->n)
        d = (dots){t->b, t->a, t->ldb, t->lda, t->c,    step,    t->ldc,
                   t->n, t->m, t->k,   0,      t->beta, t->wide, 1};
    const bool laid = GEMM_DOT_V == 1 && t->room && d.m > 1;
    const int nr = laid ? LAID_N : GEMM_DOT_N;
    const bool near = nr * d.ldb * (int64_t)sizeof(vf_real) <= DOT_NEAR;
    d.ahead = near ? nr * d.ldb : DOT_STREAM;
    if (d.m == 1) {
        lines_run(&d, t->b_far && !t->wide);
        return;
    }
    int64_t j = 0;
#ifdef VF_EMBEDS
    if (laid && t->wide && suits_wide(&d, t->b_far))
        j = laid_wide(&d, t->room, t->b_far);
    else
#endif
        if (laid)
        j = laid_rows(&d, t->room, near, t->b_far);
    for (; j + GEMM_DOT_N <= d.n; j += GEMM_DOT_N) dot_rows(&d, j, GEMM_DOT_N);
    for (; j < d.n; j++) dot_rows(&d, j, 1);
}

#endif
