/*
 * The register tile of the gemm kernels: GEMM_MR x GEMM_NR of C in accumulators while k passes. All
 * loops over rows and vectors are spelled out by macros with literal indices, so that accumulators
 * live in registers and nowhere else. Included by gemm_tmpl.h, which says what must be defined.
 */
#ifndef LMN_KERNELS_GEMM_TILE_TMPL_H
#define LMN_KERNELS_GEMM_TILE_TMPL_H

/*
 * The head of an epilogue that the tile applies in registers: bias of a row or a column, then a
 * residual, then a clip; anything but this order stays in memory (epi_tmpl.h), with the same bits.
 */
typedef struct fuse {
    bool on;
    const vf_real *row, *col, *full; /* NULL = none */
    int64_t full_ld;
    vf_real lo, hi; /* -inf, +inf = no clip, and then min(hi, max(lo, v)) is v, NaN included */
} fuse;

/* One register tile, all sizes already cut; n only matters to the masked forms. */
typedef struct tile {
    const vf_real *a;
    int64_t lda;
    const vf_real *b;
    int64_t ldb;
    int64_t far;   /* tile_pack, tile_fetch: from a row of B to what is prefetched; tiles of fewer
                      rows: for every line of k */
    int64_t run;   /* whole tiles side by side ... */
    int64_t step;  /* ... whose B begins so far from that of the last one */
    int64_t last;  /* tile_wide: from a row of B to its last vector */
    vf_real *pack; /* tile_pack: each row of B that is read goes here too, GEMM_NR apart */
    vf_real *c;
    int64_t ldc;
    int64_t k, n;
    int64_t ahead;       /* what lies so far from each row of A is prefetched */
    const vf_real *soon; /* SOON elements here for every LINE of k are brought to L2 */
    int64_t soon_step;   /* from one such piece to the next */
    int32_t beta;
    bool stream;             /* C goes past the caches; only whole vectors, aligned */
    const gemm_terms *terms; /* NULL = one product */
    int64_t a_at, b_at;      /* with terms: of the tile in each of their operands */
    fuse f;                  /* of this tile: operands already at its corner */
} tile;
typedef void tile_fn(tile *t); /* keeps nothing of *t */

#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

enum {
    LINE = 64 / sizeof(vf_real),   /* elements of a cache line */
    PAGE = 4096 / sizeof(vf_real), /* elements of a page */
    /* Rows of B from its own place: so many ahead cover the latency of DRAM. Where there are
       fewer, the next panel is fetched instead. */
    FAR_ROWS = 32,
    PACK_ROWS = 8, /* ... to L1, of those that L2 holds: more would meet in a set if 4 KiB apart */
    FAR_LINES = 8, /* of rows of A from memory that the next ones must not be fetched beside */
    FAR_C = 1 << 16, /* elements that the rows of C of a block span, and L2 may have lost */
    TOUCH = 4 * PAGE /* of a run that the hardware follows, but for the end of a page */
};

/* How the last vector of a tile is used, and what is done to B on the way. */
enum { TAIL_WHOLE, TAIL_MASK, TAIL_HALF };
enum {
    B_READ,  /* rows ldb apart */
    B_FETCH, /* rows ldb apart, and later ones fetched */
    B_PACK,  /* so, and each row read goes into a panel too */
    B_PANEL, /* rows GEMM_NR apart */
    B_DENSE, /* so, and more of the next B is fetched */
    B_ROWS   /* each where the list of the terms says */
};

/* Operands of term q, before the tile's own place in them. */
VF_INLINE const vf_real *term_a(const gemm_terms *s, int64_t q)
{
    return s->a_list ? s->a_list[q] : s->a + (s->a_off ? s->a_off[q] : q * s->a_step);
}
VF_INLINE const vf_real *term_b(const gemm_terms *s, int64_t q)
{
    return s->b_list ? s->b_list[q] : s->b + (s->b_off ? s->b_off[q] : q * s->b_step);
}

