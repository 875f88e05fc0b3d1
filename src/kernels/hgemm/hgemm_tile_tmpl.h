/*
 * The register tiles of bf16 on vdpbf16ps: up to 8 rows by up to three vectors, of rows of A that
 * lie one after the other, found from four pointers and their distance, so that everything a step
 * of k needs stays in registers, or of windows. Included by hgemm_bf16_avx512bf16.c.
 */
#ifndef LMN_KERNELS_HGEMM_TILE_TMPL_H
#define LMN_KERNELS_HGEMM_TILE_TMPL_H

#include "kernels/simd/whole_rows.h"

#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

/* Do whole vectors of C leave past the caches? */
VF_INLINE bool goes_past(const lmn_hgemm_block *t)
{
    return t->c_past && !(((uintptr_t)t->c | (uintptr_t)t->ldc * sizeof(float)) % 64);
}

/* One element of a row of A and +0 in every lane. */
VF_INLINE __m512i half_pair_bcast(const uint16_t *p)
{
    typedef uint16_t anywhere __attribute__((aligned(1), may_alias));
    return _mm512_set1_epi32(*(const anywhere *)p);
}

/* One element and, from another place, its neighbour. */
VF_INLINE __m512i split_pair_bcast(const uint16_t *even, const uint16_t *odd)
{
    typedef uint16_t anywhere __attribute__((aligned(1), may_alias));
    const uint32_t pair = *(const anywhere *)even | (uint32_t) * (const anywhere *)odd << 16;
    return _mm512_set1_epi32((int32_t)pair);
}

/* Windows that are read where they lie, and the outputs of a tile among them. */
typedef struct windows {
    const lmn_hgemm_lines *l;
    const uint16_t *a[MR];
} windows;

/* Panels that are wanted next come while these multiply, as one stream: every tile down the rows
   fetches its share of theirs, so many lines each NEXT_K rows of k. MANY of them pass L1 by. */
enum { NEXT_K = 8, NEXT_LINES = NEXT_K * HG_NR / PAIR_LANES, MANY_LINES = NEXT_LINES / 3 };

VF_INLINE const uint16_t *next_lines(const lmn_hgemm_block *t, int64_t i0, int64_t j0, int64_t *n)
{
    *n = 0;
    if (j0 >= t->n_next) return NULL;
    const int64_t each = lmn_ceil_div_i64(NEXT_LINES, lmn_ceil_div_i64(t->m, MR));
    const int64_t before = lmn_ceil_div_i64(i0, MR) * each, at = before * (t->k / NEXT_K);
    *n = lmn_min_i64(each, NEXT_LINES - before);
    return (const uint16_t *)t->b_next + j0 / HG_NR * t->b_panel + at * PAIR_LANES;
}

/* n of those lines. */
VF_INLINE void fetch_lines(const uint16_t *next, int64_t n)
{
    for (int64_t q = 0; n > MANY_LINES && q < n; q++)
        __builtin_prefetch(next + q * PAIR_LANES, 0, 2);
    for (int64_t q = 0; n <= MANY_LINES && q < n; q++) __builtin_prefetch(next + q * PAIR_LANES);
}

/* One pair in memory by sixteen. */
VF_INLINE void pair_dot_at(vf *sum, __m512i b, const uint16_t *a)
{
    typedef int32_t anywhere __attribute__((aligned(1), may_alias));
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0"
            : "+v"(*sum)
            : "v"(b), "m"(*(const anywhere *)(const void *)a));
}

/* What the rows and steps of tile do, on its variables. */
#define OPEN_V(i, v)                                                        \
    if ((v) < nv)                                                           \
        acc[i][v] = (v) == nv - 1 ? vf_loadm(ROW_C(i) + (v)*VF_LANES, last) \
                                  : vf_load(ROW_C(i) + (v)*VF_LANES);
#define OPEN(i)                                \
    if ((i) < mr) {                            \
        OPEN_V(i, 0) OPEN_V(i, 1) OPEN_V(i, 2) \
    }
