/*
 * Few rows of bf16 by a transposed B that is read where it lies, for CPUs whose products are so
 * fast that L1 and memory decide: rows of A are copied, those of a tile side by side, and passed in
 * pieces of k that stay in L1; while a piece multiplies, the next one of the same four rows of B is
 * fetched. The sums are those of small_nt_run, lane by lane in the same order. Included by
 * hgemm_bf16_avx512bf16.c, behind hgemm_pair_tmpl.h.
 */
#ifndef LMN_KERNELS_HGEMM_DOTS_TMPL_H
#define LMN_KERNELS_HGEMM_DOTS_TMPL_H

#include "kernels/split.h"

/* k of a piece, and columns that pass before the next one: many rows by a B from memory leave their
   fetches the time of more columns, and L1 less room. */
enum { NEAR_K = 1024, NEAR_N = 4, FAR_K = 512, FAR_N = 32, FAR_LEAST_M = 16 };
enum { DOTS_M = 4, DOTS_SUMS = 4 * DOTS_M * VF_LANES, DOTS_MOST_M = 32 };
_Static_assert(FAR_N / 4 * DOTS_MOST_M / DOTS_M * DOTS_SUMS * sizeof(float) <= LMN_HGEMM_NT_SUMS,
               "sums of all columns that pass before the next piece");
_Static_assert(PAIR_LANES *(32 - DOTS_M) * sizeof(uint16_t) >= DOTS_SUMS * sizeof(float),
               "beside the rows of one tile, rows of AMX have room for its sums (lmn_hgemm_room)");

/* Tiles down the rows, of some rows of A each by up to four columns, k of a piece. */
typedef struct dots {
    int64_t tiles;
    const uint16_t *a; /* tile after tile; vectors of 32, of each row one, then the next of each */
    const uint16_t *b;
    int64_t ldb, n, k;
    const uint16_t *next; /* n_next rows, ldb apart, of which each tile fetches some */
    int64_t n_next;
    float *c, *sums; /* these rest between pieces, DOTS_SUMS of a tile */
    int64_t ldc;
    bool first, last; /* piece */
} dots;

#define DOTS_OPEN_V(i, v) acc[i][v] = vf_load(sums + ((i)*4 + (v)) * VF_LANES);
#define DOTS_OPEN(i)                                                            \
    if ((i) < rows) {                                                           \
        DOTS_OPEN_V(i, 0) DOTS_OPEN_V(i, 1) DOTS_OPEN_V(i, 2) DOTS_OPEN_V(i, 3) \
    }
#define DOTS_STEP(i)                                                                      \
    if ((i) < rows) {                                                                     \
        const __m512i av = load32(a + (i)*PAIR_LANES);                                    \
        acc[i][0] = pair_dot(acc[i][0], av, w0), acc[i][1] = pair_dot(acc[i][1], av, w1); \
        acc[i][2] = pair_dot(acc[i][2], av, w2), acc[i][3] = pair_dot(acc[i][3], av, w3); \
    }
#define DOTS_SAVE_V(i, v) vf_store(sums + ((i)*4 + (v)) * VF_LANES, acc[i][v]);
#define DOTS_SAVE(i)                                                            \
    if ((i) < rows) {                                                           \
        DOTS_SAVE_V(i, 0) DOTS_SAVE_V(i, 1) DOTS_SAVE_V(i, 2) DOTS_SAVE_V(i, 3) \
    }
#define DOTS_CLOSE(i) \
    if ((i) < rows) dot_store(c + (i)*ldc, 1, n, sum4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]));