/* mr, nv, tail_kind, b_kind are constants at every call. */
VF_INLINE void tile_run(const tile *t, const int mr, const int nv, const int tail_kind,
                        const int b_kind)
{
    const vf_real *a[8], *b = t->b;
    vf acc[8][3];
    const vm tail = vm_first(t->n - (nv - 1) * VF_LANES);
    const int64_t n_k = t->k, ldb = t->ldb;
#define LAST(v) (tail_kind != TAIL_WHOLE && (v) == nv - 1)
#define TILE_LOAD(v, p) \
    (!LAST(v) ? vf_load(p) : (tail_kind == TAIL_HALF) ? vf_loadm_lo(p, tail) : vf_loadm(p, tail))
#define TILE_FMA(v, x, y, z) \
    (LAST(v) && tail_kind == TAIL_HALF ? vf_fma_lo(x, y, z) : vf_fma(x, y, z))
#define TILE_OPEN_V(i, v) \
    if ((v) < nv) acc[i][v] = t->beta ? TILE_LOAD(v, c + (v)*VF_LANES) : vf_zero();
#define TILE_OPEN(i)                                          \
    if ((i) < mr) {                                           \
        a[i] = t->a + (i)*t->lda;                             \
        const vf_real *c = t->c + (i)*ldc;                    \
        TILE_OPEN_V(i, 0) TILE_OPEN_V(i, 1) TILE_OPEN_V(i, 2) \
    }
#define TILE_STEP(i)                                            \
    if ((i) < mr) {                                             \
        vf av = vf_bcast(a[i] + p);                             \
        acc[i][0] = TILE_FMA(0, av, b0, acc[i][0]);             \
        if (nv > 1) acc[i][1] = TILE_FMA(1, av, b1, acc[i][1]); \
        if (nv > 2) acc[i][2] = TILE_FMA(2, av, b2, acc[i][2]); \
    }
#define TILE_EACH_V(i, OP, x0, x1, x2)             \
    if ((i) < mr) {                                \
        acc[i][0] = OP(x0, acc[i][0]);             \
        if (nv > 1) acc[i][1] = OP(x1, acc[i][1]); \
        if (nv > 2) acc[i][2] = OP(x2, acc[i][2]); \
    }
#define TILE_ADD_ROW(i)                    \
    if ((i) < mr) {                        \
        const vf rv = vf_set1(row[i]);     \
        TILE_EACH_V(i, vf_add, rv, rv, rv) \
    }
#define TILE_ADD_COL(i) TILE_EACH_V(i, vf_add, c0v, c1v, c2v)
#define TILE_ADD_FULL(i)                                                                     \
    if ((i) < mr) {                                                                          \
        const vf_real *x = full + (i)*t->f.full_ld;                                          \
        TILE_EACH_V(i, vf_add, vf_load(x), vf_load(x + VF_LANES), vf_load(x + 2 * VF_LANES)) \
    }
#define TILE_MAX(i) TILE_EACH_V(i, vf_max, lo, lo, lo)
#define TILE_MIN(i) TILE_EACH_V(i, vf_min, hi, hi, hi)
/* Of whole vectors. Pass after pass: an operation that is not there costs nothing, and a bound at
   infinity changes nothing. */
#define TILE_FUSE                                                                      \
    {                                                                                  \
        const vf_real *row = t->f.row, *col = t->f.col, *full = t->f.full;             \
        if (row) {                                                                     \
            EACH_ROW(TILE_ADD_ROW)                                                     \
        }                                                                              \
        if (col) {                                                                     \
            const vf c0v = vf_load(col), c1v = nv > 1 ? vf_load(col + VF_LANES) : c0v, \
                     c2v = nv > 2 ? vf_load(col + 2 * VF_LANES) : c0v;                 \
            EACH_ROW(TILE_ADD_COL)                                                     \
            (void)c1v, (void)c2v;                                                      \
        }                                                                              \
        if (full) {                                                                    \
            EACH_ROW(TILE_ADD_FULL)                                                    \
        }                                                                              \
        if (t->f.lo > -__builtin_inff()) {                                             \
            const vf lo = vf_set1(t->f.lo);                                            \
            EACH_ROW(TILE_MAX)                                                         \
        }                                                                              \
        if (t->f.hi < __builtin_inff()) {                                              \
            const vf hi = vf_set1(t->f.hi);                                            \
            EACH_ROW(TILE_MIN)                                                         \
        }                                                                              \
    }
#define TILE_CLOSE_V(i, v)                                   \
    if ((v) < nv) {                                          \
        if (!LAST(v))                                        \
            vf_store(c + (v)*VF_LANES, acc[i][v]);           \
        else if (tail_kind == TAIL_HALF)                     \
            vf_storem_lo(c + (v)*VF_LANES, tail, acc[i][v]); \
        else                                                 \
            vf_storem(c + (v)*VF_LANES, tail, acc[i][v]);    \
    }
#define TILE_CLOSE(i)                                            \
    if ((i) < mr) {                                              \
        vf_real *c = t->c + (i)*ldc;                             \
        TILE_CLOSE_V(i, 0) TILE_CLOSE_V(i, 1) TILE_CLOSE_V(i, 2) \
    }
#define TILE_STREAM_V(i, v) \
    if ((v) < nv) vf_stream(c + (v)*VF_LANES, acc[i][v]);
#define TILE_STREAM(i)                                              \
    if ((i) < mr) {                                                 \
        vf_real *c = t->c + (i)*ldc;                                \
        TILE_STREAM_V(i, 0) TILE_STREAM_V(i, 1) TILE_STREAM_V(i, 2) \
    }
#define TILE_B(v) ((v) >= nv ? vf_zero() : TILE_LOAD(v, b + (v)*VF_LANES))
#define TILE_K                                             \
    {                                                      \
        vf b0 = TILE_B(0), b1 = TILE_B(1), b2 = TILE_B(2); \
        EACH_ROW(TILE_STEP)                                \
        (void)b1, (void)b2;                                \
        if (b_kind == B_FETCH) TILE_FETCH                  \
        p++, b += ldb;                                     \
    }
#define TILE_AHEAD(i) \
    if ((i) < mr) __builtin_prefetch(a[i] + p + ahead);
#define TILE_FETCH                                                                   \
    {                                                                                \
        const vf_real *from = b + far;                                               \
        __builtin_prefetch(from, 0, 2);                                              \
        if ((int)GEMM_NR > (int)LINE) __builtin_prefetch(from + LINE, 0, 2);         \
        if ((int)GEMM_NR > 2 * (int)LINE) __builtin_prefetch(from + 2 * LINE, 0, 2); \
    }
    const int64_t ahead = t->ahead, far = t->far;
    (void)far;
    int64_t ldc = t->ldc;
    EACH_ROW(TILE_OPEN)
    int64_t term = 0;
    for (;;) {
        int64_t p = 0;
        while (p < n_k) { /* these tiles are many and rare: compact, a line of A at a time */
            const int64_t stop = lmn_min_i64(p + LINE, n_k);
            EACH_ROW(TILE_AHEAD)
            if (b_kind == B_READ && tail_kind == TAIL_WHOLE) __builtin_prefetch(b + far, 0, 2);
#pragma GCC unroll 1
            while (p < stop) TILE_K
        }
        if (!t->terms || ++term >= t->terms->n) break;
        const vf_real *next = term_a(t->terms, term) + t->a_at;
        b = term_b(t->terms, term) + t->b_at;
#define TILE_TERM(i) \
    if ((i) < mr) a[i] = next + (i)*t->lda;
        EACH_ROW(TILE_TERM)
    }
    ldc = t->ldc; /* the rows of C are found anew: registers are few */
#if GEMM_EPI
    if (tail_kind == TAIL_WHOLE && t->f.on) TILE_FUSE
#endif
    if (tail_kind == TAIL_WHOLE && t->stream) {
        EACH_ROW(TILE_STREAM)
    } else {
        EACH_ROW(TILE_CLOSE)
    }
}