#define CLEAR(i) acc[i][0] = acc[i][1] = acc[i][2] = vf_zero();
#define ROW_A(i) WHOLE_ROW(const uint16_t, a, i)
#define ROW_C(i) WHOLE_ROW(float, c, i)
#define DOT(i, v, b)                                                        \
    if ((v) < nv)                                                           \
        acc[i][v] = half && (v) == nv - 1 ? pair_dot_lo(acc[i][v], av, (b)) \
                                          : pair_dot(acc[i][v], av, (b));
#define STEP_BY(i, pair)                          \
    if ((i) < mr) {                               \
        const __m512i av = pair;                  \
        DOT(i, 0, b0) DOT(i, 1, b1) DOT(i, 2, b2) \
    }
#define STEP(i)                                                              \
    if (nv == 1 && !half && (i) < mr) /* from memory: half the operations */ \
        pair_dot_at(&acc[i][0], b0, ROW_A(i) + at);                          \
    else                                                                     \
        STEP_BY(i, pair_bcast(ROW_A(i) + at))
#define STEP_ODD(i) STEP_BY(i, half_pair_bcast(ROW_A(i)))
#define ROW_WINDOW(i) a[i] = (i) < mr ? w->a[i] : NULL;
#define STEP_WINDOW(i) STEP_BY(i, pair_bcast(a[i] + k))
#define STEP_WINDOW_ODD(i) STEP_BY(i, half_pair_bcast(a[i] + k))
#define STEP_SPLIT(i) STEP_BY(i, split_pair_bcast(a[i] + k, a[i] + w->l->at[run + 1]))
#define LOAD_B(b)                                                      \
    const __m512i b0 = load32(b), b1 = nv > 1 ? load32((b) + 32) : b0, \
                  b2 = nv > 2 ? load32((b) + 64) : b0;                 \
    (void)b1, (void)b2;
/* Pair u behind one set of pointers, which are kept in registers. */
#define PAIR_AT(u)                                                                    \
    {                                                                                 \
        const int64_t at = (u)*PAIR;                                                  \
        LOAD_B(b + at * HG_NR)                                                        \
        EACH_ROW(STEP)                                                                \
        if (mr > 6) WHOLE_HIDE(a6);                                                   \
        __asm__("" : "+r"(a0), "+r"(a2), "+r"(a4), "+r"(b), "+r"(a_ld) : : "memory"); \
    }
#define PAIRS_ON(n) \
    a0 += (n)*PAIR, a2 += (n)*PAIR, a4 += (n)*PAIR, a6 += (n)*PAIR, b += (n)*PAIR * HG_NR
#define HEAD_LOAD(v, p) ((v) == nv - 1 ? vf_loadm(p, last) : vf_load(p))
#define HEAD_V(i, v)                                                                       \
    if ((v) < nv) {                                                                        \
        const int64_t at = (v)*VF_LANES;                                                   \
        if (row) acc[i][v] = vf_add(acc[i][v], rv);                                        \
        if (col) acc[i][v] = vf_add(acc[i][v], HEAD_LOAD(v, col + at));                    \
        if (full) acc[i][v] = vf_add(acc[i][v], HEAD_LOAD(v, full + (i)*h->full_ld + at)); \
        acc[i][v] = vf_min(hi, vf_max(lo, acc[i][v]));                                     \
    }
#define HEAD(i)                                          \
    if ((i) < mr) {                                      \
        const vf rv = row ? vf_set1(row[i]) : vf_zero(); \
        HEAD_V(i, 0) HEAD_V(i, 1) HEAD_V(i, 2)           \
    }
#define HEAD_ROW_V(i, v) \
    if ((v) < nv) acc[i][v] = vf_min(hi, vf_max(lo, vf_add(acc[i][v], rv)));
#define HEAD_ROW(i)                                        \
    if ((i) < mr) {                                        \
        const vf rv = vf_set1(row[i]);                     \
        HEAD_ROW_V(i, 0) HEAD_ROW_V(i, 1) HEAD_ROW_V(i, 2) \
    }
