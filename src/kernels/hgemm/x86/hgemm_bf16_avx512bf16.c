/*
 * bf16 hgemm row on vdpbf16ps: register tile 8 x 48, two k a step (24 accumulators, 3 of B, one
 * broadcast pair of A). The instruction adds two products to a sum of f32, rounds to nearest even
 * and flushes denormals, whatever the modes of the thread.
 */
#define HG_NR 48
#include "kernels/hgemm/hgemm_pair_tmpl.h"

HG_DEFINE(avx512bf16)

enum { MR = 8, HALF = VF_LANES / 2 };

/* The lower half alone, at half of the price; what lies above is lost. */
VF_INLINE vf pair_dot_lo(vf sum, __m512i a, __m512i b)
{
    return _mm512_castps256_ps512(_mm256_dpbf16_ps(_mm512_castps512_ps256(sum),
                                                   (__m256bh)_mm512_castsi512_si256(a),
                                                   (__m256bh)_mm512_castsi512_si256(b)));
}

/* The residual of a tile, and the lines that it leaves to; far: the last of its columns, 0 where
   one line has most of them. Lines alone are better left to the stores. */
static void leave_soon(const lmn_hgemm_head *h, int64_t i0, int64_t j0, int64_t m,
                       const int64_t far)
{
    for (int64_t i = i0; i < i0 + m; i++) {
        const int64_t at = i * h->out_ld + j0;
        __builtin_prefetch(h->out + at, 1);
        if (far) __builtin_prefetch(h->out + at + far, 1);
        __builtin_prefetch(h->add + at), __builtin_prefetch(h->add + at + far);
    }
}

/* A row of a tile from registers: bias, SiLU, residual, clip, rounding; `at` is the first column,
   of nv vectors the lanes of `last` count in the last one. The instruction that rounds makes
   denormals 0. */
VF_INLINE void leave_row(const lmn_hgemm_head *h, int64_t at, const float *col, const vf sums[3],
                         const int nv, vm last, const bool silu)
{
    enum { DENORMAL = 0x20, ALL = 0xffff };
    const vf lo = vf_set1(h->lo), hi = vf_set1(h->hi);
    const vm in[3] = {nv > 1 ? ALL : last, nv > 2 ? ALL : last, last};
    const __mmask32 two = nv > 2 ? ~(__mmask32)0 : nv > 1 ? (__mmask32)last << 16 | ALL : last;
    uint16_t *out = h->out + at;
    vf v[3] = {sums[0], sums[1], sums[2]};
    vm odd = 0;
#define LEAVE_V(x)                                                                               \
    if ((x) < nv) {                                                                              \
        if (col) v[x] = vf_add(v[x], vf_loadm(col + (x)*16, in[x]));                             \
        if (silu) v[x] = bf16_silu(v[x]);                                                        \
        if (h->add)                                                                              \
            v[x] =                                                                               \
                vf_add(v[x], bf16_widen(_mm256_maskz_loadu_epi16(in[x], h->add + at + (x)*16))); \
        v[x] = vf_min(hi, vf_max(lo, v[x]));                                                     \
        odd |= _mm512_fpclass_ps_mask(v[x], DENORMAL);                                           \
    }
    {
        LEAVE_V(0) LEAVE_V(1) LEAVE_V(2)
    }
    if (LMN_LIKELY(!odd)) {
        if (nv == 1)
            _mm256_mask_storeu_epi16(out, last, (__m256i)_mm512_cvtneps_pbh(v[0]));
        else
            _mm512_mask_storeu_epi16(out, two, f32_join(v[0], v[1]));
        if (nv > 2) _mm256_mask_storeu_epi16(out + 32, last, (__m256i)_mm512_cvtneps_pbh(v[2]));
        return;
    }
#define LEAVE_ODD(x) \
    if ((x) < nv) _mm512_mask_cvtepi32_storeu_epi16(out + (x)*16, in[x], bf16_round(v[x]));
    LEAVE_ODD(0) LEAVE_ODD(1) LEAVE_ODD(2)
}

/* The sums of a tile, HG_NR apart, of m rows and nv vectors, behind SiLU. */
VF_INLINE void leave_near(const lmn_hgemm_head *h, const float *sums, int64_t at, const float *col,
                          int64_t m, const int nv, vm last)
{
    for (int64_t i = 0; i < m; i++, sums += HG_NR, at += h->out_ld) {
        const vf v[3] = {vf_load(sums), nv > 1 ? vf_load(sums + 16) : vf_zero(),
                         nv > 2 ? vf_load(sums + 32) : vf_zero()};
        leave_row(h, at, col, v, nv, last, true);
    }
}

