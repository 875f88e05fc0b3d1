/*
 * Shape in, blocks out. Sizes follow the caches of ordinary cores: a packed block of B stays in L2
 * (kc x nc elements, 384 KiB at most) while all rows of A in the chunk pass over it; a chunk is
 * large enough (some 50 us) to be worth a thread and small enough to leave something for the
 * others. Included by gemm_plan.c and dgemm_plan.c with GEMM_T, GEMM_F, GEMM_REAL and run_epilogue
 * defined.
 */
#ifndef LMN_KERNELS_GEMM_PLAN_TMPL_H
#define LMN_KERNELS_GEMM_PLAN_TMPL_H

#include <stdalign.h>
#include <string.h>

#include "kernels/split.h"

enum path {
    PATH_PACKED,   /* B packed by blocks into scratch */
    PATH_DIRECT,   /* row-major B read in place as panels: it is small, or it is used once */
    PATH_SMALL_NN, /* few rows: stream row-major B */
    PATH_SMALL_NT, /* few rows: stream transposed B */
    PATH_PANELS,   /* B lies in panels already */
    PATH_SHORT,    /* short sums, much of C: by rows of C, B in place in L2 */
    PATH_THIN      /* few columns: B is transposed into scratch unless it is, and A is streamed */
};

/* Tuned on Zen 4 with kcheck --bench; any value gives the same bits. */
enum {
    KC = 4096 / sizeof(GEMM_REAL), /* longest k of a packed block that is all of k ... */
    KC_FEW = KC / 2,               /* ... of others, for few rows, or where A is copied, too */
    KC_FAR = 2 * KC,               /* ... of panels from beyond L2: one run of memory */
    NC = 96,                       /* columns of a packed block ... */
    WIDE_K = 128,                  /* ... more where sums are so short: rows of C are long then */
    MC = 512,                      /* rows of a chunk */
    SMALL_NN_M = 3,                /* up to here B is streamed, where a row has no more ... */
    SMALL_NN_FAR_M = 6,            /* ... or here, if it comes from memory */
    SMALL_NT_M = LMN_GEMM_THIN_M,
    STREAM_NN = 4096,        /* columns of B read as one piece ... */
    STREAM_LEAST = 1024,     /* ... at least so many ... */
    STREAM_ELEMS = 16 << 20, /* ... and not more of B: some 3 ms */
    LAID_BYTES = 512 << 10,  /* rows of A that a chunk copies stay in L2 ... */
    LAID_N = 128,            /* ... and are read by so many columns, ... */
    LAID_B = 1 << 20,        /* ... best of a B beyond L2 */
    SHARES = 16,             /* chunks a thread: one that is held up leaves some to the others */
    RUNS_M = 4,              /* so few of them read runs far apart */
    TALL_M = 8,              /* rows of A by a cached B that a wide core takes at once, ... */
    TALL_A = 32768 / sizeof(GEMM_REAL), /* ... of an A that stays in L1 */
    LAID_NC = 512,                      /* columns of a chunk then */
    DIRECT_ROWS = 1024,                 /* most rows of A for which a row's direct_b holds */
    FEW_M = 32,                         /* so few rows fetch panels ahead and want no short sums */
    RUN_M = 6,                          /* most rows whose panels the hardware follows alone */
    AHEAD_M = 128,            /* rows that wait for panels or a transposed B from memory */
    DIRECT_NC = 768,          /* columns of a chunk then, of KC_FEW */
    NARROW_BYTES = 1 << 20,   /* a B of one panel is read in place ... */
    WIDE_BYTES = 256 << 10,   /* ... and one of one wide tile */
    WIDE_N = 64,              /* columns of that, where panels are WIDEST */
    FAR_BYTES = 512 << 10,    /* B comes from beyond L2 */
    SHORT_K = 64,             /* sums so short are mostly C ... */
    SHORT_BYTES = 512 << 10,  /* ... while B stays in L2 */
    SHORT_MN = 128 << 10,     /* of C in a chunk */
    SHORT_EPI = 8192,         /* of C before an epilogue */
    THIN_MC = 64,             /* rows of a chunk of few columns, at least */
    LEAN_ROWS = 12,           /* most of a tile of the tiny kernel */
    NARROW_A_BYTES = 4 << 20, /* an A that the caches hold */
    NARROW_KC = 256,          /* then, so that B stays in L1, unless the core is `wide` */
    COPY_M = 16,              /* most rows ... */
    COPY_N = 16,              /* ... and columns of a product that copies A ... */
    COPY_BYTES = 2 << 20,     /* ... where L2 does not hold A and B */
    ODD_BYTES =
        192 << 10, /* most of a B whose rows are off 16 bytes, read in place by such a core */
    FAR_A_BYTES = 32 << 20, /* A comes from memory */
    TURNS = 8,              /* rows of a block that threads begin with */
    TINY_EXTENT = 4096      /* as is_tiny has it */
};
/* These change the order of sums, and with it bits. */
enum {
    WIDEST = 48,              /* panel of any row */
    TINY_PANEL = 4096,        /* floats of a transposed B that is packed even for few rows */
    THIN_N = LMN_GEMM_THIN_N, /* so few columns leave much of a vector idle ... */
    THIN_K = LMN_GEMM_THIN_K  /* ... while so many terms fill it */
};
static const double max_chunk_madds = 160 << 20; /* some 4 ms: a cancelled run waits for a chunk */
static const double chunk_madds = 3e4, pack_nn_madds = 8, pack_nt_madds = 12;
static const int64_t min_stream_bytes = 256 << 10;
static const int64_t short_madds = 2 << 20;   /* of a chunk of short sums */
static const int64_t thin_bytes = 1 << 20;    /* most of B transposed by every chunk */
static const int64_t stream_bytes = 16 << 20; /* a B this large comes from memory */
static const int64_t past_bytes = 32 << 20; /* a C this large has left the caches when it is read */

