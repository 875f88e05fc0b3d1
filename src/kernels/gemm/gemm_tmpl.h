/*
 * The gemm kernels on the vf_* words. Before including it, include simd_<isa>.h and define GEMM_MR
 * (<= 8), GEMM_NV (vectors in NR, <= 3), GEMM_SMALL_M (rows small_nn keeps broadcast), GEMM_DOT_M
 * and GEMM_DOT_N (<= 4; rows of A and of B that small_nt keeps), GEMM_HALF (1: tails of half a
 * vector pay), GEMM_EPI (1: there are epilogues), GEMM_TINY (1: a kernel for tiny products) and the
 * types gemm_block, gemm_terms and gemm_tiny. The words may be of f32 or f64.
 */
#ifndef LMN_KERNELS_GEMM_TMPL_H
#define LMN_KERNELS_GEMM_TMPL_H

#include "kernels/gemm/gemm.h"

enum { GEMM_NR = GEMM_NV * VF_LANES };

#include "kernels/gemm/gemm_tile_tmpl.h"
#include "kernels/gemm/gemm_pack_tmpl.h"
#include "kernels/gemm/gemm_small_tmpl.h"
#include "kernels/gemm/gemm_dots_tmpl.h"
#if GEMM_EPI
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/epi_tmpl.h"

/* Take what the tile can do off the front of the chain; returns the number of operations taken. */
static int32_t fuse_match(const lmn_epi *epi, fuse *f)
{
    const lmn_epi_op *op = epi->op, *end = epi->op + epi->n_ops;
    *f = (fuse){.on = true, .lo = -__builtin_inff(), .hi = __builtin_inff()};
    if (op < end && op->kind == LMN_EPI_ADD && op->bcast == LMN_EPI_ROW)
        f->row = (op++)->x;
    else if (op < end && op->kind == LMN_EPI_ADD && op->bcast == LMN_EPI_COL)
        f->col = (op++)->x;
    if (op < end && op->kind == LMN_EPI_ADD && op->bcast == LMN_EPI_FULL)
        f->full_ld = op->ld, f->full = (op++)->x;
    if (op < end && op->kind == LMN_EPI_RELU)
        f->lo = 0.0f, op++;
    else if (op < end && op->kind == LMN_EPI_CLIP)
        f->lo = op->p0, f->hi = (op++)->p1;
    return (int32_t)(op - epi->op);
}

/* The fuse of the tile at (i, j) of the block; ops 0 .. n_fused-1 of the chain made `whole`. */
VF_INLINE fuse fuse_at(const fuse *whole, const gemm_block *t, const lmn_epi_block *at)
{
    fuse f = *whole;
    const lmn_epi_op *op = t->epi->op;
    if (f.row || f.col) {
        const float *x = lmn_epi_operand(op++, at);
        if (f.row)
            f.row = x;
        else
            f.col = x;
    }
    if (f.full) f.full = lmn_epi_operand(op, at);
    return f;
}
#endif

/* What the tiles of one block share. */
typedef struct job {
    const gemm_block *t;
    fuse whole;
    lmn_epi rest;  /* of the epilogue, behind what the tile takes */
    int64_t width; /* of a panel */
    bool stream;
} job;

/* The panel at column j comes from b_from: true if tile_pack, prepared in *x, shall bring it. */
VF_INLINE bool bring_panel(const gemm_block *t, int64_t j, int64_t m, int64_t n, tile *x)
{
    vf_real *panel = (vf_real *)(uintptr_t)x->b; /* scratch of the caller: see gemm.h */
    if (m < GEMM_MR || n < GEMM_NR) {
        pack_nn_run(panel, t->b_from + j, t->b_from_ld, t->k, n);
        return false;
    }
    x->pack = panel;
    x->b = t->b_from + j;
    x->ldb = t->b_from_ld;
    x->far = t->k > PACK_ROWS ? PACK_ROWS * t->b_from_ld : GEMM_NR;
    return true;
}

/* One line of every page of a piece of the next B: all walks to pages at once, so that no fetch
   waits for one. */
VF_INLINE void touch_pieces(const vf_real *at, int64_t n, int64_t step)
{
    for (int64_t q = 0; q < n; q++) __builtin_prefetch(at + q * step, 0, 2);
}

/* The tiles of a block share the fetching of the next B, so that memory works while they compute.
   Of a row-major B, LINE of them bring a piece of every row, which comes as one from memory; of the
   transpose of B they bring a piece of a row and then of the next, of panels piece after piece, and
   first a line of every page, so that no piece waits for a walk to its page. */