#define FETCH_C(i)                                                                   \
    if ((i) < mr) {                                                                  \
        for (int v = 0; v < nv; v++) __builtin_prefetch(ROW_C(i) + v * VF_LANES, 1); \
    }
#define CLOSE_V(i, v)                                            \
    if ((v) < nv) {                                              \
        if ((v) == nv - 1)                                       \
            vf_storem(ROW_C(i) + (v)*VF_LANES, last, acc[i][v]); \
        else                                                     \
            vf_store(ROW_C(i) + (v)*VF_LANES, acc[i][v]);        \
    }
#define CLOSE(i)                                  \
    if ((i) < mr) {                               \
        CLOSE_V(i, 0) CLOSE_V(i, 1) CLOSE_V(i, 2) \
    }
#define PAST(i)                                                          \
    vf_stream(ROW_C(i), acc[i][0]), vf_stream(ROW_C(i) + 16, acc[i][1]), \
        vf_stream(ROW_C(i) + 32, acc[i][2]);
#define LEAVE(i) \
    if ((i) < mr) leave_row(h, (i0 + (i)) * h->out_ld + j0, out_col, acc[i], nv, last, false);
#define NEAR_V(i, v) \
    if ((v) < nv) vf_store(sums + (i)*HG_NR + (v)*VF_LANES, acc[i][v]);
#define NEAR(i)                                \
    if ((i) < mr) {                            \
        NEAR_V(i, 0) NEAR_V(i, 1) NEAR_V(i, 2) \
    }

/* What the tile at i0, j0 meets when its sums are complete: the residual, and lines of C or of
   where the result leaves. Their rows are too far apart for the hardware to foresee. */
VF_INLINE void fetch_end(const lmn_hgemm_block *t, int64_t i0, int64_t j0, const int mr,
                         const int nv)
{
    const lmn_hgemm_head *h = t->head;
    if (h && h->out) {
        if (h->add) leave_soon(h, i0, j0, mr, nv == 3 ? HG_NR - 1 : 0);
        return;
    }
    if (!t->c_past && t->k < MR * NEXT_K) {
        int64_t c_ld = t->ldc * (int64_t)sizeof(float);
        float *c0 = t->c + i0 * t->ldc + j0;
        WHOLE_PAIRS(float, c)
        EACH_ROW(FETCH_C)
    }
    if (h && h->full)
        for (int i = 0; i < mr; i++)
            for (int v = 0; v < nv; v++)
                __builtin_prefetch(h->full + (i0 + i) * h->full_ld + j0 + v * VF_LANES);
}

/* Of a tile: what is fetched while it multiplies. */
typedef struct soon {
    const uint16_t *next; /* lines of the next panels, n_next each NEXT_K */
    int64_t n_next;
    const float *c; /* n_c rows of C, one each NEXT_K */
    int64_t n_c;
    int64_t below; /* elements from its rows of A to those of the next tile */
} soon;

/* Rows of A are too short for the hardware: those below come with the last panel. */
VF_INLINE soon soon_of(const lmn_hgemm_block *t, int64_t i0, int64_t j0, const int mr,
                       const bool lines)
{
    const bool leaves = lines || (t->head && t->head->out);
    const bool more = !lines && i0 + mr < t->m && j0 + HG_NR >= t->n;
    soon s = {.below = more ? mr * t->lda : 0};
    s.next = next_lines(t, i0, j0, &s.n_next);
    if (!leaves) s.c = t->c + i0 * t->ldc + j0;
    if (!leaves && !t->c_past && t->k >= MR * NEXT_K) s.n_c = mr;
    return s;
}