/* Transposing a little B for several rows costs less than folding dot products. */
static bool packs_small(const lmn_gemm_shape *s)
{
    return s->m >= 3 && lmn_round_up_i64(s->n, WIDEST) * s->k <= TINY_PANEL;
}

static bool is_thin(const GEMM_T(plan) * p)
{
    if ((p->flags & LMN_GEMM_TRANS_A) || p->n > THIN_N || p->m <= SMALL_NT_M) return false;
    return p->k >= THIN_K && p->k * p->n * (int64_t)sizeof(GEMM_REAL) <= thin_bytes;
}

static int32_t choose_path(const GEMM_T(plan) * p)
{
    const bool trans_b = p->flags & LMN_GEMM_TRANS_B, trans_a = p->flags & LMN_GEMM_TRANS_A;
    const int64_t bytes = p->k * p->n * (int64_t)sizeof(GEMM_REAL);
    if (p->flags & LMN_GEMM_PACKED_B) return PATH_PANELS;
    if (p->flags & LMN_GEMM_CHAIN) return PATH_PACKED;
    if (is_thin(p)) return PATH_THIN;
    const lmn_gemm_shape s = {p->m, p->n, p->k, 1, p->flags, 1};
    if (trans_b && (trans_a || p->m > SMALL_NT_M || packs_small(&s))) return PATH_PACKED;
    if (trans_b) return PATH_SMALL_NT;
    const int64_t near_m = p->threads > 2 || bytes < FAR_BYTES ? SMALL_NN_M : p->row->stream_m;
    if (p->m <= (bytes > stream_bytes ? SMALL_NN_FAR_M : near_m) && !trans_a) return PATH_SMALL_NN;
    if (p->row->tiny && !trans_a && p->k <= SHORT_K && bytes <= SHORT_BYTES && p->m > FEW_M)
        return PATH_SHORT;
    if (p->m <= p->row->direct_m || bytes <= LMN_GEMM_IN_PLACE) return PATH_DIRECT;
    const bool odd = p->row->wide && p->n * (int64_t)sizeof(GEMM_REAL) % 16 != 0;
    const int64_t most = odd ? lmn_min_i64(ODD_BYTES, p->row->direct_b) : p->row->direct_b;
    if (p->m <= DIRECT_ROWS && bytes <= most) return PATH_DIRECT;
    if (p->n == WIDE_N && p->row->nr == WIDEST && bytes <= WIDE_BYTES) return PATH_DIRECT;
    return p->n <= p->row->nr && bytes <= NARROW_BYTES ? PATH_DIRECT : PATH_PACKED;
}

