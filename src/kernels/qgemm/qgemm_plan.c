/*
 * Shape in, blocks out. A packed block of B stays in L2 while all rows of the chunk pass over it,
 * a few rows at a time, packed themselves where they lie in another form than the row takes. Long k
 * is cut; sums between the pieces wait in scratch.
 */
#include "kernels/qgemm/qgemm_plan.h"

#include "kernels/split.h"

#include <string.h>

/* Tuned on Zen 4 with kcheck --bench; any value gives the same integers. */
enum {
    KC = 4864,      /* longest k of a packed block */
    NC = 384,       /* columns of a packed block */
    MC = 512,       /* rows of a chunk */
    MC_LEAST = 128, /* fewer would pack the same B too often */
    MC_BRING = 256, /* the same where B is gathered first */
    B_BYTES = 384 << 10,
    STREAM_N = 4032,          /* columns of B read as one piece, a multiple of 192 */
    STREAM_BYTES = 256 << 10, /* of B: worth a chunk */
    SLAB = 64,                /* rows of B brought at once */
    WANT_CHUNKS = 8           /* per product, if each is worth it */
};
static const int64_t min_chunk_madds = 8 << 20;
static const int64_t max_chunk_madds = 640 << 20;

/* Split n, then m, until there are chunks for several threads, each still worth a thread. */
static void cut_blocks(lmn_qgemm_plan *p)
{
    const int64_t nr = p->row->nr, mr = p->row->mr;
    const int64_t fit = B_BYTES / (lmn_max_i64(1, p->kc) * p->row->b_bytes) / nr * nr;
    p->nc = lmn_split_even(p->n, lmn_min_i64(NC, lmn_max_i64(2 * nr, fit)), nr);
    p->mc = lmn_split_even(p->m, MC, mr);
    const int64_t least = p->bring ? MC_BRING : MC_LEAST;
    while (p->mc >= 2 * least && p->mc * p->nc * p->k > max_chunk_madds)
        p->mc = lmn_split_even(p->m, p->mc / 2, mr);
    for (;;) {
        p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
        p->m_blocks = lmn_ceil_div_i64(p->m, p->mc);
        const int64_t chunks = p->n_blocks * p->m_blocks * p->n_batch;
        const bool worth = p->mc * p->nc * p->k >= 2 * min_chunk_madds;
        if (chunks >= WANT_CHUNKS || !worth) return;
        if (p->mc >= 2 * least)
            p->mc = lmn_split_even(p->m, p->mc / 2, mr);
        else if (p->nc >= 4 * nr)
            p->nc = lmn_split_even(p->n, p->nc / 2, nr);
        else
            return;
    }
}