/* Sums over the windows of w, of which pairs may be of two runs. */
VF_INLINE void sum_windows(const lmn_hgemm_block *t, const windows *w, const uint16_t *b, soon s,
                           vf acc[MR][3], const int mr, const int nv, const bool half)
{
    const int64_t n_runs = t->k / w->l->run;
    const uint16_t *a[MR];
    EACH_ROW(ROW_WINDOW)
    int64_t taken = 0; /* of a run by the pair before */
    for (int64_t run = 0; run < n_runs; run++) {
        const int64_t first = w->l->at[run], end = first + w->l->run;
        int64_t k = first + taken;
        for (; k + 1 < end; k += PAIR, b += PAIR * HG_NR) {
            if (s.n_next > 0 && (k - first) % NEXT_K < PAIR) {
                fetch_lines(s.next, s.n_next);
                s.next += s.n_next * PAIR_LANES;
            }
            LOAD_B(b)
            EACH_ROW(STEP_WINDOW)
        }
        taken = 0;
        if (k == end) continue;
        LOAD_B(b)
        if (run + 1 < n_runs) {
            EACH_ROW(STEP_SPLIT)
            b += PAIR * HG_NR, taken = 1;
        } else {
            EACH_ROW(STEP_WINDOW_ODD)
        }
    }
}

/* Sums over rows of A from a0 on. */
VF_INLINE void sum_rows(const lmn_hgemm_block *t, const uint16_t *a0, const uint16_t *b, soon s,
                        vf acc[MR][3], const int mr, const int nv, const bool half)
{
    int64_t a_ld = t->lda * (int64_t)sizeof(uint16_t);
    WHOLE_HIDE(a_ld);
    WHOLE_PAIRS(const uint16_t, a)
    const uint16_t *line = a0 + s.below;
    const int64_t k = t->k - t->odd;
    for (int64_t left = k / NEXT_K; left > 0; left -= PAIR_LANES / NEXT_K, line += PAIR_LANES) {
        const uint16_t *below = line;
#pragma GCC unroll 1
        for (int64_t q = lmn_min_i64(left, PAIR_LANES / NEXT_K); q > 0; q--) {
            if (s.n_next > 0) {
                fetch_lines(s.next, s.n_next);
                s.next += s.n_next * PAIR_LANES;
            }
            PAIR_AT(0)
            __builtin_prefetch(below);
            PAIR_AT(1)
            __builtin_prefetch((const char *)below + a_ld);
            PAIR_AT(2)
            if (s.n_c > 0) {
                for (int v = 0; v < nv; v++) __builtin_prefetch(s.c + v * VF_LANES, 1);
                s.c += t->ldc, s.n_c--;
            }
            PAIR_AT(3)
            PAIRS_ON(NEXT_K / PAIR);
            below = (const uint16_t *)((const char *)below + 2 * a_ld);
            WHOLE_HIDE(below);
        }
    }
#pragma GCC unroll 1
    for (int64_t rest = k % NEXT_K / PAIR; rest > 0; rest--) {
        PAIR_AT(0)
        PAIRS_ON(1);
    }
    if (!t->odd) return;
    LOAD_B(b)
    EACH_ROW(STEP_ODD)
}

/* mr, nv, half and lines are constants at every call; n columns of the last vector count, at most
   HALF where `half` is set. lines: rows of A are those of w. */