static void fetch_next(const gemm_block *t, int64_t nth, tile *x)
{
    const int64_t lines = t->k / LINE, wide = SOON_DENSE * SOON;
    if (lines == 0) return;
    if (t->b_from) {
        const int64_t column = nth / LINE * SOON;
        if (column >= t->b_next_n) return;
        x->soon = t->b_next + nth % LINE * lines * t->b_from_ld + column;
        x->soon_step = t->b_from_ld;
        return;
    }
    const int64_t across = (t->k + wide - 1) / wide, down = (GEMM_NR * LINE + wide - 1) / wide;
    const int64_t row = nth / across * lines, panel = nth / down;
    if ((t->b_next_ld ? row : panel * GEMM_NR) >= t->b_next_n) return;
    if (t->b_next_ld) {
        x->soon = t->b_next + row * t->b_next_ld + nth % across * wide;
        x->soon_step = t->b_next_ld;
        for (int64_t q = 0; nth % across == 0 && q < lines; q++)
            __builtin_prefetch(x->soon + q * t->b_next_ld, 0, 2);
    } else {
        x->soon = t->b_next + panel * t->b_panel + nth % down * lines * wide;
        x->soon_step = wide;
        for (int64_t q = 0; q < lines * wide; q += PAGE) __builtin_prefetch(x->soon + q, 0, 2);
    }
}

/* What any tile at row i and column j begins with. */
VF_INLINE tile tile_at(const job *w, int64_t i, int64_t j, int64_t n)
{
    const gemm_block *t = w->t;
    tile x;
    x.a_at = i * t->lda;
    x.b_at = t->b_panel == GEMM_NR ? j : j / GEMM_NR * t->b_panel;
    x.terms = t->terms;
    x.a = (t->terms ? term_a(t->terms, 0) : t->a) + x.a_at, x.lda = t->lda;
    x.b = (t->terms ? term_b(t->terms, 0) : t->b) + x.b_at, x.ldb = t->ldb;
    x.c = t->c + i * t->ldc + j, x.ldc = t->ldc;
    x.k = t->k, x.n = n;
    x.ahead = LINE;
    if (t->lda * (int64_t)sizeof(vf_real) % 4096 == 0)
        x.ahead = t->a_far ? FAR_LINES * LINE : LINE;
    else if (j == 0)
        x.ahead = GEMM_MR * t->lda;
    x.soon = x.a, x.soon_step = 0;
    x.beta = t->beta;
    x.stream = w->stream;
    x.far = x.last = 0, x.pack = NULL;
    x.run = 1, x.step = t->b_panel;
#if GEMM_EPI
    x.f.on = false;
#endif
    return x;
}

VF_INLINE void whole_tiles(const gemm_block *t, tile *x)
{
#if GEMM_EPI
    if (t->terms && t->terms->b_rows) {
        x->b = t->terms->b + x->b_at;
        tile_rows(x);
        return;
    }
#endif
    (void)t;
    tile_pick(GEMM_MR, GEMM_NR)(x);
}

/* C of the tiles below those at row i and columns j to j + n, into L2: rows of C are too far apart
   for the hardware to foresee, and where they are read before they are written a tile waits. */
VF_INLINE void fetch_below(const job *w, int64_t i, int64_t j, int64_t n)
{
    const gemm_block *t = w->t;
    if (w->stream || t->m * t->ldc < FAR_C || i + 2 * GEMM_MR > t->m) return;
    const vf_real *c = t->c + (i + GEMM_MR) * t->ldc + j;
    for (int64_t r = 0; r < GEMM_MR; r++)
        for (int64_t q = 0; q < n; q += LINE) __builtin_prefetch(c + r * t->ldc + q, 0, 2);
}