/* Elements of the copy of A that a chunk of dot products wants: 0, none. From memory it gains for
   four rows and more. Of a B from a cache six and fewer are one tile without it; three of them gain
   by a wider one. */
static int64_t laid(const GEMM_T(plan) * p)
{
    const int64_t a = p->m * lmn_round_up_i64(p->k, 64 / sizeof(GEMM_REAL));
    const int64_t real = sizeof(GEMM_REAL);
    if (!p->row->lays || p->m < (p->b_far && !p->row->wide ? 4 : 2) || p->n < LAID_N ||
        a > LAID_BYTES / real)
        return 0;
    const bool gains = p->m == 3 || (p->m > 6 && p->k * p->n > LAID_B / real) ||
                       (p->row->wide && (p->m <= 4 || (p->m <= TALL_M && a <= TALL_A)));
    return p->b_far || gains ? a : 0;
}

/* Of n rows that one row or a group of laid ones meets, those of a chunk: it reads runs of them
   side by side, the longer the better. */
static int64_t line_rows(const GEMM_T(plan) * p, int64_t n)
{
    const int64_t k = lmn_max_i64(1, p->k), least = min_stream_bytes / (int64_t)sizeof(GEMM_REAL);
    const int64_t parts = p->threads > 1 ? SHARES * p->threads : 1;
    const int64_t most = lmn_min_i64(STREAM_ELEMS / k, lmn_ceil_div_i64(n, parts));
    return lmn_round_up_i64(lmn_max_i64(lmn_max_i64(1, least / k), most), 16);
}

/* Most columns of a chunk that streams B. Rows of row-major B are read in pieces this wide: narrow
   ones cost DRAM's bandwidth, and where they begin at odd addresses a line of the caches each. So
   items are not cut where they suffice the threads, and few columns for two threads at most, but
   evenly: a third chunk of three leaves one thread idle for as long as one takes, and asleep for
   the next product.
 */
static int64_t stream_columns(const GEMM_T(plan) * p)
{
    const bool nt = p->path == PATH_SMALL_NT;
    const int64_t k = lmn_max_i64(1, p->k), least = min_stream_bytes / (int64_t)sizeof(GEMM_REAL);
    const int64_t few = lmn_max_i64(1, least / k);
    if (nt && laid(p) && p->m > (p->row->wide && !p->b_far ? TALL_M : RUNS_M))
        return lmn_max_i64(lmn_round_up_i64(few, 16),
                           lmn_min_i64(LAID_NC, lmn_ceil_div_i64(p->n, 2 * p->threads)));
    if (nt && (p->m == 1 || laid(p))) return line_rows(p, p->n);
    if (nt) return lmn_round_up_i64(few, 16);
    const int64_t most = lmn_min_i64(STREAM_NN, STREAM_ELEMS / k);
    const int64_t worth = lmn_max_i64(lmn_round_up_i64(few, STREAM_LEAST), most);
    if (p->threads <= 1 || p->n_batch >= p->threads || p->n * k < min_stream_bytes) return worth;
    return lmn_ceil_div_i64(p->n, lmn_round_up_i64(lmn_ceil_div_i64(p->n, worth), 2));
}

/* Is a run of B's panels read best by the hardware alone? */
static bool follows(const GEMM_T(plan) * p)
{
    return p->row->follows || p->k * p->n * (int64_t)sizeof(GEMM_REAL) <= stream_bytes;
}

/* One panel over much of A, on a core so fast that B is wanted near L1: by blocks of k. */
static bool is_quick_panel(const GEMM_T(plan) * p)
{
    const int64_t a = p->m * p->k * (int64_t)sizeof(GEMM_REAL);
    return p->row->wide && p->n <= p->row->nr && a > NARROW_A_BYTES;
}