VF_INLINE void tile(const lmn_hgemm_block *t, const windows *w, int64_t i0, int64_t j0,
                    const int mr, const int nv, const bool half, const bool lines)
{
    const uint16_t *b = (const uint16_t *)t->b + j0 / HG_NR * t->b_panel;
    const vm last = vm_first(t->n - j0 - (nv - 1) * VF_LANES);
    vf acc[MR][3];
    if (!lines && t->beta) {
        const int64_t c_ld = t->ldc * (int64_t)sizeof(float);
        float *c0 = t->c + i0 * t->ldc + j0;
        WHOLE_PAIRS(float, c)
        EACH_ROW(OPEN)
    } else {
        EACH_ROW(CLEAR)
    }
    fetch_end(t, i0, j0, mr, nv);
    const soon s = soon_of(t, i0, j0, mr, lines);
    if (lines)
        sum_windows(t, w, b, s, acc, mr, nv, half);
    else
        sum_rows(t, (const uint16_t *)t->a + i0 * t->lda, b, s, acc, mr, nv, half);
    WHOLE_HIDE(t); /* what follows is not kept in registers meanwhile */
    const lmn_hgemm_head *h = t->head;
    const bool leaves = lines || (h && h->out);
    if (leaves && !h->act) {
        const float *out_col = h->col ? h->col + j0 : NULL;
        EACH_ROW(LEAVE)
        return;
    }
    if (leaves) {
        float sums[MR * HG_NR] __attribute__((aligned(64)));
        EACH_ROW(NEAR)
        leave(h, sums, i0, j0, mr, lmn_min_i64(HG_NR, t->n - j0));
        return;
    }
    if (h) {
        const float *row = h->row ? h->row + i0 : NULL, *col = h->col ? h->col + j0 : NULL,
                    *full = h->full ? h->full + i0 * h->full_ld + j0 : NULL;
        const vf lo = vf_set1(h->lo), hi = vf_set1(h->hi);
        if (row && !col && !full) {
            EACH_ROW(HEAD_ROW)
        } else {
            EACH_ROW(HEAD)
        }
    }
    const int64_t c_ld = t->ldc * (int64_t)sizeof(float);
    float *c0 = t->c + i0 * t->ldc + j0;
    WHOLE_PAIRS(float, c)
    if (mr == MR && nv == 3 && !half && last == 0xffff && goes_past(t)) {
        EACH_ROW(PAST)
        return;
    }
    EACH_ROW(CLOSE)
}

/* A function each, so that registers are given out one by one. */
#define INSTANCE(mr, nv, name, half, lines)                               \
    static __attribute__((noinline)) void tile_##mr##_##nv##name(         \
        const lmn_hgemm_block *t, const windows *w, int64_t i, int64_t j) \
    {                                                                     \
        tile(t, w, i, j, mr, nv, half, lines);                            \
    }
#define INSTANCES_NV(mr, nv)         \
    INSTANCE(mr, nv, , false, false) \
    INSTANCE(mr, nv, h, true, false) \
    INSTANCE(mr, nv, w, false, true) \
    INSTANCE(mr, nv, wh, true, true)
#define INSTANCES(mr) INSTANCES_NV(mr, 1) INSTANCES_NV(mr, 2) INSTANCES_NV(mr, 3)
INSTANCES(1)
INSTANCES(2)
INSTANCES(3)
INSTANCES(4)
INSTANCES(5)
INSTANCES(6)
INSTANCES(7)
INSTANCES(8)

typedef void tile_fn(const lmn_hgemm_block *t, const windows *w, int64_t i, int64_t j);
#define TILES_NV(mr, nv)                              \
    {                                                 \
        {tile_##mr##_##nv, tile_##mr##_##nv##h},      \
        {                                             \
            tile_##mr##_##nv##w, tile_##mr##_##nv##wh \
        }                                             \
    }
#define TILES(mr)                                         \
    {                                                     \
        TILES_NV(mr, 1), TILES_NV(mr, 2), TILES_NV(mr, 3) \
    }

static void run_tile(const lmn_hgemm_block *t, const windows *w, int64_t i, int64_t m, int64_t j)
{
    static tile_fn *const tiles[MR][3][2][2] = {TILES(1), TILES(2), TILES(3), TILES(4),
                                                TILES(5), TILES(6), TILES(7), TILES(8)};
    const int64_t n = lmn_min_i64(HG_NR, t->n - j), v = (n - 1) / VF_LANES;
    tiles[m - 1][v][w != NULL][n - v * VF_LANES <= HALF](t, w, i, j);
}

/* Rows of the next tile where `left` are left: 17 = 6 + 6 + 5. */
static int64_t tile_rows(int64_t left)
{
    return left >= 4 * MR ? MR : lmn_ceil_div_i64(left, lmn_ceil_div_i64(left, MR));
}

#endif
