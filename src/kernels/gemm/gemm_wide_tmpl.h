/*
 * Few rows as dot products on a core that multiplies whole vectors of 512 bits twice a cycle: rows
 * of A are laid into scratch as laid_rows has it, each element is summed as dot_run sums it.
 * Included by gemm_dots_tmpl.h where vf_fma_from is.
 */
#ifndef LMN_KERNELS_GEMM_WIDE_TMPL_H
#define LMN_KERNELS_GEMM_WIDE_TMPL_H

/* Of laid rows where the core is wide, to L1: B from memory, from a cache. */
enum { OWN_FAR = 2048 / sizeof(vf_real), OWN_NEAR = 1024 / sizeof(vf_real) };
/* Rows of B by up to so many of an A that stays in L1. */
enum { TALL_N = 3, TALL_M = 8, TALL_A = 32768 / sizeof(vf_real) };

/*
 * mr laid rows of A (a constant, 2 to 4) by six rows of B side by side, for a core that is wide.
 * fetch, a constant: their own lines to L1, and in the end those of the next six rows. Fetches
 * stand among the products, and B is an operand of each: behind loads and fetches of all six rows
 * at once products wait together.
 */
VF_INLINE void own_run(const dots *t, int64_t i0, int64_t j0, const int mr, const bool fetch)
{
    enum { REAL = sizeof(vf_real), ld0 = 0 };
    const vf_real *a = t->a, *b = t->b + j0 * t->ldb, *next = b + t->ahead;
    int64_t ld1 = t->apart * t->ldb * REAL, ld2 = 2 * ld1, ld3 = 3 * ld1, ld4 = 4 * ld1,
            ld5 = 5 * ld1;
    int64_t left = t->k, stop = fetch ? lmn_min_i64(t->ahead, left) : 0;
    const int64_t jump = (t->apart == 1 ? LAID_N : 1) * t->ldb - left;
    WHOLE_HIDE(ld1);
    WHOLE_HIDE(ld2);
    WHOLE_HIDE(ld3);
    WHOLE_HIDE(ld4);
    WHOLE_HIDE(ld5);
    vf acc[4 * LAID_N], w[LAID_N];
#define OWN_ROW(base, q) (const vf_real *)(const void *)((const char *)(base) + ld##q)
#define OWN_FETCH(q) \
    if (fetch) __asm__ volatile("prefetcht0 (%0, %1)" : : "r"(next), "r"(ld##q));
#define OWN_AT(i, q) vf_fma_behind(&acc[6 * (i) + (q)], av, b, ld##q)
#define OWN_STEP(i)                                                    \
    if ((i) < mr) {                                                    \
        const vf av = vf_load(a + (i)*DOT_K);                          \
        vf_fma_from(&acc[6 * (i)], av, b), OWN_AT(i, 1), OWN_AT(i, 2); \
        OWN_AT(i, 3), OWN_AT(i, 4), OWN_AT(i, 5);                      \
    }
/* Not a place in acc: its sums would move to memory. */
#define OWN_SUM(g)                                                                               \
    if (4 * (g) < LAID_N * mr) {                                                                 \
        const vf four[4] = {acc[4 * (g)], acc[4 * (g) + 1], acc[4 * (g) + 2], acc[4 * (g) + 3]}; \
        vf_hsum4(four, sum + 4 * (g));                                                           \
    }
#define OWN_TAIL(q) w[q] = vf_loadm(OWN_ROW(b, q), tail);
    LAID_EACH(LAID_OPEN)
    for (;;) {
        for (; left >= stop + DOT_K; left -= DOT_K) {
            if (fetch) __asm__ volatile("prefetcht0 (%0)" : : "r"(next));
            OWN_FETCH(1) OWN_FETCH(2) OWN_STEP(0) OWN_FETCH(3) OWN_STEP(1);
            OWN_FETCH(4) OWN_STEP(2) OWN_FETCH(5) OWN_STEP(3);
            a += mr * DOT_K, b += DOT_K, next += DOT_K;
        }
        if (stop == 0) break;
        stop = 0, next += jump;
    }
    if (left > 0) {
        const vm tail = vm_first(left);
        LAID_EACH(OWN_TAIL)
        LAID_STEP(0) LAID_STEP(1) LAID_STEP(2) LAID_STEP(3)
    }
    vf_real sum[4 * LAID_N], *c = t->c + i0 * t->ldc + j0 * t->c_step;
    LAID_EACH(OWN_SUM)
    for (int i = 0; i < mr; i++)
        for (int q = 0; q < LAID_N; q++) {
            vf_real *to = c + i * t->ldc + q * t->apart * t->c_step;
            *to = sum[LAID_N * i + q] + (t->beta ? *to : (vf_real)0);
        }
}

/* own_<rows>: without fetches, own_<rows>_next: with. Functions of their own, or the compiler parks
   their pointers. */
#define OWN_DEFINE(mr)                                                                         \
    static __attribute__((noinline)) void own_##mr(const dots *t, int64_t i, int64_t j)        \
    {                                                                                          \
        own_run(t, i, j, mr, false);                                                           \
    }                                                                                          \
    static __attribute__((noinline)) void own_##mr##_next(const dots *t, int64_t i, int64_t j) \
    {                                                                                          \
        own_run(t, i, j, mr, true);                                                            \
    }
OWN_DEFINE(2)
OWN_DEFINE(3)
OWN_DEFINE(4)

/* mr laid rows of A (a constant, 5 to 8) by three rows of B. */
VF_INLINE void laid_tall(const dots *t, int64_t j, const int mr)
{
    const vf_real *a = t->a, *b0 = t->b + j * t->ldb, *b4 = b0;
    int64_t b_ld = t->ldb * (int64_t)sizeof(vf_real), left = t->k;
    const int64_t b_ld3 = 0;
    vf acc[8 * TALL_N], w[TALL_N];
#define TALL_OPEN(i) acc[3 * (i)] = acc[3 * (i) + 1] = acc[3 * (i) + 2] = vf_zero();
#define TALL_STEP(i)                                                                \
    if ((i) < mr) {                                                                 \
        const vf av = vf_load(a + (i)*DOT_K);                                       \
        vf_fma_to(&acc[3 * (i)], av, w[0]), vf_fma_to(&acc[3 * (i) + 1], av, w[1]); \
        vf_fma_to(&acc[3 * (i) + 2], av, w[2]);                                     \
    }
#define TALL_SUM(g) \
    if (4 * (g) < TALL_N * mr) vf_hsum4(acc + 4 * (g), sum + 4 * (g));
    EACH_ROW(TALL_OPEN)
    for (; left >= DOT_K; left -= DOT_K, a += mr * DOT_K, b0 += DOT_K) {
        LAID_LOAD(0) LAID_LOAD(1) LAID_LOAD(2) EACH_ROW(TALL_STEP)
    }
    if (left > 0) {
        const vm tail = vm_first(left);
        LAID_TAIL(0) LAID_TAIL(1) LAID_TAIL(2) EACH_ROW(TALL_STEP)
    }
    vf_real sum[8 * TALL_N], *c = t->c + j * t->c_step;
    LAID_EACH(TALL_SUM)
    (void)b4, (void)b_ld3;
    for (int i = 0; i < mr; i++)
        for (int q = 0; q < TALL_N; q++) {
            vf_real *to = c + i * t->ldc + q * t->c_step;
            *to = sum[TALL_N * i + q] + (t->beta ? *to : (vf_real)0);
        }
}

/* Do rows of B meet in the sets of the caches? */
VF_INLINE bool rows_meet(const dots *t)
{
    return t->ldb % (int64_t)PAGE == 0;
}

/* What of it laid_wide does faster than laid_rows. */
static bool suits_wide(const dots *t, bool far)
{
    if (far) return t->m <= 5 || (t->m <= 16 && rows_meet(t));
    return t->m <= 4 || (t->m <= TALL_M && t->m * t->k <= TALL_A);
}

/* Up to eight rows of A by three of a cached B, each of which is read once. How many columns were
   run. */
static int64_t tall_rows(const dots *t)
{
    int64_t j = 0;
    for (; j + TALL_N <= t->n; j += TALL_N) {
        if (t->m == 5)
            laid_tall(t, j, 5);
        else if (t->m == 6)
            laid_tall(t, j, 6);
        else if (t->m == 7)
            laid_tall(t, j, 7);
        else
            laid_tall(t, j, 8);
    }
    return j;
}

/* As laid_rows, where the core is wide: the first group fetches what comes and the others find it
   in L1. Rows from memory that meet in the caches are runs, for one group. */
static __attribute__((noinline)) int64_t laid_wide(const dots *t, vf_real *room, bool far)
{
    static void (*const own[])(const dots *, int64_t, int64_t) = {own_2, own_3, own_4};
    static void (*const own_next[])(const dots *, int64_t, int64_t) = {own_2_next, own_3_next,
                                                                       own_4_next};
    const bool tall = !far && t->m > 4;
    const int64_t most = tall ? TALL_M : 4, groups = (t->m + most - 1) / most;
    const int64_t padded = (t->k + DOT_K - 1) / DOT_K * DOT_K;
    dots d = *t;
    for (int64_t i = 0, mr, g = groups; g > 0; g--, i += mr) {
        mr = (t->m - i + g - 1) / g;
        lay_rows(room + i * padded, t->a + i * t->lda, t->lda, mr, t->k);
    }
    d.a = room, d.ahead = far ? OWN_FAR : OWN_NEAR;
    if (tall) return tall_rows(&d);
    const bool runs = far && groups == 1 && rows_meet(t) && t->n >= 3 * LAID_N;
    d.apart = runs ? (t->n / LAID_N - 1) | 1 : 1;
    int64_t j = 0;
    while (j + LAID_N <= t->n) {
        d.a = room;
        for (int64_t i = 0, mr, g = groups; g > 0; g--, i += mr, d.a += mr * padded) {
            mr = (t->m - i + g - 1) / g;
            (i ? own[mr - 2] : own_next[mr - 2])(&d, i, j);
        }
        if (d.apart == 1)
            j += LAID_N;
        else if (++j == d.apart)
            j *= LAID_N, d.apart = 1;
    }
    return j;
}

#endif
