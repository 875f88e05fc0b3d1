/*
 * The gemm kernels on the vf_* words. Before including it, include simd_<isa>.h and define GEMM_MR
 * (<= 8), GEMM_NV (vectors in NR, <= 3), GEMM_SMALL_M (rows small_nn keeps broadcast) and
 * GEMM_DOT_M (rows of small_nt). All loops over rows and vectors of a tile are spelled out by
 * macros with literal indices, so that the accumulators live in registers and nowhere else.
 */
#ifndef LMN_KERNELS_GEMM_TMPL_H
#define LMN_KERNELS_GEMM_TMPL_H

#include "kernels/gemm/gemm.h"
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/epi_tmpl.h"

enum { GEMM_NR = GEMM_NV * VF_LANES };

/*
 * The head of an epilogue that the tile applies in registers: bias of a row or a column, then a
 * residual, then a clip; anything but this order stays in memory (epi_tmpl.h), with the same bits.
 */
typedef struct fuse {
    bool on;
    const float *row, *col, *full; /* NULL = none */
    int64_t full_ld;
    float lo, hi; /* -inf, +inf = no clip, and then min(hi, max(lo, v)) is v, NaN included */
} fuse;

/* One register tile, all sizes already cut; n only matters to the masked forms. */
typedef struct tile {
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    int64_t far; /* tile_pack: from a row of B to what is prefetched */
    float *pack; /* tile_pack: each row of B that is read goes here too, GEMM_NR apart */
    float *c;
    int64_t ldc;
    int64_t k, n;
    int64_t ahead;     /* rows this far down are prefetched: the next tile's, or 0 */
    const float *soon; /* a line here for every four k is brought to L2, soon_step apart */
    int64_t soon_step;
    int32_t beta;
    fuse f; /* of this tile: operands already at its corner */
} tile;
typedef void tile_fn(const tile *t);

#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

/* Rows of B from its own place: so many ahead cover the latency of DRAM. Where there are fewer, the
   next panel is fetched instead. */
enum { PACK_AHEAD = 32 };