/* Rows of B are read in pieces of a chunk's columns: few pieces, for short ones are slow. */
static void cut_stream(lmn_qgemm_plan *p)
{
    const int64_t unit = 192; /* whole panels and whole vectors of every row */
    const bool halves = p->n <= STREAM_N && p->n * p->k >= 2 * STREAM_BYTES;
    p->kc = p->k, p->mc = p->m;
    p->nc = lmn_split_even(p->n, halves ? lmn_ceil_div_i64(p->n, 2) : STREAM_N, unit);
    p->m_blocks = 1, p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

/* What a worker's scratch holds, in this order. */
typedef struct parts {
    uint8_t *b, *a, *slab;
    int32_t *row_sum, *row_add, *col_sum, *col_add, *col_zp, *part;
    float *col_mul, *col_bias;
} parts;

static int64_t padded_k(const lmn_qgemm_plan *p)
{
    return lmn_round_up_i64(p->kc, p->row->group);
}
/* Bytes from row to row of packed A: not a multiple of 4096, so that rows do not share sets. */
static int64_t a_step(const lmn_qgemm_plan *p)
{
    return lmn_round_up_i64(padded_k(p) * p->row->a_bytes, 64) + 64;
}
static int64_t b_panel(const lmn_qgemm_plan *p)
{
    return padded_k(p) * p->row->nr * p->row->b_bytes;
}

static void *take(uint8_t *base, size_t *used, int64_t bytes)
{
    uint8_t *at = base ? base + *used : NULL;
    *used += lmn_align_up((size_t)bytes, 64);
    return at;
}

/* Lay the parts out from `base`; with NULL only the size counts. */
static size_t lay_out(const lmn_qgemm_plan *p, uint8_t *base, parts *s)
{
    size_t used = 0;
    s->b = p->stream ? NULL : take(base, &used, p->nc / p->row->nr * b_panel(p));
    s->a = take(base, &used, p->row->mr * a_step(p));
    s->slab = p->bring ? take(base, &used, SLAB * p->nc + LMN_QGEMM_SPILL) : NULL;
    s->row_sum = take(base, &used, p->mc * 4);
    s->row_add = take(base, &used, p->mc * 4);
    s->col_sum = take(base, &used, p->nc * 4);
    s->col_add = take(base, &used, p->nc * 4);
    s->col_zp = take(base, &used, p->nc * 4);
    s->col_mul = take(base, &used, p->nc * 4);
    s->col_bias = take(base, &used, p->nc * 4);
    s->part = p->stream || p->kc < p->k ? take(base, &used, p->mc * p->nc * 4) : NULL;
    return used;
}

void lmn_qgemm_plan_make(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, lmn_qgemm_plan *out)
{
    lmn_assert(s->m >= 0 && s->n >= 0 && s->k >= 0 && s->n_batch >= 0);
    *out = (lmn_qgemm_plan){.row = row, .m = s->m, .n = s->n, .k = s->k, .n_batch = s->n_batch};
    out->bring = s->bring;
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return;
    out->kc = lmn_split_even(s->k, KC, 64); /* whole groups of every row */
    if (out->kc > s->k) out->kc = s->k;
    out->stream = row->stream && s->m <= LMN_QGEMM_STREAM_M && !s->bring;
    if (out->stream)
        cut_stream(out);
    else
        cut_blocks(out);
    parts none;
    out->scratch_bytes = lay_out(out, NULL, &none);
    out->n_chunks = out->m_blocks * out->n_blocks * s->n_batch;
}

/* One chunk: rows i .. i + m - 1, columns j .. j + n - 1 of an item. */
typedef struct work {
    const lmn_qgemm_plan *p;
    const lmn_qgemm_args *args;
    parts s;
    int64_t item, i, j, m, n;
    uint8_t a_flip, b_flip;
    bool pack_a; /* rows of A are copied, not used where they lie */
    lmn_qgemm_end end;
} work;

/* B's k rows from k0 on into panels. */
static void pack_b(const work *w, int64_t k0, int64_t k)
{
    const lmn_qgemm_args *args = w->args;
    const lmn_qgemm_row *row = w->p->row;
    lmn_qgemm_pack b = {.dst = w->s.b, .step = b_panel(w->p), .n = w->n, .flip = w->b_flip};
    b.sums = w->s.col_sum;
    if (!w->p->bring) {
        b.src = args->b + w->item * args->b_batch + k0 * args->ldb + w->j;
        b.ld = args->ldb, b.k = k;
        row->pack_b(&b);
        return;
    }
    for (int64_t done = 0; done < k; done += SLAB) {
        const lmn_qgemm_slab slab = {.item = w->item,
                                     .k0 = k0 + done,
                                     .k = lmn_min_i64(SLAB, k - done),
                                     .col = w->j,
                                     .n = w->n,
                                     .dst = w->s.slab};
        args->bring(args->bring_ctx, &slab);
        b.src = w->s.slab, b.ld = w->n, b.k = slab.k;
        b.dst = w->s.b + done * row->nr * row->b_bytes;
        row->pack_b(&b);
    }
}

/* The zero points as they are of the packed operands, A as u8 and B as s8. */
static int32_t a_zp_of(const work *w, int32_t zp)
{
    return zp + (w->a_flip ? 128 : 0);
}
static int32_t b_zp_of(const work *w, int32_t zp)
{
    return zp - (w->b_flip ? 128 : 0);
}

/*
 * sum (a - za)(b - zb) = sum a b - za (sum b - k zb) - zb sum a, for the columns of the chunk. With
 * one za the middle term is part of col_add.
 */
static void column_terms(work *w)
{
    const lmn_qgemm_args *args = w->args;
    const parts *s = &w->s;
    const uint32_t k = (uint32_t)w->p->k, za = (uint32_t)a_zp_of(w, args->a_zp);
    for (int64_t j = 0; j < w->n; j++) {
        const int32_t zb = b_zp_of(w, args->b_zps ? args->b_zps[w->j + j] : args->b_zp);
        const uint32_t sum = (uint32_t)s->col_sum[j] - k * (uint32_t)zb;
        uint32_t add = args->col_bias ? (uint32_t)args->col_bias[w->j + j] : 0;
        if (!args->a_zps) add -= za * sum;
        s->col_sum[j] = (int32_t)sum, s->col_add[j] = (int32_t)add, s->col_zp[j] = zb;
        if (args->out == LMN_QGEMM_F32 && args->col_bias_f32)
            s->col_bias[j] = args->col_bias_f32[w->j + j];
        if (args->out != LMN_QGEMM_I32 && !args->row_mul)
            s->col_mul[j] = args->col_mul ? args->col_mul[w->j + j] : args->mul;
    }
}

/* Terms of rows i .. i + m - 1 of the chunk. */
static void row_terms(const work *w, int64_t i, int64_t m, int32_t *zps)
{
    const lmn_qgemm_args *args = w->args;
    const uint32_t zb = (uint32_t)b_zp_of(w, args->b_zp);
    for (int64_t r = 0; r < m; r++) {
        uint32_t add = args->row_bias ? (uint32_t)args->row_bias[w->i + i + r] : 0;
        if (!args->b_zps && zb) add -= zb * (uint32_t)w->s.row_sum[i + r];
        w->s.row_add[i + r] = (int32_t)add;
        if (args->a_zps) zps[r] = a_zp_of(w, args->a_zps[w->i + i + r]);
    }
}

/* A's rows i .. i + m - 1, k long from k0 on, as the row takes them. */
static void pack_a(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k)
{
    const lmn_qgemm_args *args = w->args;
    const lmn_qgemm_pack pack = {
        .dst = w->s.a,
        .step = a_step(w->p),
        .src = args->a + w->item * args->a_batch + (w->i + i) * args->lda + k0,
        .ld = args->lda,
        .k = k,
        .n = m,
        .flip = w->a_flip,
        .sums = w->s.row_sum + i,
    };
    w->p->row->pack_a(&pack);
}

/* The block's end for rows i .. i + m - 1; zps has room for m. */
static void set_end(const work *w, int64_t i, int64_t m, int32_t *zps, lmn_qgemm_end *end)
{
    const lmn_qgemm_args *args = w->args;
    const bool scaled = args->out != LMN_QGEMM_I32;
    row_terms(w, i, m, zps);
    *end = w->end;
    end->row_add = w->s.row_add + i, end->col_add = w->s.col_add;
    if (args->b_zps) end->row_sum = w->s.row_sum + i, end->col_zp = w->s.col_zp;
    if (args->a_zps) end->row_zp = zps, end->col_sum = w->s.col_sum;
    if (scaled && args->row_mul) end->row_mul = args->row_mul + w->i + i;
    if (scaled && !args->row_mul) end->col_mul = w->s.col_mul;
    if (args->out == LMN_QGEMM_F32 && args->col_bias_f32) end->col_bias = w->s.col_bias;
    if (args->plus) end->plus = args->plus + (w->i + i) * args->ld_plus + w->j;
    end->c = (uint8_t *)w->end.c + i * args->ldc * (args->out == LMN_QGEMM_BYTES ? 1 : 4);
}

/* Rows i .. i + m - 1 over the packed columns, for k rows from k0 on. */
static void strip(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k)
{
    const lmn_qgemm_args *args = w->args;
    lmn_qgemm_block t = {.b = w->s.b, .b_panel = b_panel(w->p), .m = m, .n = w->n, .k = k};
    int32_t zps[32];
    lmn_assert(w->p->row->mr <= (int32_t)LMN_COUNT(zps));
    t.a = args->a + w->item * args->a_batch + (w->i + i) * args->lda + k0, t.lda = args->lda;
    if (w->pack_a) {
        pack_a(w, i, m, k0, k);
        t.a = w->s.a, t.lda = a_step(w->p);
    }
    t.first = k0 == 0, t.last = k0 + k >= w->p->k;
    if (w->s.part) t.part = w->s.part + i * w->p->nc, t.ld_part = w->p->nc;
    if (t.last) set_end(w, i, m, zps, &t.end);
    w->p->row->block(&t);
}

/* All rows of the chunk at once: sums first, then their end by a block without k. */
static void stream(work *w)
{
    const lmn_qgemm_args *args = w->args;
    const int64_t nc = w->p->nc;
    pack_a(w, 0, w->m, 0, w->p->k);
    const lmn_qgemm_stream s = {.a = w->s.a,
                                .a_step = a_step(w->p),
                                .b = args->b + w->item * args->b_batch + w->j,
                                .ldb = args->ldb,
                                .m = w->m,
                                .n = w->n,
                                .k = w->p->k,
                                .flip = w->b_flip,
                                .part = w->s.part,
                                .ld_part = nc,
                                .col_sum = w->s.col_sum};
    w->p->row->stream(&s);
    column_terms(w);
    lmn_qgemm_block t = {.m = w->m, .n = w->n, .part = w->s.part, .ld_part = nc, .last = true};
    int32_t zps[LMN_QGEMM_STREAM_M];
    t.a = w->s.a, t.b = w->s.a; /* not read */
    set_end(w, 0, w->m, zps, &t.end);
    w->p->row->block(&t);
}

void lmn_qgemm_chunk(const lmn_qgemm_plan *p, const lmn_qgemm_args *args, int64_t chunk,
                     void *scratch)
{
    lmn_assert(chunk >= 0 && chunk < p->n_chunks);
    const int64_t per_item = p->m_blocks * p->n_blocks;
    work w = {.p = p, .args = args, .item = chunk / per_item};
    w.i = chunk % per_item % p->m_blocks * p->mc, w.j = chunk % per_item / p->m_blocks * p->nc;
    w.m = lmn_min_i64(p->mc, p->m - w.i), w.n = lmn_min_i64(p->nc, p->n - w.j);
    if (w.m <= 0 || w.n <= 0) return; /* lmn_split_even rounds up: a last block may be empty */
    (void)lay_out(p, scratch, &w.s);
    w.a_flip = args->a_signed ? 0x80 : 0, w.b_flip = args->b_signed ? 0 : 0x80;
    w.pack_a = w.a_flip || p->row->a_bytes != 1 || p->k % p->row->group || args->b_zps ||
               b_zp_of(&w, args->b_zp);
    w.end = (lmn_qgemm_end){.out = args->out,
                            .div = args->div,
                            .zp = args->zp,
                            .lo = args->lo,
                            .hi = args->hi,
                            .ld_plus = args->ld_plus,
                            .ldc = args->ldc};
    const int64_t at = w.item * args->c_batch + w.i * args->ldc + w.j;
    w.end.c = (uint8_t *)args->c + at * (args->out == LMN_QGEMM_BYTES ? 1 : 4);
    memset(w.s.row_sum, 0, (size_t)w.m * 4);
    memset(w.s.col_sum, 0, (size_t)p->nc * 4);
    if (p->stream) {
        stream(&w);
        return;
    }
    int64_t k0 = 0;
    do {
        const int64_t k = lmn_min_i64(p->kc, p->k - k0);
        pack_b(&w, k0, k);
        if (k0 + k >= p->k) column_terms(&w);
        for (int64_t i = 0; i < w.m; i += p->row->mr)
            strip(&w, i, lmn_min_i64(p->row->mr, w.m - i), k0, k);
        k0 += k;
    } while (k0 < p->k);
}