/* rows, and fetch of 1, 2 or 4, are constants at every call. */
VF_INLINE void dots_tiles(const dots *t, const int rows, const int fetch)
{
    const int64_t n = t->n, n_k = t->k, ldb = t->ldb, ldc = t->ldc;
    const uint16_t *a = t->a, *b0 = t->b, *b1 = b0 + (n > 1 ? ldb : 0),
                   *b2 = b1 + (n > 2 ? ldb : 0), *b3 = b2 + (n > 3 ? ldb : 0), *next = t->next;
    float *c = t->c, *sums = t->sums;
    int64_t n_next = t->n_next;
    const bool first = t->first, last = t->last;
    for (int64_t tile = t->tiles; tile > 0; tile--) {
        const uint16_t *s0 = n_next > 0 ? next : b0, *s1 = s0 + (n_next > 1 ? ldb : 0),
                       *s2 = s1 + (n_next > 2 ? ldb : 0), *s3 = s2 + (n_next > 3 ? ldb : 0);
        vf acc[4][4];
        if (first) {
            EACH_DOT(DOT_OPEN)
        } else {
            EACH_DOT(DOTS_OPEN)
        }
        int64_t k = 0;
        for (; k + PAIR_LANES <= n_k; k += PAIR_LANES, a += rows * PAIR_LANES) {
            __builtin_prefetch(s0 + k);
            if (fetch > 1) __builtin_prefetch(s1 + k);
            if (fetch > 2) __builtin_prefetch(s2 + k), __builtin_prefetch(s3 + k);
            const __m512i w0 = load32(b0 + k), w1 = load32(b1 + k), w2 = load32(b2 + k),
                          w3 = load32(b3 + k);
            EACH_DOT(DOTS_STEP)
        }
        if (k < n_k) { /* A is padded */
            const __m512i w0 = DOT_SOME(b0 + k), w1 = DOT_SOME(b1 + k), w2 = DOT_SOME(b2 + k),
                          w3 = DOT_SOME(b3 + k);
            EACH_DOT(DOTS_STEP)
            a += rows * PAIR_LANES;
        }
        if (last) {
            EACH_DOT(DOTS_CLOSE)
        } else {
            EACH_DOT(DOTS_SAVE)
        }
        c += rows * ldc, sums += DOTS_SUMS, next += fetch * ldb, n_next -= fetch;
    }
}

#define DOTS_DEFINE(rows, fetch)                                                     \
    static __attribute__((noinline)) void dots_tiles_##rows##_##fetch(const dots *t) \
    {                                                                                \
        dots_tiles(t, rows, fetch);                                                  \
    }
DOTS_DEFINE(3, 1)
DOTS_DEFINE(4, 1)
DOTS_DEFINE(2, 2)
DOTS_DEFINE(3, 2)
DOTS_DEFINE(4, 2)
DOTS_DEFINE(2, 4)
DOTS_DEFINE(3, 4)
DOTS_DEFINE(4, 4)

/* How a product is cut: k of a piece, columns that pass before the next piece, tiles down the rows,
   of `rows` or one more, of which there are `more`, and rows of B that each tile fetches. */
typedef struct dots_cut {
    int64_t k, n, tiles, rows, more, fetch;
} dots_cut;

/* A, piece after piece and in it tile after tile; k up to whole vectors. */
static void dots_copy(const lmn_hgemm_small *t, const dots_cut *cut)
{
    uint16_t *to = t->room;
    for (int64_t k0 = 0; k0 < t->k; k0 += cut->k)
        for (int64_t tile = 0, i0 = 0, rows; tile < cut->tiles; tile++, i0 += rows) {
            const uint16_t *a = (const uint16_t *)t->a + i0 * t->lda;
            rows = cut->rows + (tile < cut->more);
            for (int64_t k = k0; k < lmn_min_i64(t->k, k0 + cut->k); k += PAIR_LANES)
                for (int64_t i = 0; i < rows; i++, to += PAIR_LANES)
                    _mm512_storeu_si512(to, load32n(a + i * t->lda + k, t->k - k));
        }
}