#include "kernels/gemm/gemm_whole_tmpl.h"

/* Where three vectors are a panel, six rows by four are as many sums with fewer loads of A: 64
   columns are one such tile and not 48 and 16. */
#define GEMM_WIDE (GEMM_NV == 3)
enum { WIDE_MR = 6, WIDE_NV = 4, WIDE_NR = WIDE_NV * VF_LANES };

#if GEMM_EPI
/* What the tile writes and adds at its end comes while it multiplies: rows of C are too far apart
   for the hardware to foresee. */
VF_INLINE void fetch_ends(const tile *t, int64_t m)
{
    for (int64_t r = 0; r < m; r++) {
        for (int64_t j = 0; j < GEMM_NR; j += LINE) {
            __builtin_prefetch(t->c + r * t->ldc + j, 1);
            if (t->f.full) __builtin_prefetch(t->f.full + r * t->f.full_ld + j);
        }
    }
}
#endif

/* t->run whole tiles: what a call of each would do between two of them is dear where k is short. */
VF_INLINE void tiles_run(tile *t, const int b_kind)
{
    for (;;) {
        whole_run(t, GEMM_MR, GEMM_NV, TAIL_WHOLE, b_kind);
        if (--t->run <= 0) return;
        t->b += t->step, t->b_at += t->step, t->c += GEMM_NR, t->ahead = LINE;
#if GEMM_EPI
        if (!t->f.on) continue;
        if (t->f.col) t->f.col += GEMM_NR;
        if (t->f.full) t->f.full += GEMM_NR;
        fetch_ends(t, GEMM_MR);
#endif
    }
}

/* tile_<rows>_<vectors>{,h}: masked, h: at most half of the last vector; tile_<rows>_full: NV whole
   vectors; tile_<rows>_fetch: so, and B comes from memory. tile_panel and tile_pack are whole. */
