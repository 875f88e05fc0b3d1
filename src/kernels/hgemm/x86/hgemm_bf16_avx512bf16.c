/*
 * bf16 hgemm row on vdpbf16ps: register tile 8 x 48, two k a step (24 accumulators, 3 of B, one
 * broadcast pair of A). The instruction adds two products to a sum of f32, rounds to nearest even
 * and flushes denormals, whatever the modes of the thread.
 */
#define HG_NR 48
#include "kernels/hgemm/hgemm_pair_tmpl.h"
#include "kernels/hgemm/hgemm_dots_tmpl.h"

HG_DEFINE(avx512bf16)

lmn_hgemm_small_fn lmn_hgemm_bf16_small_nt_wide_avx512bf16;

void lmn_hgemm_bf16_small_nt_wide_avx512bf16(const lmn_hgemm_small *t)
{
    wide_nt_run(t);
}

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

#include "kernels/hgemm/hgemm_tile_tmpl.h"

/* ---- few rows ----------------------------------------------------------------------------------
 */

/* The sums of 48 columns of row i from j on leave as those of a tile do. */
static void line_leave(const lmn_hgemm_block *t, int64_t i, int64_t j, const vf sums[3])
{
    const lmn_hgemm_head *h = t->head;
    vf v[3] = {sums[0], sums[1], sums[2]};
    const float *col = h && h->col ? h->col + j : NULL;
    if (h && h->out && !h->act) {
        leave_row(h, i * h->out_ld + j, col, v, 3, 0xffff, false);
        return;
    }
    float *to = t->c + i * t->ldc + j, near[HG_NR] __attribute__((aligned(64)));
    if (h && h->out) to = near;
    for (int x = 0; x < 3; x++) {
        if (h && !h->out) {
            const float *full = h->full ? h->full + i * h->full_ld + j : NULL;
            if (h->row) v[x] = vf_add(v[x], vf_set1(h->row[i]));
            if (col) v[x] = vf_add(v[x], vf_load(col + x * VF_LANES));
            if (full) v[x] = vf_add(v[x], vf_load(full + x * VF_LANES));
            v[x] = vf_min(vf_set1(h->hi), vf_max(vf_set1(h->lo), v[x]));
        }
        vf_store(to + x * VF_LANES, v[x]);
    }
    if (h && h->out) leave(h, near, i, j, 1, HG_NR);
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
    for (int q = 0; q < 4; q++) line_leave(t, 0, j + q * apart, acc[q]);
}

/* A few rows by two panels, `apart` columns from each other, every line of which is fetched. */
VF_INLINE void side_run(const lmn_hgemm_block *t, int64_t j, int64_t apart, const int rows)
{
    enum { AHEAD = 4096 / sizeof(uint16_t) };
    const uint16_t *a = t->a, *b = (const uint16_t *)t->b + j / HG_NR * t->b_panel;
    const uint16_t *b_side = b + apart / HG_NR * t->b_panel;
    const int64_t lda = t->lda;
    vf acc[4][6];
#define EACH_SIDE_ROW(M) M(0) M(1) M(2) M(3)
#define EACH_SIDE_V(M, i) M(i, 0) M(i, 1) M(i, 2) M(i, 3) M(i, 4) M(i, 5)
#define SIDE_OPEN_V(i, v)                                                                       \
    acc[i][v] = t->beta ? vf_load(t->c + (i)*t->ldc + j + (v) / 3 * apart + (v) % 3 * VF_LANES) \
                        : vf_zero();
#define SIDE_OPEN(i)                \
    if ((i) < rows) {               \
        EACH_SIDE_V(SIDE_OPEN_V, i) \
    }
#define SIDE_DOT(i, v) acc[i][v] = pair_dot(acc[i][v], av, w##v);
#define SIDE_STEP(i)                                    \
    if ((i) < rows) {                                   \
        const __m512i av = pair_bcast(a + (i)*lda + k); \
        EACH_SIDE_V(SIDE_DOT, i)                        \
    }
#define SIDE_ODD(i)                                          \
    if ((i) < rows) {                                        \
        const __m512i av = half_pair_bcast(a + (i)*lda + k); \
        EACH_SIDE_V(SIDE_DOT, i)                             \
    }
#define SIDE_B                                                                                   \
    const __m512i w0 = load32(b), w1 = load32(b + 32), w2 = load32(b + 64), w3 = load32(b_side), \
                  w4 = load32(b_side + 32), w5 = load32(b_side + 64);
#define SIDE_LEAVE(i) \
    if ((i) < rows) line_leave(t, i, j, acc[i]), line_leave(t, i, j + apart, acc[i] + 3);
    EACH_SIDE_ROW(SIDE_OPEN)
    int64_t k = 0;
    for (; k + 1 < t->k - t->odd; k += PAIR, b += PAIR * HG_NR, b_side += PAIR * HG_NR) {
        __builtin_prefetch(b + AHEAD), __builtin_prefetch(b_side + AHEAD);
        __builtin_prefetch(b + AHEAD + 32), __builtin_prefetch(b_side + AHEAD + 32);
        __builtin_prefetch(b + AHEAD + 64), __builtin_prefetch(b_side + AHEAD + 64);
        SIDE_B
        EACH_SIDE_ROW(SIDE_STEP)
    }
    if (k < t->k) {
        SIDE_B
        EACH_SIDE_ROW(SIDE_ODD)
    }
    EACH_SIDE_ROW(SIDE_LEAVE)
}

#define SIDE_DEFINE(rows)                                                                  \
    static __attribute__((noinline)) void side_##rows(const lmn_hgemm_block *t, int64_t j, \
                                                      int64_t apart)                       \
    {                                                                                      \
        side_run(t, j, apart, rows);                                                       \
    }
SIDE_DEFINE(2)
SIDE_DEFINE(3)
SIDE_DEFINE(4)

/* What rows of panels can be met side by side; the columns that were. */
static int64_t block_lines(const lmn_hgemm_block *t)
{
    typedef void side_fn(const lmn_hgemm_block *t, int64_t j, int64_t apart);
    static side_fn *const side[3] = {side_2, side_3, side_4};
    const int64_t panels = t->m == 1 ? 4 : t->side && t->m <= 4 ? 2 : 0;
    const int64_t apart = panels ? t->n / (panels * HG_NR) * HG_NR : 0;
    for (int64_t j = 0; j < apart; j += HG_NR)
        if (t->m == 1)
            line_run(t, j, apart);
        else
            side[t->m - 2](t, j, apart);
    return panels * apart;
}

void lmn_hgemm_bf16_block_avx512bf16(const lmn_hgemm_block *t)
{
    const int64_t done = block_lines(t);
    for (int64_t i = 0, m; i < t->m; i += m) {
        m = tile_rows(t->m - i);
        for (int64_t j = done; j < t->n; j += HG_NR) run_tile(t, NULL, i, m, j);
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