/* All rows by the columns j .. j + 3, k0 and on; sums: where those of their tiles rest. */
static void dots_piece(const lmn_hgemm_small *t, const dots_cut *cut, int64_t j, int64_t k0,
                       float *sums)
{
    typedef void tiles_fn(const dots *t);
    static tiles_fn *const run[3][3] = {{dots_tiles_2_4, dots_tiles_3_4, dots_tiles_4_4},
                                        {dots_tiles_2_2, dots_tiles_3_2, dots_tiles_4_2},
                                        {NULL, dots_tiles_3_1, dots_tiles_4_1}};
    tiles_fn *const *const mine = run[lmn_min_i64(cut->tiles, 4) / 2];
    const bool wraps = k0 + cut->k >= t->k;
    const int64_t next_j = wraps ? j + cut->n : j, next_k = wraps ? 0 : k0 + cut->k;
    dots d = {.ldb = t->ldb, .ldc = t->ldc, .first = k0 == 0, .last = wraps};
    d.b = t->b + j * t->ldb + k0, d.n = lmn_min_i64(4, t->n - j);
    d.k = lmn_min_i64(cut->k, t->k - k0);
    d.a = (const uint16_t *)t->room + k0 * t->m;
    d.n_next = lmn_min_i64(4, t->n - next_j);
    d.next = t->b + (d.n_next > 0 ? next_j * t->ldb + next_k : 0);
    d.c = t->c + j, d.sums = sums, d.tiles = cut->more;
    if (d.tiles > 0) mine[cut->rows + 1 - 2](&d);
    d.a += lmn_round_up_i64(d.k, PAIR_LANES) * (cut->rows + 1) * d.tiles;
    d.c += (cut->rows + 1) * t->ldc * d.tiles, d.sums += DOTS_SUMS * d.tiles;
    d.n_next -= cut->fetch * d.tiles;
    d.next += d.n_next > 0 ? cut->fetch * d.tiles * t->ldb : 0;
    d.tiles = cut->tiles - cut->more;
    mine[cut->rows - 2](&d);
}

/* small_nt_run for more rows than are met at once. */
static void dots_run(const lmn_hgemm_small *t)
{
    const bool far = t->b_far && t->m >= FAR_LEAST_M;
    dots_cut cut = {.tiles = lmn_ceil_div_i64(t->m, DOTS_M)};
    cut.rows = t->m / cut.tiles, cut.more = t->m % cut.tiles;
    cut.k = lmn_split_even(t->k, far ? FAR_K : NEAR_K, PAIR_LANES), cut.n = far ? FAR_N : NEAR_N;
    cut.fetch = cut.tiles > 3 ? 1 : cut.tiles > 1 ? 2 : 4;
    float *sums = (float *)t->room + lmn_round_up_i64(t->k, PAIR_LANES) * t->m / 2;
    dots_copy(t, &cut);
    for (int64_t j0 = 0; j0 < t->n; j0 += cut.n)
        for (int64_t k0 = 0; k0 < t->k; k0 += cut.k)
            for (int64_t j = j0; j < lmn_min_i64(t->n, j0 + cut.n); j += 4)
                dots_piece(t, &cut, j, k0, sums + (j - j0) / 4 * cut.tiles * DOTS_SUMS);
}

#define DOT_FETCH_DEFINE(rows)                                                                  \
    static __attribute__((noinline)) void dot_fetch_##rows(const lmn_hgemm_small *t, int64_t i, \
                                                           int64_t j, int64_t n, int64_t apart) \
    {                                                                                           \
        dot_block(t, i, j, n, apart, rows, true);                                               \
    }
DOT_FETCH_DEFINE(1)
DOT_FETCH_DEFINE(2)
DOT_FETCH_DEFINE(3)
DOT_FETCH_DEFINE(4)

/* One row, or a few by a B from memory, by four runs of columns side by side: every line fetched.
 */
static void wide_nt_run(const lmn_hgemm_small *t)
{
    static dot_fn *const run[DOTS_M] = {dot_fetch_1, dot_fetch_2, dot_fetch_3, dot_fetch_4};
    if (t->room && t->m > (t->b_far ? DOTS_M : 1)) {
        dots_run(t);
        return;
    }
    if (!t->b_far || t->m > DOTS_M || t->n < 16) {
        small_nt_run(t);
        return;
    }
    const int64_t apart = (t->n / 4 - 1) | 1;
    for (int64_t j = 0; j < apart; j++) run[t->m - 1](t, 0, j, 4, apart);
    for (int64_t j = 4 * apart; j < t->n; j += 4)
        run[t->m - 1](t, 0, j, lmn_min_i64(4, t->n - j), 1);
}

#endif