#define TILE_FORM(mr, name, nv, tail_kind, b_kind)                          \
    static void tile_##mr##_##name(tile *t)                                 \
    {                                                                       \
        if (mr == GEMM_MR && tail_kind == TAIL_WHOLE && b_kind == B_READ)   \
            tiles_run(t, B_READ);                                           \
        else if (mr == GEMM_MR && (tail_kind == TAIL_WHOLE || GEMM_NV > 2)) \
            whole_run(t, mr, nv, tail_kind, b_kind);                        \
        else                                                                \
            tile_run(t, mr, nv, tail_kind, b_kind);                         \
    }
#if GEMM_HALF
#define TILE_HALVES(mr)                     \
    TILE_FORM(mr, 1h, 1, TAIL_HALF, B_READ) \
    TILE_FORM(mr, 2h, 2, TAIL_HALF, B_READ) \
    TILE_FORM(mr, 3h, 3, TAIL_HALF, B_READ)
#define TILE_ENTRY(mr)                                                                  \
    {                                                                                   \
        tile_##mr##_full, tile_##mr##_1h, tile_##mr##_1, tile_##mr##_2h, tile_##mr##_2, \
            tile_##mr##_3h, tile_##mr##_3                                               \
    }
enum { TILE_UNIT = VF_LANES / 2, TILE_FORMS = 7 };
#elif GEMM_NV > 2
#define TILE_HALVES(mr)
#define TILE_ENTRY(mr)                                                \
    {                                                                 \
        tile_##mr##_full, tile_##mr##_1, tile_##mr##_2, tile_##mr##_3 \
    }
enum { TILE_UNIT = VF_LANES, TILE_FORMS = 4 };
#else
#define TILE_HALVES(mr)
#define TILE_ENTRY(mr)                                 \
    {                                                  \
        tile_##mr##_full, tile_##mr##_1, tile_##mr##_2 \
    }
enum { TILE_UNIT = VF_LANES, TILE_FORMS = 3 };
#endif
#if GEMM_NV > 2
#define TILE_THREE(mr) TILE_FORM(mr, 3, 3, TAIL_MASK, B_READ)
#else
#define TILE_THREE(mr)
#endif
#define TILE_DEFINE(mr)                                \
    TILE_FORM(mr, 1, 1, TAIL_MASK, B_READ)             \
    TILE_FORM(mr, 2, 2, TAIL_MASK, B_READ)             \
    TILE_FORM(mr, full, GEMM_NV, TAIL_WHOLE, B_READ)   \
    TILE_FORM(mr, fetch, GEMM_NV, TAIL_WHOLE, B_FETCH) \
    TILE_THREE(mr)                                     \
    TILE_HALVES(mr)
TILE_DEFINE(1)
TILE_DEFINE(2)
TILE_DEFINE(3)
TILE_DEFINE(4)
TILE_DEFINE(5)
TILE_DEFINE(6)
#if GEMM_MR > 6
TILE_DEFINE(7)
TILE_DEFINE(8)
#define TILE_ROWS(M)                                   \
    {                                                  \
        M(1), M(2), M(3), M(4), M(5), M(6), M(7), M(8) \
    }
#else
#define TILE_ROWS(M)                       \
    {                                      \
        M(1), M(2), M(3), M(4), M(5), M(6) \
    }
#endif
#define TILE_FETCHES(mr) tile_##mr##_fetch
static tile_fn *const tile_table[GEMM_MR][TILE_FORMS] = TILE_ROWS(TILE_ENTRY);
static tile_fn *const tile_fetch[GEMM_MR] = TILE_ROWS(TILE_FETCHES);

/* The tile for m rows and n columns. */
VF_INLINE tile_fn *tile_pick(int64_t m, int64_t n)
{
    return tile_table[m - 1][n == GEMM_NR ? 0 : (n + TILE_UNIT - 1) / TILE_UNIT];
}

#if GEMM_EPI
static void tile_rows(tile *t)
{
    tiles_run(t, B_ROWS);
}
#endif
static void tile_panel(tile *t)
{
    whole_run(t, GEMM_MR, GEMM_NV, TAIL_WHOLE, B_PANEL);
}
static void tile_dense(tile *t)
{
    whole_run(t, GEMM_MR, GEMM_NV, TAIL_WHOLE, GEMM_NV > 2 ? B_DENSE : B_PANEL);
}
#if GEMM_WIDE
static void tile_wide(tile *t)
{
    whole_run(t, WIDE_MR, WIDE_NV, TAIL_WHOLE, B_READ);
}
#endif
static void tile_pack(tile *t)
{
    whole_run(t, GEMM_MR, GEMM_NV, TAIL_WHOLE, B_PACK);
}

#endif