static __attribute__((noinline)) void leave(const lmn_hgemm_head *h, const float *sums, int64_t i0,
                                            int64_t j0, int64_t m, int64_t n)
{
    const int64_t at = i0 * h->out_ld + j0;
    const float *col = h->col ? h->col + j0 : NULL;
    if (n > 2 * VF_LANES)
        leave_near(h, sums, at, col, m, 3, vm_first(n - 2 * VF_LANES));
    else if (n > VF_LANES)
        leave_near(h, sums, at, col, m, 2, vm_first(n - VF_LANES));
    else
        leave_near(h, sums, at, col, m, 1, vm_first(n));
}

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
    const int64_t each = lmn_ceil_div_i64(NEXT_LINES, lmn_ceil_div_i64(t->m, MR));
    const int64_t before = lmn_ceil_div_i64(i0, MR) * each, at = before * (t->k / NEXT_K);
    *n = j0 < t->n_next ? lmn_min_i64(each, NEXT_LINES - before) : 0;
    return (const uint16_t *)t->b_next + j0 / HG_NR * t->b_panel + at * PAIR_LANES;
}

/* n of those lines. */
VF_INLINE void fetch_lines(const uint16_t *next, int64_t n)
{
    for (int64_t q = 0; n > MANY_LINES && q < n; q++)
        __builtin_prefetch(next + q * PAIR_LANES, 0, 2);
    for (int64_t q = 0; n <= MANY_LINES && q < n; q++) __builtin_prefetch(next + q * PAIR_LANES);
}

/* mr, nv, half and lines are constants at every call; n columns of the last vector count, at most
   HALF where `half` is set. lines: rows of A are those of w, of which pairs may be of two runs. */