/* mr, nv, masked, pack are constants at every call; masked: the last vector is partial. */
VF_INLINE void tile_run(const tile *t, const int mr, const int nv, const bool masked,
                        const bool pack)
{
    const float *a[8], *b = t->b;
    float *c[8];
    vf acc[8][3];
    const vm tail = vm_first(t->n - (nv - 1) * VF_LANES);
    const int64_t n_k = t->k, ldb = t->ldb;
#define LAST(v) (masked && (v) == nv - 1)
#define TILE_OPEN_V(i, v)                                           \
    if ((v) < nv)                                                   \
        acc[i][v] = !t->beta  ? vf_zero()                           \
                    : LAST(v) ? vf_loadm(c[i] + (v)*VF_LANES, tail) \
                              : vf_load(c[i] + (v)*VF_LANES);
#define TILE_OPEN(i)                                          \
    if ((i) < mr) {                                           \
        a[i] = t->a + (i)*t->lda;                             \
        c[i] = t->c + (i)*t->ldc;                             \
        TILE_OPEN_V(i, 0) TILE_OPEN_V(i, 1) TILE_OPEN_V(i, 2) \
    }
#define TILE_STEP(i)                                       \
    if ((i) < mr) {                                        \
        vf av = vf_bcast(a[i] + p);                        \
        acc[i][0] = vf_fma(av, b0, acc[i][0]);             \
        if (nv > 1) acc[i][1] = vf_fma(av, b1, acc[i][1]); \
        if (nv > 2) acc[i][2] = vf_fma(av, b2, acc[i][2]); \
    }
#define TILE_FUSE_V(i, v)                                                                    \
    if ((v) < nv) {                                                                          \
        const int64_t at = (v)*VF_LANES;                                                     \
        if (row) acc[i][v] = vf_add(acc[i][v], rv);                                          \
        if (col) acc[i][v] = vf_add(acc[i][v], TILE_LOAD(v, col + at));                      \
        if (full) acc[i][v] = vf_add(acc[i][v], TILE_LOAD(v, full + (i)*t->f.full_ld + at)); \
        acc[i][v] = vf_min(hi, vf_max(lo, acc[i][v]));                                       \
    }
#define TILE_FUSE(i)                                          \
    if ((i) < mr) {                                           \
        vf rv = row ? vf_set1(row[i]) : vf_zero();            \
        TILE_FUSE_V(i, 0) TILE_FUSE_V(i, 1) TILE_FUSE_V(i, 2) \
    }
#define TILE_CLOSE_V(i, v)                                   \
    if ((v) < nv) {                                          \
        if (LAST(v))                                         \
            vf_storem(c[i] + (v)*VF_LANES, tail, acc[i][v]); \
        else                                                 \
            vf_store(c[i] + (v)*VF_LANES, acc[i][v]);        \
    }
#define TILE_CLOSE(i)                                            \
    if ((i) < mr) {                                              \
        TILE_CLOSE_V(i, 0) TILE_CLOSE_V(i, 1) TILE_CLOSE_V(i, 2) \
    }
#define TILE_LOAD(v, p) (LAST(v) ? vf_loadm(p, tail) : vf_load(p))
#define TILE_B(v) ((v) >= nv ? vf_zero() : TILE_LOAD(v, b + (v)*VF_LANES))
#define TILE_K                                             \
    {                                                      \
        vf b0 = TILE_B(0), b1 = TILE_B(1), b2 = TILE_B(2); \
        EACH_ROW(TILE_STEP)                                \
        (void)b1, (void)b2;                                \
        if (pack) TILE_PACK;                               \
        p++, b += ldb;                                     \
    }
#define TILE_AHEAD(u)                                                 \
    {                                                                 \
        if ((u) < mr) __builtin_prefetch(a[u] + p + ahead);           \
        if ((u) + 4 < mr) __builtin_prefetch(a[(u) + 4] + p + ahead); \
    }
#define TILE_PACK                                                                                 \
    {                                                                                             \
        const float *far = b + t->far;                                                            \
        vf_store(packed, b0);                                                                     \
        if (nv > 1) vf_store(packed + VF_LANES, b1);                                              \
        if (nv > 2) vf_store(packed + 2 * VF_LANES, b2);                                          \
        __builtin_prefetch(far, 0, 2);                                                            \
        if (GEMM_NR > 16) __builtin_prefetch(far + 16, 0, 2), __builtin_prefetch(far + 32, 0, 2); \
        packed += GEMM_NR;                                                                        \
    }
    const int64_t ahead = t->ahead, soon_step = t->soon_step;
    const float *soon = t->soon;
    float *packed = t->pack;
    (void)packed;
    EACH_ROW(TILE_OPEN)
    int64_t p = 0;
    while (p + 4 <= n_k) {
        TILE_AHEAD(0)
        TILE_K TILE_AHEAD(1) TILE_K TILE_AHEAD(2) TILE_K TILE_AHEAD(3)
            TILE_K __builtin_prefetch(soon, 0, 2);
        soon += soon_step;
    }
    while (p < n_k) TILE_K
    if (t->f.on) {
        const float *row = t->f.row, *col = t->f.col, *full = t->f.full;
        const vf lo = vf_set1(t->f.lo), hi = vf_set1(t->f.hi);
        EACH_ROW(TILE_FUSE)
    }
    EACH_ROW(TILE_CLOSE)
}

/* tile_<rows>_<vectors>: masked; tile_<rows>_full: NV whole vectors. */
#define TILE_DEFINE(mr)                         \
    static void tile_##mr##_1(const tile *t)    \
    {                                           \
        tile_run(t, mr, 1, true, false);        \
    }                                           \
    static void tile_##mr##_2(const tile *t)    \
    {                                           \
        tile_run(t, mr, 2, true, false);        \
    }                                           \
    static void tile_##mr##_3(const tile *t)    \
    {                                           \
        tile_run(t, mr, GEMM_NV, true, false);  \
    }                                           \
    static void tile_##mr##_full(const tile *t) \
    {                                           \
        tile_run(t, mr, GEMM_NV, false, false); \
    }