/* The tile of m rows at row i and n columns at column j. */
VF_INLINE void block_tile(const job *w, int64_t i, int64_t m, int64_t j, int64_t n)
{
    const gemm_block *t = w->t;
    tile x = tile_at(w, i, j, n);
#if GEMM_EPI
    const lmn_epi_block e = {x.c, t->ldc, t->row + i, t->col + j, m, n, t->item};
    const bool fused = w->whole.on && n == GEMM_NR; /* narrower tiles do it in memory */
    if (fused)
        x.f = fuse_at(&w->whole, t, &e), fetch_ends(&x, m);
    else
#endif
        fetch_below(w, i, j, n);
    if (t->b_next) {
        const int64_t panels = (t->n + GEMM_NR - 1) / GEMM_NR;
        fetch_next(t, i / GEMM_MR * panels + j / GEMM_NR, &x);
    }
    if (i == 0 && t->b_from && bring_panel(t, j, m, n, &x)) {
        tile_pack(&x);
    } else if (t->b_run && n == GEMM_NR && m < GEMM_MR) {
        x.far = TOUCH;
        tile_pick(m, n)(&x);
    } else if (i == 0 && t->b_far && n == GEMM_NR) {
        x.far = t->k > FAR_ROWS ? FAR_ROWS * t->ldb : GEMM_NR;
        tile_fetch[m - 1](&x);
    } else if (m == GEMM_MR && n == GEMM_NR && t->ldb == GEMM_NR && t->b_next && !t->b_from) {
        tile_dense(&x);
    } else if (i == 0 && m == GEMM_MR && n == GEMM_NR && t->ldb == GEMM_NR) {
        tile_panel(&x); /* for the rows below L2 holds it */
    } else if (m == GEMM_MR && n == GEMM_NR) {
        whole_tiles(t, &x);
    } else {
        tile_pick(m, n)(&x);
    }
#if GEMM_EPI
    if (w->rest.n_ops && fused)
        epi_apply(&w->rest, &e);
    else if (t->epi && !fused)
        epi_apply(t->epi, &e);
#endif
}

/* The panels of one group of rows. */
VF_INLINE void block_row(const job *w, int64_t i, int64_t m)
{
    const gemm_block *t = w->t;
    int64_t j = 0;
    const bool brings = i == 0 && (t->b_from || t->b_far || t->ldb == GEMM_NR); /* B to L2 */
    bool alike = !brings && !t->b_next && m == GEMM_MR && w->width == GEMM_NR && t->n >= GEMM_NR;
#if GEMM_EPI
    alike = alike && (!t->epi || (w->whole.on && w->rest.n_ops == 0));
#endif
    if (alike) {
        tile x = tile_at(w, i, 0, GEMM_NR);
#if GEMM_EPI
        const lmn_epi_block e = {x.c, t->ldc, t->row + i, t->col, m, GEMM_NR, t->item};
        if (w->whole.on) x.f = fuse_at(&w->whole, t, &e), fetch_ends(&x, m);
#endif
        x.run = t->n / GEMM_NR, j = x.run * GEMM_NR;
        whole_tiles(t, &x);
    }
    for (; j < t->n; j += w->width) block_tile(w, i, m, j, lmn_min_i64(w->width, t->n - j));
}

/* Rows are dealt evenly to the tiles, but where the first tile must be whole to pack, or whole
   tiles fetch the next B. */
static void block_rows(const job *w)
{
    const gemm_block *t = w->t;
    int64_t left = (t->m + GEMM_MR - 1) / GEMM_MR;
    for (int64_t i = 0, m; i < t->m; i += m, left--) {
        m = t->m - i;
        const bool whole = t->b_from || t->b_next || m >= 4 * GEMM_MR;
        if (m > GEMM_MR) m = whole ? GEMM_MR : (m + left - 1) / left;
        block_row(w, i, m);
    }
}

/* Few rows: a panel of B is used by all of them before the next. */
static void block_columns(const job *w)
{
    const gemm_block *t = w->t;
    const int64_t groups = (t->m + GEMM_MR - 1) / GEMM_MR;
    for (int64_t j = 0; j < t->n; j += w->width) {
        int64_t left = groups;
        for (int64_t i = 0, m; i < t->m; i += m, left--) {
            m = (t->m - i + left - 1) / left;
            block_tile(w, i, m, j, lmn_min_i64(w->width, t->n - j));
        }
    }
}

#if GEMM_WIDE
/* 64 columns by groups of six rows. What is to be packed is packed first; an even number of rows
   that six does not divide ends with one or two groups of eight. */