/* ... of up to two vectors, which wait for rows of A that come from memory. */
static bool waits_for_a(const GEMM_T(plan) * p)
{
    const int64_t a = p->m * p->k * (int64_t)sizeof(GEMM_REAL);
    return p->row->wide && 3 * p->n <= 2 * p->row->nr && a > FAR_A_BYTES;
}

/* Of a block of B. */
static int64_t longest_k(const GEMM_T(plan) * p)
{
    if (p->path == PATH_DIRECT && p->b_far) return p->row->far_k;
    if (p->path == PATH_PANELS && p->b_far) return KC_FAR;
    if (p->path == PATH_PANELS && waits_for_a(p)) return KC;
    return p->b_far || p->k > KC || (p->flags & LMN_GEMM_TRANS_A) ? KC_FEW : KC;
}

/* Rows whose panels come from memory on a core that is fast: the next one alone is on its way. */
static bool waits_for_panels(const GEMM_T(plan) * p)
{
    const bool far = p->k * p->n > stream_bytes / (int64_t)sizeof(GEMM_REAL);
    return p->row->wide && p->path == PATH_PANELS && p->m <= AHEAD_M && far;
}

static void cut_blocks(GEMM_T(plan) * p)
{
    const double packs = p->path != PATH_PACKED        ? 0
                         : p->flags & LMN_GEMM_TRANS_B ? pack_nt_madds
                                                       : pack_nn_madds;
    lmn_cut c = {.m = p->m, .n = p->n, .k = p->k, .items = p->n_batch};
    c.mr = p->row->mr, c.nr = p->row->nr;
    c.mc = MC, c.nc = NC;
    if (waits_for_panels(p)) c.nc = p->row->nr;
    if (p->k <= WIDE_K) c.nc = NC * KC_FEW / lmn_max_i64(16, p->k);
    if (p->b_far) c.nc = DIRECT_NC * KC_FEW / longest_k(p);
    c.threads = p->threads;
    c.pack = packs, c.come = chunk_madds, c.most = max_chunk_madds;
    c.fetch = p->threads > 2 ? p->threads - 2 : 0; /* two are hardly in each other's way */
    lmn_cut_blocks(&c);
    p->mc = c.mc, p->nc = c.nc;
    p->m_blocks = lmn_ceil_div_i64(p->m, p->mc), p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

/* Scratch, and k of a packed block: at most kc_most. */
static void lay_out(GEMM_T(plan) * p, int64_t kc_most)
{
    const bool trans_a = p->flags & LMN_GEMM_TRANS_A, packs = p->path == PATH_PACKED;
    int64_t a = 0, b = 0;
    if (p->path == PATH_SMALL_NT) {
        a = laid(p);
    } else if (p->path == PATH_THIN) {
        b = p->flags & LMN_GEMM_TRANS_B ? 0 : p->n * p->k;
    } else if (packs || trans_a || p->b_far || p->path == PATH_PANELS) {
        p->kc = lmn_split_even(p->k, kc_most, 16);
        b = packs ? lmn_round_up_i64(p->nc, p->row->nr) * p->kc : 0;
        a = trans_a ? p->mc * p->kc : 0;
    } else if (p->path == PATH_DIRECT && is_quick_panel(p)) {
        p->kc = lmn_split_even(p->k, KC, 16);
    }
    p->scratch_bytes = (size_t)(a + b) * sizeof(GEMM_REAL);
}

/* Blocks of the path that stands in the plan. */
static void cut(GEMM_T(plan) * out)
{
    const int64_t k = out->k, b_bytes = k * out->n * (int64_t)sizeof(GEMM_REAL);
    out->kc = k;
    out->b_far = false;
    if (out->path == PATH_SMALL_NN || out->path == PATH_SMALL_NT) {
        out->b_far = (double)b_bytes * (double)out->n_batch > (double)stream_bytes;
        out->mc = out->m, out->nc = lmn_split_even(out->n, stream_columns(out), 16);
        out->m_blocks = 1, out->n_blocks = lmn_ceil_div_i64(out->n, out->nc);
    } else if (out->path == PATH_SHORT) {
        const int64_t worth = short_madds / (out->n * lmn_max_i64(1, k));
        out->mc = lmn_split_even(out->m, lmn_max_i64(1, lmn_min_i64(worth, SHORT_MN / out->n)),
                                 out->row->mr);
        out->m_blocks = lmn_ceil_div_i64(out->m, out->mc);
        out->nc = out->n, out->n_blocks = 1;
    } else if (out->path == PATH_THIN) {
        out->nc = out->n, out->n_blocks = 1;
        const int64_t rows = min_stream_bytes / (int64_t)sizeof(GEMM_REAL) / k;
        out->mc = lmn_split_even(
            out->m, lmn_max_i64(THIN_MC, out->n == 1 ? line_rows(out, out->m) : rows), 16);
        out->m_blocks = lmn_ceil_div_i64(out->m, out->mc);
        out->b_far = out->m * k > stream_bytes / (int64_t)sizeof(GEMM_REAL);
    } else {
        const int64_t few = out->path == PATH_DIRECT   ? out->row->direct_m
                            : out->path == PATH_PANELS ? FEW_M
                                                       : 0;
        out->b_far = out->m <= few && b_bytes > FAR_BYTES;
        cut_blocks(out);
    }
}

void GEMM_F(plan)(const GEMM_T(row) * row, const lmn_gemm_shape *s, GEMM_T(plan) * out)
{
    lmn_assert(s->m >= 0 && s->n >= 0 && s->k >= 0 && s->n_batch >= 0);
    *out = (GEMM_T(plan)){.row = row, .m = s->m, .n = s->n, .k = s->k};
    out->n_batch = s->n_batch, out->flags = s->flags;
    out->threads = s->threads > 1 ? s->threads : 1;
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return;
    out->path = choose_path(out);
    cut(out);
    out->c_past = out->row->follows && s->k <= KC_FEW &&
                  s->m * s->n > past_bytes / (int64_t)sizeof(GEMM_REAL);
    lay_out(out, longest_k(out));
    out->n_chunks = out->m_blocks * out->n_blocks * s->n_batch;
}

/* a is [k][lda]: its m columns become the rows of dst, k long. */
static void transpose_a(GEMM_REAL *dst, const GEMM_REAL *a, int64_t lda, int64_t m, int64_t k)
{
    for (int64_t i0 = 0; i0 < m; i0 += 16) {
        int64_t i1 = lmn_min_i64(m, i0 + 16);
        for (int64_t p = 0; p < k; p++)
            for (int64_t i = i0; i < i1; i++) dst[i * k + p] = a[p * lda + i];
    }
}

/* Does the only thread pass along rows? These stay in L3 and the next B is always on its way, but a
   larger B would be read from memory for every block of them. */
static bool along(const GEMM_T(plan) * p)
{
    return p->threads == 1 && p->n <= p->m;
}

/* What comes after this block of B, which begins at b: the next k of the same columns, or the next
   columns where the next chunk has those. down, across: from k to k and from column to column. */
static void look_ahead(const GEMM_T(plan) * p, int64_t k0, const GEMM_REAL *b, int64_t down,
                       int64_t across, GEMM_T(block) * t)
{
    const bool more = k0 + t->k < p->k;
    t->b_next_n = more ? t->n : lmn_min_i64(p->nc, p->n - t->col - p->nc);
    if (more)
        t->b_next = b + t->k * down;
    else
        t->b_next = (along(p) || t->row + t->m >= p->m) && t->b_next_n > 0
                        ? b - k0 * down + p->nc * across
                        : NULL;
}

/* B of the block of k at k0, `b` being that of k 0. Panels and a transposed B are fetched ahead for
   few rows of A, many hardly wait for them; but not if L2 holds them or each panel fetches the
   next.
 */
static void find_b(const GEMM_T(plan) * p, const GEMM_T(args) * args, int64_t k0,
                   const GEMM_REAL *b, GEMM_REAL *scratch, GEMM_T(block) * t)
{
    const int64_t nr = p->row->nr, ldb = args->ldb;
    const bool ahead = p->k * p->n * (int64_t)sizeof(GEMM_REAL) > FAR_BYTES && p->m <= AHEAD_M;
    if (p->path == PATH_PANELS) {
        t->b = b + k0 * nr, t->ldb = nr, t->b_panel = nr * p->k;
        if (ahead && !p->b_far) look_ahead(p, k0, t->b, nr, p->k, t);
        return;
    }
    t->b = b + k0 * ldb, t->b_panel = nr;
    if (p->path != PATH_PACKED) return;
    if (p->flags & LMN_GEMM_TRANS_B) {
        p->row->pack_nt(scratch, b + k0, ldb, t->k, t->n);
        t->b_next_ld = ldb;
        if (ahead) look_ahead(p, k0, b + k0, 1, ldb, t);
    } else {
        t->b_from = t->b, t->b_from_ld = ldb;
        look_ahead(p, k0, t->b, ldb, 1, t);
    }
    t->b = scratch, t->ldb = nr, t->b_panel = nr * t->k;
}

/* A block by all its rows. Threads that share the rows begin with different ones: lines that all
   want at the same time come slowly. */
static void run_rows(const GEMM_T(plan) * p, const GEMM_T(block) * t)
{
    const int64_t turn = p->threads > 2 && !t->b_far ? t->col / p->nc % TURNS : 0;
    const int64_t first = turn * t->m / TURNS / p->row->mr * p->row->mr;
    GEMM_T(block) part = *t;
    part.a += first * t->lda, part.c += first * t->ldc, part.row += first, part.m -= first;
    p->row->block(&part);
    if (first == 0) return;
    part = *t, part.m = first; /* B is packed now, and the next one on its way */
    part.b_from = part.b_next = NULL;
    p->row->block(&part);
}

/* The blocks of k in order; only the last one sees the epilogue. */
static void run_blocks(const GEMM_T(plan) * p, const GEMM_T(args) * args, GEMM_T(block) t,
                       GEMM_REAL *scratch)
{
    const bool trans_a = p->flags & LMN_GEMM_TRANS_A;
    const GEMM_REAL *a = t.a, *b = t.b;
    GEMM_REAL *a_block = scratch; /* NULL when nothing is packed or transposed */
    if (p->path == PATH_PACKED) a_block += lmn_round_up_i64(p->nc, p->row->nr) * p->kc;
    int64_t k0 = 0;
    do {
        t.k = lmn_min_i64(p->kc, p->k - k0);
        t.a = a + k0;
        if (trans_a) {
            transpose_a(a_block, a + k0 * args->lda, args->lda, t.m, t.k);
            t.a = a_block, t.lda = t.k;
        }
        find_b(p, args, k0, b, scratch, &t);
        t.beta = k0 > 0 || args->beta;
        const bool last = k0 + t.k >= p->k;
        t.epi = last ? args->epi : NULL;
        t.c_past = p->c_past && last && !t.beta;
        run_rows(p, &t);
        k0 += t.k;
    } while (k0 < p->k);
}

/* Few columns of B become rows: a panel of its transpose holds a piece of each. */
static void turn_b(const GEMM_T(plan) * p, const GEMM_REAL *b, int64_t ldb, GEMM_REAL *to)
{
    alignas(64) GEMM_REAL panel[WIDEST * THIN_N];
    const int64_t nr = p->row->nr;
    for (int64_t k = 0; k < p->k; k += nr) {
        const int64_t some = lmn_min_i64(nr, p->k - k);
        p->row->pack_nt(panel, b + k * ldb, ldb, p->n, some);
        for (int64_t j = 0; j < p->n; j++)
            memcpy(to + j * p->k + k, panel + j * nr, (size_t)some * sizeof *panel);
    }
}

/* Few columns: dot products of rows of A with rows of B's transpose. */
static void run_thin(const GEMM_T(plan) * p, const GEMM_T(args) * args, GEMM_T(block) t,
                     GEMM_REAL *scratch)
{
    if (!(p->flags & LMN_GEMM_TRANS_B) && !(t.n == 1 && args->ldb == 1)) {
        turn_b(p, t.b, args->ldb, scratch);
        t.b = scratch, t.ldb = p->k;
    }
    p->row->small_nt(&t);
}

/* With the kernel for it, or the block kernel where there is none. */
static void run_tiny(const GEMM_T(row) * row, const GEMM_T(tiny) * t)
{
    if (row->tiny) {
        row->tiny(t);
        return;
    }
    const GEMM_T(block) b = {.a = t->a,
                             .lda = t->lda,
                             .b = t->b,
                             .ldb = t->ldb,
                             .b_panel = row->nr,
                             .c = t->c,
                             .ldc = t->ldc,
                             .m = t->m,
                             .n = t->n,
                             .k = t->k,
                             .beta = t->beta};
    row->block(&b);
}

bool GEMM_F(tiny)(const GEMM_T(row) * row, const lmn_gemm_shape *s, const GEMM_T(args) * args)
{
    if (s->n_batch != 1 || s->flags & ~LMN_GEMM_TRANS_B) return false;
    GEMM_T(tiny) t = {.a = args->a, .b = args->b, .c = args->c, .lda = args->lda};
    t.ldb = args->ldb, t.ldc = args->ldc, t.beta = args->beta;
    t.m = s->m, t.n = s->n, t.k = s->k;
    if (s->flags) {
        alignas(64) GEMM_REAL panel[TINY_PANEL];
        if (!packs_small(s) || s->n > row->nr) return false;
        row->pack_nt(panel, args->b, args->ldb, s->k, s->n);
        t.b = panel, t.ldb = row->nr;
        run_tiny(row, &t);
    } else {
        const bool far = (s->m | s->n | s->k) > TINY_EXTENT;
        if (far || !GEMM_F(is_tiny)(s->m, s->n, s->k)) return false;
        run_tiny(row, &t);
    }
    if (args->epi) {
        GEMM_T(block)
        b = {.c = t.c, .ldc = t.ldc, .m = t.m, .n = t.n, .item = args->item0};
        const GEMM_T(plan) p = {.row = row};
        run_epilogue(&p, args, &b);
    }
    return true;
}

/* All columns of some rows; an epilogue follows while they are in the cache. */
static void run_short(const GEMM_T(plan) * p, const GEMM_T(args) * args, GEMM_T(block) t)
{
    const int64_t mr = p->row->mr, m = t.m;
    const int64_t step = args->epi ? lmn_round_up_i64(SHORT_EPI / t.n + 1, mr) : m;
    for (int64_t i = 0; i < m; i += step) {
        t.m = lmn_min_i64(step, m - i);
        const GEMM_T(tiny) r = {.a = t.a,
                                .b = t.b,
                                .c = t.c,
                                .lda = t.lda,
                                .ldb = t.ldb,
                                .ldc = t.ldc,
                                .m = t.m,
                                .n = t.n,
                                .k = t.k,
                                .beta = t.beta,
                                .by_rows = true,
                                .past = p->c_past && !args->epi};
        p->row->tiny(&r);
        if (args->epi) run_epilogue(p, args, &t);
        t.a += step * t.lda, t.c += step * t.ldc, t.row += step;
    }
}

/* Few rows by few columns, both from beyond L2, on a row that copies A. */
static bool is_copied(const GEMM_T(plan) * p, const GEMM_T(block) * t)
{
    const int64_t bytes = (t->m + t->n) * p->k * (int64_t)sizeof(GEMM_REAL);
    return p->row->copies && t->m <= COPY_M && t->n <= COPY_N && bytes > COPY_BYTES;
}

/* One panel of columns over an A that the caches hold: tiles without prefetches are the faster
   ones. Rows a multiple of 4 KiB apart fall on one set of L1, which holds eight, or twelve where
   the core is `wide`; but of rows no longer than 4 KiB eight are faster there, too. */
static bool is_narrow(const GEMM_T(plan) * p, const GEMM_T(args) * args, const GEMM_T(block) * t)
{
    const int64_t tiles = lmn_ceil_div_i64(t->m, LEAN_ROWS), real = sizeof(GEMM_REAL);
    if (p->path != PATH_DIRECT || !p->row->tiny || args->epi) return false;
    if (p->row->head.isa == 0) return false; /* the reference rounds at every cut of k */
    if (p->flags & LMN_GEMM_TRANS_A || t->n > p->row->nr) return false;
    const int64_t most = p->row->wide && p->k * real > 4096 ? LEAN_ROWS : 8;
    if (is_copied(p, t)) return true;
    if (args->lda * real % 4096 == 0 && lmn_ceil_div_i64(t->m, tiles) > most) return false;
    return t->m * p->k * real <= NARROW_A_BYTES;
}

static void run_narrow(const GEMM_T(plan) * p, const GEMM_T(args) * args, const GEMM_T(block) * t)
{
    GEMM_T(tiny) r = {.a = t->a, .b = t->b, .c = t->c, .lda = t->lda, .ldb = t->ldb};
    r.ldc = t->ldc, r.m = t->m, r.n = t->n, r.beta = args->beta;
    r.far = is_copied(p, t);
    int64_t k0 = 0;
    const int64_t most = r.far ? p->k : p->row->wide ? KC : NARROW_KC;
    do {
        r.k = lmn_min_i64(most, p->k - k0);
        p->row->tiny(&r);
        k0 += r.k, r.beta = 1;
        r.a += r.k, r.b += r.k * r.ldb;
    } while (k0 < p->k);
}

/* Where column j of B begins; with panels, j begins one. */
static int64_t b_column(const GEMM_T(plan) * p, const GEMM_T(args) * args, int64_t j)
{
    if (p->path == PATH_PANELS) return j * p->k;
    return p->flags & LMN_GEMM_TRANS_B ? j * args->ldb : j;
}

void GEMM_F(chunk)(const GEMM_T(plan) * p, const GEMM_T(args) * args, int64_t chunk, void *scratch)
{
    lmn_assert(chunk >= 0 && chunk < p->n_chunks && (args->beta == 0 || args->beta == 1));
    int64_t per_item = p->m_blocks * p->n_blocks, item = chunk / per_item, i, j;
    if (along(p))
        i = chunk % per_item / p->n_blocks, j = chunk % per_item % p->n_blocks;
    else
        lmn_split_place(chunk % per_item, p->m_blocks, p->n_blocks, p->threads, &i, &j);
    i *= p->mc, j *= p->nc;
    GEMM_T(block) t = {.lda = args->lda, .ldb = args->ldb, .ldc = args->ldc, .k = p->k};
    t.beta = args->beta;
    t.m = lmn_min_i64(p->mc, p->m - i), t.n = lmn_min_i64(p->nc, p->n - j);
    if (t.m <= 0 || t.n <= 0) return; /* lmn_split_even rounds up: a last block may be empty */
    t.row = i, t.col = j, t.item = args->item0 + item;
    t.b_far = p->b_far, t.wide = p->row->wide;
    t.b_run = p->b_far && p->path == PATH_PANELS && p->m <= RUN_M && follows(p);
    t.a_far = waits_for_a(p);
    t.a = args->a + item * args->a_batch + (p->flags & LMN_GEMM_TRANS_A ? i : i * args->lda);
    t.b = args->b + item * args->b_batch + b_column(p, args, j);
    t.c = args->c + item * args->c_batch + i * args->ldc + j;
    if (is_narrow(p, args, &t)) {
        run_narrow(p, args, &t);
        return;
    }
    if (p->path == PATH_PACKED || p->path == PATH_DIRECT || p->path == PATH_PANELS) {
        run_blocks(p, args, t, scratch);
        return;
    }
    if (p->path == PATH_SHORT) {
        run_short(p, args, t);
        return;
    }
    if (p->path == PATH_THIN)
        run_thin(p, args, t, scratch);
    else if (p->path == PATH_SMALL_NN)
        p->row->small_nn(&t);
    else {
        t.room = p->scratch_bytes ? scratch : NULL;
        p->row->small_nt(&t);
    }
    if (args->epi) run_epilogue(p, args, &t);
}

#endif