#define TILE_ENTRY(mr)                                                \
    {                                                                 \
        tile_##mr##_full, tile_##mr##_1, tile_##mr##_2, tile_##mr##_3 \
    }
TILE_DEFINE(1)
TILE_DEFINE(2)
TILE_DEFINE(3)
TILE_DEFINE(4)
TILE_DEFINE(5)
TILE_DEFINE(6)
#if GEMM_MR > 6
TILE_DEFINE(7)
TILE_DEFINE(8)
#endif
static tile_fn *const tile_table[GEMM_MR][4] = {
    TILE_ENTRY(1), TILE_ENTRY(2), TILE_ENTRY(3), TILE_ENTRY(4), TILE_ENTRY(5), TILE_ENTRY(6),
#if GEMM_MR > 6
    TILE_ENTRY(7), TILE_ENTRY(8),
#endif
};

/* The tile for m rows and n columns; GEMM_TILE_HALF may offer a narrower one for few columns. */
VF_INLINE tile_fn *tile_pick(int64_t m, int64_t n)
{
#ifdef GEMM_TILE_HALF
    if (n <= VF_LANES / 2) return GEMM_TILE_HALF[m - 1];
#endif
    return tile_table[m - 1][n == GEMM_NR ? 0 : (n + VF_LANES - 1) / VF_LANES];
}

static void tile_pack(const tile *t)
{
    tile_run(t, GEMM_MR, GEMM_NV, false, true);
}

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
VF_INLINE fuse fuse_at(const fuse *whole, const lmn_gemm_block *t, const lmn_epi_block *at)
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

static void pack_nn_run(float *restrict packed, const float *restrict b, int64_t ldb, int64_t k,
                        int64_t n);

/* The panel at column j comes from b_from: true if tile_pack, prepared in *x, shall bring it. */
VF_INLINE bool bring_panel(const lmn_gemm_block *t, int64_t j, int64_t m, int64_t n, tile *x)
{
    float *panel = (float *)(uintptr_t)x->b; /* scratch of the caller: see gemm.h */
    if (m < GEMM_MR || n < GEMM_NR) {
        pack_nn_run(panel, t->b_from + j, t->b_from_ld, t->k, n);
        return false;
    }
    x->pack = panel;
    x->b = t->b_from + j;
    x->ldb = t->b_from_ld;
    x->far = t->k > PACK_AHEAD ? PACK_AHEAD * t->b_from_ld : GEMM_NR;
    return true;
}

/* The tiles below the first row share the fetching of the next B, so that memory works while they
   compute: four of them bring one line of every row. */
VF_INLINE void fetch_next(const lmn_gemm_block *t, int64_t i, int64_t j, tile *x)
{
    const int64_t panels = (t->n + GEMM_NR - 1) / GEMM_NR;
    const int64_t nth = (i / GEMM_MR - 1) * panels + j / GEMM_NR, column = nth / 4 * 16;
    if (column >= t->n) return;
    x->soon = t->b_next + nth % 4 * (t->k / 4) * t->b_from_ld + column;
    x->soon_step = t->b_from_ld;
}