static void block_wide(const job *w)
{
    const gemm_block *t = w->t;
    const bool panels = t->b_panel != GEMM_NR;
    vf_real *to = (vf_real *)(uintptr_t)t->b; /* with b_from: scratch of the caller, see gemm.h */
    if (t->b_from) {
        pack_nn_run(to, t->b_from, t->b_from_ld, t->k, GEMM_NR);
        pack_nn_run(to + t->b_panel, t->b_from + GEMM_NR, t->b_from_ld, t->k, VF_LANES);
    }
    const int64_t over = t->m % WIDE_MR, end = t->m - (over % 2 ? 0 : over / 2 * GEMM_MR);
    int64_t i = 0;
    for (; i + WIDE_MR <= end; i += WIDE_MR) {
        tile x = tile_at(w, i, 0, WIDE_NR);
        x.last = panels ? t->b_panel : GEMM_NR;
        if (t->b_next && t->b_from) fetch_next(t, i / WIDE_MR, &x);
        tile_wide(&x);
#if GEMM_EPI
        const lmn_epi_block e = {x.c, t->ldc, t->row + i, t->col, WIDE_MR, WIDE_NR, t->item};
        if (t->epi) epi_apply(t->epi, &e);
#endif
    }
    for (; i < t->m; i += GEMM_MR) {
        const int64_t m = lmn_min_i64(GEMM_MR, t->m - i);
        block_tile(w, i, m, 0, GEMM_NR);
        block_tile(w, i, m, GEMM_NR, VF_LANES);
    }
}
#endif

/* Row-major B may be cut anywhere: 64 columns are 32 and 32, not 48 and 16. */
VF_INLINE int64_t panel_width(const gemm_block *t)
{
    if (t->b_panel != GEMM_NR || t->b_from || t->n <= GEMM_NR) return GEMM_NR;
    const int64_t vectors = (t->n + VF_LANES - 1) / VF_LANES;
    const int64_t panels = (vectors + GEMM_NV - 1) / GEMM_NV;
    return panels >= GEMM_NV ? GEMM_NR : (vectors + panels - 1) / panels * VF_LANES;
}

static void block_run(const gemm_block *t)
{
    if (t->m <= 0) return;
    job w;
    w.t = t;
    w.whole.on = false, w.rest.n_ops = 0;
    lmn_assert(!t->terms || !t->b_from);
#if GEMM_EPI
    if (t->epi) {
        int32_t n = fuse_match(t->epi, &w.whole);
        for (; n < t->epi->n_ops; n++) w.rest.op[w.rest.n_ops++] = t->epi->op[n];
    }
#else
    lmn_assert(!t->epi);
#endif
    const uintptr_t spread = (uintptr_t)t->c | (uintptr_t)t->ldc * sizeof(vf_real);
    w.stream = t->c_past && !t->epi && spread % 64 == 0;
    w.width = panel_width(t);
#if GEMM_WIDE
    if (t->n == WIDE_NR && t->m >= 4 * GEMM_MR && !t->b_far)
        block_wide(&w);
    else
#endif
        if (t->m <= GEMM_MR)
        block_row(&w, 0, t->m);
    else if (t->b_far)
        block_columns(&w);
    else
        block_rows(&w);
    if (w.stream) vf_fence();
}

/* The functions of a row, named after its family, type and ISA; real: its element. */
#define GEMM_DEFINE(family, dt, real, isa)                                                  \
    lmn_##family##_block_fn lmn_##family##_##dt##_block_##isa,                              \
        lmn_##family##_##dt##_small_nn_##isa, lmn_##family##_##dt##_small_nt_##isa;         \
    lmn_##family##_pack_fn lmn_##family##_##dt##_pack_nn_##isa,                             \
        lmn_##family##_##dt##_pack_nt_##isa;                                                \
    void lmn_##family##_##dt##_block_##isa(const lmn_##family##_block *t)                   \
    {                                                                                       \
        block_run(t);                                                                       \
    }                                                                                       \
    void lmn_##family##_##dt##_small_nn_##isa(const lmn_##family##_block *t)                \
    {                                                                                       \
        small_nn_run(t);                                                                    \
    }                                                                                       \
    void lmn_##family##_##dt##_small_nt_##isa(const lmn_##family##_block *t)                \
    {                                                                                       \
        small_nt_run(t);                                                                    \
    }                                                                                       \
    void lmn_##family##_##dt##_pack_nn_##isa(real *restrict packed, const real *restrict b, \
                                             int64_t ldb, int64_t k, int64_t n)             \
    {                                                                                       \
        pack_nn_run(packed, b, ldb, k, n);                                                  \
    }                                                                                       \
    void lmn_##family##_##dt##_pack_nt_##isa(real *restrict packed, const real *restrict b, \
                                             int64_t ldb, int64_t k, int64_t n)             \
    {                                                                                       \
        pack_nt_run(packed, b, ldb, k, n);                                                  \
    }
#define GEMM_DEFINE_EPI(isa)                                                    \
    lmn_epi_fn lmn_gemm_f32_epi_##isa;                                          \
    void lmn_gemm_f32_epi_##isa(const lmn_epi *epi, const lmn_epi_block *block) \
    {                                                                           \
        epi_apply(epi, block);                                                  \
    }

#endif