VF_INLINE void tile(const lmn_hgemm_block *t, const windows *w, int64_t i0, int64_t j0,
                    const int mr, const int nv, const bool half, const bool lines)
{
    const uint16_t *a[MR], *b = (const uint16_t *)t->b + j0 / HG_NR * t->b_panel;
    float *c[MR];
    vf acc[MR][3];
    const vm last = vm_first(t->n - j0 - (nv - 1) * VF_LANES);
#define OPEN_V(i, v)                                                      \
    if ((v) < nv)                                                         \
        acc[i][v] = !t->beta        ? vf_zero()                           \
                    : (v) == nv - 1 ? vf_loadm(c[i] + (v)*VF_LANES, last) \
                                    : vf_load(c[i] + (v)*VF_LANES);
#define OPEN(i)                                                                \
    if ((i) < mr) {                                                            \
        a[i] = lines ? w->a[i] : (const uint16_t *)t->a + (i0 + (i)) * t->lda; \
        c[i] = lines ? NULL : t->c + (i0 + (i)) * t->ldc + j0;                 \
        OPEN_V(i, 0) OPEN_V(i, 1) OPEN_V(i, 2)                                 \
    }
#define DOT(i, v, b)                                                        \
    if ((v) < nv)                                                           \
        acc[i][v] = half && (v) == nv - 1 ? pair_dot_lo(acc[i][v], av, (b)) \
                                          : pair_dot(acc[i][v], av, (b));
#define STEP_BY(i, pair)                          \
    if ((i) < mr) {                               \
        const __m512i av = pair;                  \
        DOT(i, 0, b0) DOT(i, 1, b1) DOT(i, 2, b2) \
    }
#define STEP(i) STEP_BY(i, pair_bcast(a[i] + k))
#define STEP_ODD(i) STEP_BY(i, half_pair_bcast(a[i] + k))
#define STEP_SPLIT(i) STEP_BY(i, split_pair_bcast(a[i] + k, a[i] + w->l->at[run + 1]))
#define LOAD_B                                                       \
    const __m512i b0 = load32(b), b1 = nv > 1 ? load32(b + 32) : b0, \
                  b2 = nv > 2 ? load32(b + 64) : b0;
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
#define FETCH(i)                                                                               \
    if ((i) < mr) {                                                                            \
        for (int v = 0; v < nv; v++) __builtin_prefetch(full + (i)*h->full_ld + v * VF_LANES); \
    }
#define FETCH_A(i) \
    if ((i) < mr) __builtin_prefetch(a[i] + k + ahead);
#define FETCH_C(i)                                                               \
    if ((i) < mr) {                                                              \
        for (int v = 0; v < nv; v++) __builtin_prefetch(c[i] + v * VF_LANES, 1); \
    }
#define CLOSE_V(i, v)                                        \
    if ((v) < nv) {                                          \
        if ((v) == nv - 1)                                   \
            vf_storem(c[i] + (v)*VF_LANES, last, acc[i][v]); \
        else                                                 \
            vf_store(c[i] + (v)*VF_LANES, acc[i][v]);        \
    }
#define CLOSE(i)                                  \
    if ((i) < mr) {                               \
        CLOSE_V(i, 0) CLOSE_V(i, 1) CLOSE_V(i, 2) \
    }
    EACH_ROW(OPEN)
    const bool leaves = t->head && t->head->out;
    const lmn_hgemm_head *h = leaves ? NULL : t->head;
    const float *row = h && h->row ? h->row + i0 : NULL, *col = h && h->col ? h->col + j0 : NULL,
                *full = h && h->full ? h->full + i0 * h->full_ld + j0 : NULL;
    /* Rows of C and of a residual are too far apart for the hardware to foresee, and rows of A too
       short: those of the next tile come with the last panel. */
    if (lines || leaves) {
        if (t->head->add) leave_soon(t->head, i0, j0, mr, nv == 3 ? HG_NR - 1 : 0);
    } else if (!t->c_past) {
        EACH_ROW(FETCH_C)
    }
    if (full) {
        EACH_ROW(FETCH)
    }
    int64_t n_next;
    const uint16_t *next = next_lines(t, i0, j0, &n_next);
    const bool more = i0 + mr < t->m && j0 + HG_NR >= t->n;
    const int64_t ahead = more ? mr * t->lda : 0, n_runs = lines ? t->k / w->l->run : 1;
    int64_t taken = 0; /* of a run by the pair before */
    for (int64_t run = 0; run < n_runs; run++) {
        const int64_t first = lines ? w->l->at[run] : 0;
        const int64_t end = lines ? first + w->l->run : t->k - t->odd;
        int64_t k = first + taken;
        for (; k + 1 < end; k += PAIR, b += PAIR * HG_NR) {
            if (!lines && (k - first) % PAIR_LANES < PAIR) {
                EACH_ROW(FETCH_A)
            }
            if (n_next > 0 && (k - first) % NEXT_K < PAIR) {
                fetch_lines(next, n_next);
                next += n_next * PAIR_LANES;
            }
            LOAD_B
            EACH_ROW(STEP)
            (void)b1, (void)b2;
        }
        taken = 0;
        if (k == end) continue;
        LOAD_B
        if (lines && run + 1 < n_runs) {
            EACH_ROW(STEP_SPLIT)
            b += PAIR * HG_NR, taken = 1;
        } else {
            EACH_ROW(STEP_ODD)
        }
        (void)b1, (void)b2;
    }
    if (row && !col && !full) {
        const vf lo = vf_set1(h->lo), hi = vf_set1(h->hi);
        EACH_ROW(HEAD_ROW)
    } else if (h) {
        const vf lo = vf_set1(h->lo), hi = vf_set1(h->hi);
        EACH_ROW(HEAD)
    }
#define PAST(i) \
    vf_stream(c[i], acc[i][0]), vf_stream(c[i] + 16, acc[i][1]), vf_stream(c[i] + 32, acc[i][2]);
    if (mr == MR && nv == 3 && !half && last == 0xffff && goes_past(t)) {
        EACH_ROW(PAST)
        return;
    }
#define LEAVE(i)  \
    if ((i) < mr) \
        leave_row(t->head, (i0 + (i)) * t->head->out_ld + j0, out_col, acc[i], nv, last, false);
#define NEAR_V(i, v) \
    if ((v) < nv) vf_store(sums + (i)*HG_NR + (v)*VF_LANES, acc[i][v]);
#define NEAR(i)                                \
    if ((i) < mr) {                            \
        NEAR_V(i, 0) NEAR_V(i, 1) NEAR_V(i, 2) \
    }
    if ((lines || leaves) && !t->head->act) {
        const float *out_col = t->head->col ? t->head->col + j0 : NULL;
        EACH_ROW(LEAVE)
        return;
    }
    if (lines || leaves) {
        float sums[MR * HG_NR] __attribute__((aligned(64)));
        EACH_ROW(NEAR)
        leave(t->head, sums, i0, j0, mr, lmn_min_i64(HG_NR, t->n - j0));
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

/* ---- one row -----------------------------------------------------------------------------------
 */

/* The sums of 48 columns of one row from j on leave as those of a tile do. */
static void line_leave(const lmn_hgemm_block *t, int64_t j, const vf sums[3])
{
    const lmn_hgemm_head *h = t->head;
    vf v[3] = {sums[0], sums[1], sums[2]};
    const float *col = h && h->col ? h->col + j : NULL;
    if (h && h->out && !h->act) {
        leave_row(h, j, col, v, 3, 0xffff, false);
        return;
    }
    float *to = t->c + j, near[HG_NR] __attribute__((aligned(64)));
    if (h && h->out) to = near;
    for (int x = 0; x < 3; x++) {
        if (h && !h->out) {
            if (h->row) v[x] = vf_add(v[x], vf_set1(h->row[0]));
            if (col) v[x] = vf_add(v[x], vf_load(col + x * VF_LANES));
            if (h->full) v[x] = vf_add(v[x], vf_load(h->full + j + x * VF_LANES));
            v[x] = vf_min(vf_set1(h->hi), vf_max(vf_set1(h->lo), v[x]));
        }
        vf_store(to + x * VF_LANES, v[x]);
    }
    if (h && h->out) leave(h, near, 0, j, 1, HG_NR);
}

/* One row by four panels, `apart` columns from each other, which hardware follows as four streams;
   a line of each one's page to come is fetched. */
static void line_run(const lmn_hgemm_block *t, int64_t j, int64_t apart)
{
    enum { TOUCH_K = 32, AHEAD = 16384 / sizeof(uint16_t) }; /* each 3 of 4 KiB; of each stream */
    const uint16_t *a = t->a, *b0 = (const uint16_t *)t->b + j / HG_NR * t->b_panel;
    const int64_t next = apart / HG_NR * t->b_panel;
    const uint16_t *b1 = b0 + next, *b2 = b1 + next, *b3 = b2 + next;
    vf acc[4][3];
#define EACH_PANEL(M) M(0) M(1) M(2) M(3)
#define PANEL_OPEN(q)                                                \
    {                                                                \
        const float *c = t->c + j + (q)*apart;                       \
        acc[q][0] = t->beta ? vf_load(c) : vf_zero();                \
        acc[q][1] = t->beta ? vf_load(c + VF_LANES) : vf_zero();     \
        acc[q][2] = t->beta ? vf_load(c + 2 * VF_LANES) : vf_zero(); \
    }
#define PANEL_TOUCH(q) __builtin_prefetch(b##q + AHEAD, 0, 2);
#define PANEL_STEP(q)                                       \
    acc[q][0] = pair_dot(acc[q][0], av, load32(b##q));      \
    acc[q][1] = pair_dot(acc[q][1], av, load32(b##q + 32)); \
    acc[q][2] = pair_dot(acc[q][2], av, load32(b##q + 64)); \
    b##q += PAIR * HG_NR;
    EACH_PANEL(PANEL_OPEN)
    int64_t k = 0;
    while (k + 1 < t->k - t->odd) {
        const int64_t end = lmn_min_i64(t->k - t->odd, k + TOUCH_K);
        EACH_PANEL(PANEL_TOUCH)
        for (; k + 1 < end; k += PAIR) {
            const __m512i av = pair_bcast(a + k);
            EACH_PANEL(PANEL_STEP)
        }
    }
    if (k < t->k) {
        const __m512i av = half_pair_bcast(a + k);
        EACH_PANEL(PANEL_STEP)
    }
    for (int q = 0; q < 4; q++) line_leave(t, j + q * apart, acc[q]);
}

void lmn_hgemm_bf16_block_avx512bf16(const lmn_hgemm_block *t)
{
    const int64_t apart = t->m == 1 ? t->n / (4 * HG_NR) * HG_NR : 0;
    for (int64_t j = 0; j < apart; j += HG_NR) line_run(t, j, apart);
    for (int64_t i = 0, m; i < t->m; i += m) {
        m = tile_rows(t->m - i);
        for (int64_t j = 4 * apart; j < t->n; j += HG_NR) run_tile(t, NULL, i, m, j);
    }
    if (t->c_past) vf_fence();
}

/* ---- windows -----------------------------------------------------------------------------------
 */

lmn_hgemm_lines_fn lmn_hgemm_bf16_lines_avx512bf16;

/* Outputs i .. of all lines, m of them, by the panels of columns j .. end - 1. */
static void lines_at(const lmn_hgemm_block *t, const lmn_hgemm_lines *l, int64_t i, int64_t m,
                     int64_t j, int64_t end)
{
    windows w = {.l = l};
    int64_t line = i / l->width, x = i % l->width;
    for (int64_t r = 0; r < m; r++) {
        w.a[r] = l->a + line * l->line + x * l->step;
        if (++x == l->width) x = 0, line++;
    }
    for (; j < end; j += HG_NR) run_tile(t, &w, i, m, j);
}

/* Panels from beyond L2 are met by all outputs before the next one is, which is fetched then. */
void lmn_hgemm_bf16_lines_avx512bf16(const lmn_hgemm_lines *l)
{
    lmn_hgemm_block t = {.b = l->b,
                         .b_panel = l->b_panel,
                         .lda = l->step,
                         .m = l->width * l->n_lines,
                         .n = l->n,
                         .k = l->k,
                         .head = l->head};
    if (l->b_far) t.b_next = l->b + l->b_panel, t.n_next = l->n - HG_NR;
    const int64_t step = l->b_far ? HG_NR : l->n;
    for (int64_t j = 0; j < l->n; j += step)
        for (int64_t i = 0, m; i < t.m; i += m) {
            m = tile_rows(t.m - i);
            lines_at(&t, l, i, m, j, j + step);
        }
}