static void block_run(const lmn_gemm_block *t)
{
    fuse whole = {.on = false};
    lmn_epi rest = {.n_ops = 0};
    if (t->epi) {
        int32_t n = fuse_match(t->epi, &whole);
        for (; n < t->epi->n_ops; n++) rest.op[rest.n_ops++] = t->epi->op[n];
    }
    for (int64_t i = 0; i < t->m; i += GEMM_MR) {
        const int64_t m = lmn_min_i64(GEMM_MR, t->m - i);
        for (int64_t j = 0; j < t->n; j += GEMM_NR) {
            const int64_t n = lmn_min_i64(GEMM_NR, t->n - j);
            const int64_t ahead = j == 0 ? GEMM_MR * t->lda : 32;
            lmn_epi_block e = {
                t->c + i * t->ldc + j, t->ldc, t->row + i, t->col + j, m, n, t->item};
            tile x = {.a = t->a + i * t->lda,
                      .lda = t->lda,
                      .b = t->b + j / GEMM_NR * t->b_panel,
                      .ldb = t->ldb,
                      .c = e.c,
                      .ldc = t->ldc,
                      .k = t->k,
                      .n = n,
                      .ahead = ahead,
                      .soon = t->a,
                      .beta = t->beta,
                      .f = {.on = false}};
            if (whole.on) x.f = fuse_at(&whole, t, &e);
            if (i > 0 && t->b_next) fetch_next(t, i, j, &x);
            if (i == 0 && t->b_from && bring_panel(t, j, m, n, &x))
                tile_pack(&x);
            else
                tile_pick(m, n)(&x);
            if (rest.n_ops) epi_apply(&rest, &e);
        }
    }
}

/*
 * small_nn: C += A B as updates of C by four rows of B at a time. B is read once, in order, a strip
 * of columns at a time so that the strip of C stays in L1; the next four rows are prefetched into
 * L2, since L1 would lose them before their turn (24 GB/s from DRAM instead of 16).
 */
typedef struct strip {
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float *c;
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

/* mr rows by kk steps of k (constants), all columns of the strip. */
VF_INLINE void strip_run(const strip *s, const int mr, const int kk)
{
    vf a[4][4], b[4];
#define STRIP_A(i)                                                                            \
    if ((i) < mr) {                                                                           \
        const float *ai = s->a + (i)*s->lda;                                                  \
        a[i][0] = vf_bcast(ai), a[i][1] = vf_bcast(ai + (kk > 1 ? 1 : 0));                    \
        a[i][2] = vf_bcast(ai + (kk > 2 ? 2 : 0)), a[i][3] = vf_bcast(ai + (kk > 3 ? 3 : 0)); \
    }
#define STRIP_B(q, LOAD) b[q] = (q) < kk ? LOAD(s->b + (q)*s->ldb + j) : vf_zero();
#define STRIP_C(i, LOAD, STORE)                                           \
    if ((i) < mr) {                                                       \
        float *c = s->c + (i)*s->ldc + j;                                 \
        STORE(c, strip_vec(a[i], b, s->fresh ? vf_zero() : LOAD(c), kk)); \
    }
#define STRIP_TAIL_LOAD(p) vf_loadm(p, tail)
#define STRIP_TAIL_STORE(p, v) vf_storem(p, tail, v)
#define STRIP_VECTOR(L, S) \
    STRIP_B(0, L)          \
    STRIP_B(1, L)          \
    STRIP_B(2, L) STRIP_B(3, L) STRIP_C(0, L, S) STRIP_C(1, L, S) STRIP_C(2, L, S) STRIP_C(3, L, S)
    STRIP_A(0) STRIP_A(1) STRIP_A(2) STRIP_A(3) int64_t j = 0;
    for (; j + VF_LANES <= s->n; j += VF_LANES) {
        if (kk == 4) {
            const float *next = s->b + 4 * s->ldb + j; /* a prefetch past the end does no harm */
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

/* All m rows by kk steps; the rows of B are in L1 after the first group of rows of A. */
VF_INLINE void strip_rows(strip s, int64_t m, const int kk)
{
    for (int64_t i = 0; i < m; i += GEMM_SMALL_M) {
        int64_t mr = lmn_min_i64(GEMM_SMALL_M, m - i);
        if (mr == 1)
            strip_run(&s, 1, kk);
        else if (mr == 2)
            strip_run(&s, 2, kk);
        else if (GEMM_SMALL_M > 2 && mr == 3)
            strip_run(&s, 3, kk);
        else
            strip_run(&s, GEMM_SMALL_M, kk);
        s.a += mr * s.lda, s.c += mr * s.ldc;
    }
}

static void clear_block(const lmn_gemm_block *t)
{
    for (int64_t i = 0; i < t->m; i++)
        for (int64_t j = 0; j < t->n; j++) t->c[i * t->ldc + j] = 0.0f;
}

static void small_nn_run(const lmn_gemm_block *t)
{
    if (t->k == 0 && !t->beta) clear_block(t);
    const int64_t width = t->m > 4 ? 512 : 1024; /* m rows of C by 2 to 4 KiB */
    for (int64_t j = 0; j < t->n; j += width) {
        strip s = {
            t->a,    t->lda, t->b + j, t->ldb, t->c + j, t->ldc, lmn_min_i64(width, t->n - j),
            !t->beta};
        int64_t k = t->k;
        for (; k >= 4; k -= 4) {
            strip_rows(s, t->m, 4);
            s.a += 4, s.b += 4 * s.ldb, s.fresh = false;
        }
        for (; k > 0; k--) {
            strip_rows(s, t->m, 1);
            s.a += 1, s.b += s.ldb, s.fresh = false;
        }
    }
}

/*
 * small_nt: C[i][j] = dot(row i of A, row j of B), four rows of B at a time; each element has one
 * vector of partial sums, folded at the end.
 */
VF_INLINE void dot_run(const lmn_gemm_block *t, int64_t i0, int64_t j0, const int mr, const int nr)
{
    const float *a = t->a + i0 * t->lda, *b = t->b + j0 * t->ldb;
    vf acc[6][4], w[4];
#define DOT_OPEN(i) \
    acc[i][0] = vf_zero(), acc[i][1] = vf_zero(), acc[i][2] = vf_zero(), acc[i][3] = vf_zero();
#define DOT_W(q, LOAD) w[q] = (q) < nr ? LOAD(b + (q)*t->ldb + p) : vf_zero();
#define DOT_STEP(i, LOAD)                                    \
    if ((i) < mr) {                                          \
        vf av = LOAD(a + (i)*t->lda + p);                    \
        acc[i][0] = vf_fma(av, w[0], acc[i][0]);             \
        if (nr > 1) acc[i][1] = vf_fma(av, w[1], acc[i][1]); \
        if (nr > 2) acc[i][2] = vf_fma(av, w[2], acc[i][2]); \
        if (nr > 3) acc[i][3] = vf_fma(av, w[3], acc[i][3]); \
    }
#define DOT_VECTOR(L) \
    DOT_W(0, L)       \
    DOT_W(1, L)       \
    DOT_W(2, L)       \
    DOT_W(3, L)       \
    DOT_STEP(0, L) DOT_STEP(1, L) DOT_STEP(2, L) DOT_STEP(3, L) DOT_STEP(4, L) DOT_STEP(5, L)
#define DOT_TAIL(ptr) vf_loadm(ptr, tail)
#define DOT_CLOSE_Q(i, q) \
    if ((q) < nr) c[q] = vf_hsum(acc[i][q]) + (t->beta ? c[q] : 0.0f);
#define DOT_CLOSE(i)                                                            \
    if ((i) < mr) {                                                             \
        float *c = t->c + (i0 + (i)) * t->ldc + j0;                             \
        DOT_CLOSE_Q(i, 0) DOT_CLOSE_Q(i, 1) DOT_CLOSE_Q(i, 2) DOT_CLOSE_Q(i, 3) \
    }
    DOT_OPEN(0) DOT_OPEN(1) DOT_OPEN(2) DOT_OPEN(3) DOT_OPEN(4) DOT_OPEN(5) int64_t p = 0;
    for (; p + VF_LANES <= t->k; p += VF_LANES) {
        DOT_VECTOR(vf_load)
    }
    if (p < t->k) {
        const vm tail = vm_first(t->k - p);
        DOT_VECTOR(DOT_TAIL)
    }
    DOT_CLOSE(0) DOT_CLOSE(1) DOT_CLOSE(2) DOT_CLOSE(3) DOT_CLOSE(4) DOT_CLOSE(5)
}

VF_INLINE void dot_rows(const lmn_gemm_block *t, int64_t j, const int nr)
{
    for (int64_t i = 0; i < t->m; i += GEMM_DOT_M) {
        int64_t mr = lmn_min_i64(GEMM_DOT_M, t->m - i);
        if (mr == 1)
            dot_run(t, i, j, 1, nr);
        else if (mr == 2)
            dot_run(t, i, j, 2, nr);
        else if (GEMM_DOT_M > 2 && mr == 3)
            dot_run(t, i, j, 3, nr);
        else if (GEMM_DOT_M > 2 && mr == 4)
            dot_run(t, i, j, 4, nr);
        else if (GEMM_DOT_M > 2 && mr == 5)
            dot_run(t, i, j, 5, nr);
        else
            dot_run(t, i, j, GEMM_DOT_M, nr);
    }
}

static void small_nt_run(const lmn_gemm_block *t)
{
    /* One row of A is bound by memory, which prefers a single stream to four. */
    const int64_t in_fours = t->m > 1 ? t->n / 4 * 4 : 0;
    int64_t j = 0;
    for (; j < in_fours; j += 4) dot_rows(t, j, 4);
    for (; j < t->n; j++) dot_rows(t, j, 1);
}

static void pack_nn_run(float *restrict packed, const float *restrict b, int64_t ldb, int64_t k,
                        int64_t n)
{
    /* Rows are short and far apart: the hardware sees no stream, so later rows are asked for. */
    const int64_t whole = n / GEMM_NR, rest = n % GEMM_NR, panel = k * GEMM_NR, ahead = 12 * ldb;
    for (int64_t p = 0; p < k; p++) {
        const float *src = b + p * ldb;
        float *dst = packed + p * GEMM_NR;
        for (int64_t q = 0; q < whole; q++, src += GEMM_NR, dst += panel) {
            for (int v = 0; v < GEMM_NR; v += 16) __builtin_prefetch(src + ahead + v);
            for (int v = 0; v < GEMM_NR; v += VF_LANES) vf_store(dst + v, vf_load(src + v));
        }
        for (int64_t v = 0; rest && v < GEMM_NR; v += VF_LANES)
            vf_store(dst + v, vf_loadm(src + v, vm_first(rest - v)));
    }
}

/* VF_LANES columns of B (rows of its transpose) by all k, into the panel. */
VF_INLINE void pack_nt_columns(float *restrict dst, const float *restrict b, int64_t ldb, int64_t k,
                               int64_t n)
{
    vf r[VF_LANES];
    for (int64_t p = 0; p < k; p += VF_LANES) {
        const vm tail = vm_first(k - p);
        if (n >= VF_LANES && k - p >= VF_LANES)
            for (int i = 0; i < VF_LANES; i++) r[i] = vf_load(b + i * ldb + p);
        else
            for (int i = 0; i < VF_LANES; i++)
                r[i] = i < n ? vf_loadm(b + i * ldb + p, tail) : vf_zero();
        vf_transpose(r);
        if (k - p >= VF_LANES)
            for (int i = 0; i < VF_LANES; i++) vf_store(dst + (p + i) * GEMM_NR, r[i]);
        else
            for (int i = 0; i < k - p; i++) vf_store(dst + (p + i) * GEMM_NR, r[i]);
    }
}

static void pack_nt_run(float *restrict packed, const float *restrict b, int64_t ldb, int64_t k,
                        int64_t n)
{
    for (int64_t j = 0; j < (n + GEMM_NR - 1) / GEMM_NR * GEMM_NR; j += VF_LANES) {
        float *dst = packed + j / GEMM_NR * GEMM_NR * k + j % GEMM_NR;
        /* Past the last column only the pointer would be wrong, so it is not formed. */
        pack_nt_columns(dst, j < n ? b + j * ldb : b, ldb, k, j < n ? n - j : 0);
    }
}

#endif
