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
    KC = 4864, /* longest k of a packed block */
    NC = 384,  /* columns of a packed block */
    MC = 512,  /* rows of a chunk */
    B_BYTES = 384 << 10,
    STREAM_N = 4032,          /* columns of B read as one piece, a multiple of 192 */
    STREAM_BYTES = 256 << 10, /* of B: worth a chunk */
    SLAB = 64,                /* rows of B brought at once */
    ROWS_M = 64,
    ROWS_BYTES = 256 << 10, /* rows of A brought at once */
    FAR_BYTES = 1 << 20,    /* packed B comes from beyond L2 */
    PAGES_K = 1024,         /* more rows of B than the TLB has pages ... */
    PAGES_BYTES = 4 << 20,  /* ... where each is a page or most of one: */
    PAGES_KC = 256,         /* few rows of A take fewer of them, and wide blocks */
    SHORT_K = 64,           /* sums so short are mostly C ... */
    SHORT_BYTES = 256 << 10 /* ... while B stays in L2 */
};
/* What a chunk should not pass; coming to it, packing and gathering an element of B (split.h). */
static const double max_chunk_madds = 640 << 20, chunk_madds = 12e4;
static const double pack_madds = 16, bring_madds = 48;

static void cut_blocks(lmn_qgemm_plan *p, int32_t threads)
{
    const int64_t nr = p->row->nr;
    const bool in_rows = !p->bring && !p->trans_b && !p->packed;
    const bool wide = in_rows && !(p->row->head.isa & LMN_ISA_AMX) && p->m <= ROWS_M &&
                      p->k > PAGES_K && p->k * p->n >= PAGES_BYTES;
    if (wide) p->kc = lmn_split_even(p->k, PAGES_KC, 64);
    const int64_t fit = B_BYTES / (lmn_max_i64(1, p->kc) * p->row->b_bytes) / nr * nr;
    lmn_cut c = {.m = p->m, .n = p->n, .k = p->k, .items = p->n_batch};
    c.mr = p->row->mr, c.nr = nr, c.threads = threads > 1 ? threads : 1;
    /* panels that few rows pass need not stay */
    const bool once = p->packed && p->m <= ROWS_M;
    c.mc = MC, c.nc = once ? NC : lmn_min_i64(wide ? fit : NC, lmn_max_i64(2 * nr, fit));
    /* whole rows of C, in the order of its memory */
    if (!p->bring && p->k <= SHORT_K && p->k * p->n <= SHORT_BYTES)
        c.nc = lmn_round_up_i64(p->n, nr);
    c.pack = p->packed ? 0 : p->bring ? bring_madds : pack_madds;
    c.come = chunk_madds, c.most = max_chunk_madds;
    lmn_cut_blocks(&c);
    p->mc = c.mc, p->nc = c.nc;
    p->m_blocks = lmn_ceil_div_i64(p->m, p->mc), p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

/* B is read in pieces of a chunk's columns: rows of a row-major one in few, for short ones are
 * slow.
 */
static void cut_stream(lmn_qgemm_plan *p)
{
    const int64_t unit = 192; /* whole panels and whole vectors of every row */
    const bool halves = p->n <= STREAM_N && p->n * p->k >= 2 * STREAM_BYTES;
    int64_t most = halves ? lmn_ceil_div_i64(p->n, 2) : STREAM_N;
    if (p->trans_b) most = lmn_round_up_i64(STREAM_BYTES / lmn_max_i64(1, p->k) + 1, unit);
    p->kc = p->k, p->mc = p->m;
    p->nc = lmn_split_even(p->n, most, unit);
    p->m_blocks = 1, p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

/* What a worker's scratch holds, in this order. */
typedef struct parts {
    uint8_t *b, *a, *raw, *slab, *room;
    int32_t *row_sum, *row_add, *row_zp, *col_sum, *col_add, *col_zp, *part;
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
/* The same of rows that args->rows brings. */
static int64_t raw_step(const lmn_qgemm_plan *p)
{
    return lmn_round_up_i64(p->kc, 64) + 64;
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

/* Rows of A that are copied at once, of those that are. */
static int64_t strip_rows(const lmn_qgemm_plan *p)
{
    const int64_t mr = p->row->mr;
    const int64_t most = lmn_min_i64(ROWS_M, ROWS_BYTES / raw_step(p)) / mr * mr;
    return p->stream ? p->m : p->rows || p->packed ? lmn_max_i64(most, mr) : mr;
}

/* Lay the parts out from `base`; with NULL only the size counts. */
static size_t lay_out(const lmn_qgemm_plan *p, uint8_t *base, parts *s)
{
    size_t used = 0;
    const int64_t strip = strip_rows(p);
    s->b = p->stream || p->packed ? NULL : take(base, &used, p->nc / p->row->nr * b_panel(p));
    s->a = take(base, &used, strip * a_step(p));
    s->raw = p->rows ? take(base, &used, strip * raw_step(p)) : NULL;
    s->slab = p->bring ? take(base, &used, SLAB * p->nc + LMN_QGEMM_SPILL) : NULL;
    const int64_t room = p->stream && p->trans_b ? p->row->dot_room : 0;
    s->room = take(base, &used, lmn_round_up_i64(p->k, 64) * room);
    s->row_sum = take(base, &used, p->mc * 4);
    s->row_add = take(base, &used, p->mc * 4);
    s->row_zp = take(base, &used, p->mc * 4);
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
    out->bring = s->bring, out->trans_b = s->trans_b, out->packed = s->packed, out->rows = s->rows;
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return;
    out->kc = lmn_split_even(s->k, KC, 64); /* whole groups of every row */
    if (out->kc > s->k) out->kc = s->k;
    out->stream = s->trans_b ? row->dot && s->m <= LMN_QGEMM_DOT_M
                             : row->stream && s->m <= LMN_QGEMM_STREAM_M;
    if (s->bring || s->packed || s->rows) out->stream = false;
    if (out->stream)
        cut_stream(out);
    else
        cut_blocks(out, s->threads);
    parts none;
    out->scratch_bytes = lay_out(out, NULL, &none);
    out->n_chunks = out->m_blocks * out->n_blocks * s->n_batch;
}

/* ---- choices -----------------------------------------------------------------------------------
 */

enum { STREAM_UNIT = 192 }; /* whole panels and whole vectors of every row */

bool lmn_qgemm_plan_as(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, const lmn_choice *c,
                       lmn_qgemm_plan *out)
{
    lmn_qgemm_plan_make(row, s, out);
    lmn_qgemm_plan p = *out;
    const int64_t n_unit = p.stream ? STREAM_UNIT : row->nr;
    if (row->head.isa == 0 || p.n_chunks == 0 || s->trans_b || s->packed || s->rows) return false;
    if (!lmn_choice_in_range(c) || c->path) return false;
    if (c->mc % row->mr || c->nc % n_unit || c->kc % 64 || c->kc > KC) return false;
    if (p.stream && (c->mc || c->kc)) return false;
    if (c->kc) p.kc = lmn_min_i64(c->kc, p.k);
    if (c->mc) p.mc = lmn_min_i64(c->mc, lmn_round_up_i64(p.m, row->mr));
    if (c->nc) p.nc = lmn_min_i64(c->nc, lmn_round_up_i64(p.n, n_unit));
    if (p.mc * p.nc * p.k > lmn_max_i64(max_chunk_madds, out->mc * out->nc * out->k)) return false;
    p.m_blocks = lmn_ceil_div_i64(p.m, p.mc), p.n_blocks = lmn_ceil_div_i64(p.n, p.nc);
    p.n_chunks = p.m_blocks * p.n_blocks * p.n_batch;
    parts none;
    p.scratch_bytes = lay_out(&p, NULL, &none);
    if (p.n_chunks > lmn_max_i64(LMN_CHOICE_CHUNKS_MAX, out->n_chunks)) return false;
    if (p.scratch_bytes > LMN_CHOICE_SCRATCH_MAX && p.scratch_bytes > out->scratch_bytes)
        return false;
    *out = p;
    return true;
}

static bool same_plan(const lmn_qgemm_plan *a, const lmn_qgemm_plan *b)
{
    return a->mc == b->mc && a->nc == b->nc && a->kc == b->kc;
}

/* x of a block in units, at least one. */
static int32_t units(int64_t x, int64_t unit)
{
    return (int32_t)lmn_min_i64(LMN_CHOICE_BLOCK_MAX / unit * unit,
                                lmn_max_i64(1, (x + unit / 2) / unit) * unit);
}

void lmn_qgemm_choices(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, lmn_choices *out)
{
    lmn_qgemm_plan rule, p, other;
    out->n = 0;
    lmn_qgemm_plan_make(row, s, &rule);
    const int64_t mu = row->mr, nu = rule.stream ? STREAM_UNIT : row->nr;
    const int32_t half_m = units(rule.mc / 2, mu), twice_m = units(rule.mc * 2, mu);
    const int32_t half_n = units(rule.nc / 2, nu), twice_n = units(rule.nc * 2, nu);
    const int32_t half_k = units(rule.kc / 2, 64);
    const lmn_choice block[] = {{0, twice_m, 0, 0},
                                {0, 0, twice_n, 0},
                                {0, half_m, 0, 0},
                                {0, 0, half_n, 0},
                                {0, twice_m, half_n, 0},
                                {0, half_m, twice_n, 0},
                                {0, 0, units(rule.nc * 3 / 2, nu), 0},
                                {0, 0, units(rule.nc * 3 / 4, nu), 0},
                                {0, 0, twice_n, half_k},
                                {0, 0, 0, half_k},
                                {0, 0, 0, units(rule.kc * 2, 64)}};
    for (size_t i = 0; i < LMN_COUNT(block); i++) {
        bool fresh = lmn_qgemm_plan_as(row, s, &block[i], &p) && !same_plan(&p, &rule);
        for (int32_t k = 0; fresh && k < out->n; k++)
            fresh = lmn_qgemm_plan_as(row, s, &out->at[k], &other) && !same_plan(&p, &other);
        if (!fresh) continue;
        out->other_bits[out->n] = false;
        out->at[out->n++] = block[i];
    }
}

/* One chunk: rows i .. i + m - 1, columns j .. j + n - 1 of an item. */
typedef struct work {
    const lmn_qgemm_plan *p;
    const lmn_qgemm_args *args;
    parts s;
    int64_t item, i, j, m, n;
    const uint8_t *packed; /* B, of the item */
    uint8_t a_flip, b_flip;
    bool a_signed; /* and taken so */
    bool pack_a;   /* rows of A are copied, not used where they lie */
    lmn_qgemm_end end;
} work;

/* A panel of nr columns of a B that lies [n][k], by a row that packs row-major ones. */
static void pack_turned(const lmn_qgemm_row *row, const lmn_qgemm_pack *b)
{
    enum { MOST = 48 };
    uint8_t turned[SLAB * MOST];
    lmn_assert(row->nr <= MOST);
    for (int64_t j = 0; j < b->n; j += row->nr) {
        const int64_t n = lmn_min_i64(row->nr, b->n - j);
        for (int64_t k0 = 0; k0 < b->k; k0 += SLAB) {
            lmn_qgemm_pack one = *b;
            one.k = lmn_min_i64(SLAB, b->k - k0), one.n = n;
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < one.k; k++)
                    turned[k * n + i] = b->src[(j + i) * b->ld + k0 + k];
            one.src = turned, one.ld = n, one.sums = b->sums + j;
            one.dst = (uint8_t *)b->dst + j / row->nr * b->step + k0 * row->nr * row->b_bytes;
            row->pack_b(&one);
        }
    }
}

static void pack_panels(const lmn_qgemm_row *row, bool trans_b, const lmn_qgemm_pack *b)
{
    if (trans_b && row->pack_bt)
        row->pack_bt(b);
    else if (trans_b)
        pack_turned(row, b);
    else
        row->pack_b(b);
}

static int64_t packed_panel(const lmn_qgemm_row *row, int64_t k)
{
    return lmn_round_up_i64(k, row->group) * row->nr * row->b_bytes;
}
/* Bytes of the panels alone. */
static int64_t packed_panels(const lmn_qgemm_row *row, int64_t k, int64_t n)
{
    return lmn_ceil_div_i64(n, row->nr) * packed_panel(row, k);
}

int64_t lmn_qgemm_packed_bytes(const lmn_qgemm_row *row, int64_t k, int64_t n)
{
    return packed_panels(row, k, n) + lmn_round_up_i64(lmn_round_up_i64(n, row->nr) * 4, 64);
}

void lmn_qgemm_prepack(const lmn_qgemm_row *row, bool trans_b, bool b_signed, const uint8_t *b,
                       int64_t ldb, int64_t k, int64_t n, void *packed)
{
    void *sums = (uint8_t *)packed + packed_panels(row, k, n);
    memset(sums, 0, (size_t)lmn_round_up_i64(n, row->nr) * 4);
    const lmn_qgemm_pack p = {.dst = packed,
                              .step = packed_panel(row, k),
                              .src = b,
                              .ld = ldb,
                              .k = k,
                              .n = n,
                              .flip = b_signed ? 0 : 0x80,
                              .sums = sums};
    pack_panels(row, trans_b, &p);
}

/* B's k rows from k0 on into panels. */
static void pack_b(const work *w, int64_t k0, int64_t k)
{
    const lmn_qgemm_args *args = w->args;
    const lmn_qgemm_row *row = w->p->row;
    lmn_qgemm_pack b = {.dst = w->s.b, .step = b_panel(w->p), .n = w->n, .flip = w->b_flip};
    b.sums = w->s.col_sum;
    if (!w->p->bring) {
        b.src = args->b + w->item * args->b_batch +
                (w->p->trans_b ? w->j * args->ldb + k0 : k0 * args->ldb + w->j);
        b.ld = args->ldb, b.k = k;
        pack_panels(row, w->p->trans_b, &b);
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

enum { WIDE = 16 }; /* arrays of columns hold whole sixteens; compilers vectorise loops of them */

static void fill(float *x, float v, int64_t n)
{
    for (int64_t j = 0; j < n; j += WIDE)
        for (int l = 0; l < WIDE; l++) x[j + l] = v;
}

/*
 * sum (a - za)(b - zb) = sum a b - za (sum b - k zb) - zb sum a, for the columns of the chunk. With
 * one za the middle term is part of col_add.
 */
static void column_terms(const work *w)
{
    const lmn_qgemm_args *args = w->args;
    int32_t *restrict sum = w->s.col_sum, *restrict add = w->s.col_add;
    const uint32_t k = (uint32_t)w->p->k;
    const uint32_t za = args->a_zps ? 0 : (uint32_t)a_zp_of(w, args->a_zp);
    const uint32_t off = args->b_zps ? 0 : k * (uint32_t)b_zp_of(w, args->b_zp);
    for (int64_t j = 0; args->b_zps && j < w->n; j++) {
        const int32_t zb = b_zp_of(w, args->b_zps[w->j + j]);
        w->s.col_zp[j] = zb, sum[j] = (int32_t)((uint32_t)sum[j] - k * (uint32_t)zb);
    }
    if (za || off || args->a_zps) {
        for (int64_t j = 0; j < w->n; j += WIDE)
            for (int l = 0; l < WIDE; l++) {
                const uint32_t s = (uint32_t)sum[j + l] - off;
                sum[j + l] = (int32_t)s, add[j + l] = (int32_t) - (za * s);
            }
    } else {
        memset(add, 0, (size_t)w->n * sizeof *add);
    }
    for (int64_t j = 0; args->col_bias && j < w->n; j++)
        add[j] = (int32_t)((uint32_t)add[j] + (uint32_t)args->col_bias[w->j + j]);
    const size_t floats = (size_t)w->n * sizeof(float);
    if (args->out == LMN_QGEMM_F32 && args->col_bias_f32)
        memcpy(w->s.col_bias, args->col_bias_f32 + w->j, floats);
    if (args->out == LMN_QGEMM_I32 || args->row_mul) return;
    if (args->col_mul)
        memcpy(w->s.col_mul, args->col_mul + w->j, floats);
    else
        fill(w->s.col_mul, args->mul, w->n);
}

/* Terms of rows i .. i + m - 1 of the chunk. */
static void row_terms(const work *w, int64_t i, int64_t m)
{
    const lmn_qgemm_args *args = w->args;
    const uint32_t zb = (uint32_t)b_zp_of(w, args->b_zp);
    const bool sums = !args->b_zps && zb;
    if (!args->row_bias && !sums) memset(w->s.row_add + i, 0, (size_t)m * 4);
    for (int64_t r = i; (args->row_bias || sums) && r < i + m; r++) {
        uint32_t add = args->row_bias ? (uint32_t)args->row_bias[w->i + r] : 0;
        if (sums) add -= zb * (uint32_t)w->s.row_sum[r];
        w->s.row_add[r] = (int32_t)add;
    }
    for (int64_t r = i; args->a_zps && r < i + m; r++)
        w->s.row_zp[r] = a_zp_of(w, args->a_zps[w->i + r]);
}

/* A's rows i .. i + m - 1, k long from k0 on, as the row takes them; *step is set. */
static const uint8_t *bring_a(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k,
                              int64_t *step)
{
    const lmn_qgemm_args *args = w->args;
    const uint8_t *src = w->s.raw;
    int64_t ld = raw_step(w->p);
    if (w->p->rows) {
        const lmn_qgemm_strip strip = {w->item, w->i + i, m, k0, k, w->s.raw, ld};
        args->rows(args->rows_ctx, &strip);
    } else {
        src = args->a + w->item * args->a_batch + (w->i + i) * args->lda + k0;
        ld = args->lda;
    }
    *step = w->pack_a ? a_step(w->p) : ld;
    if (!w->pack_a) return src;
    const lmn_qgemm_pack pack = {.dst = w->s.a,
                                 .step = a_step(w->p),
                                 .src = src,
                                 .ld = ld,
                                 .k = k,
                                 .n = m,
                                 .flip = w->a_flip,
                                 .sums = w->s.row_sum + i};
    w->p->row->pack_a(&pack);
    return w->s.a;
}

/* The block's end for rows i .. i + m - 1. */
static void set_end(const work *w, int64_t i, int64_t m, lmn_qgemm_end *end)
{
    const lmn_qgemm_args *args = w->args;
    const bool scaled = args->out != LMN_QGEMM_I32;
    row_terms(w, i, m);
    *end = w->end;
    end->row_add = w->s.row_add + i, end->col_add = w->s.col_add;
    if (args->b_zps) end->row_sum = w->s.row_sum + i, end->col_zp = w->s.col_zp;
    if (args->a_zps) end->row_zp = w->s.row_zp + i, end->col_sum = w->s.col_sum;
    if (scaled && args->row_mul) end->row_mul = args->row_mul + w->i + i;
    if (scaled && !args->row_mul) end->col_mul = w->s.col_mul;
    if (args->out == LMN_QGEMM_F32 && args->col_bias_f32) end->col_bias = w->s.col_bias;
    if (args->plus) end->plus = args->plus + (w->i + i) * args->ld_plus + w->j;
    end->c = (uint8_t *)w->end.c + i * args->ldc * (args->out == LMN_QGEMM_BYTES ? 1 : 4);
}

/* Rows i .. i + m - 1 over the packed columns, for k rows from k0 on. */
static void strip(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k)
{
    const lmn_qgemm_row *row = w->p->row;
    lmn_qgemm_block t = {.b = w->s.b, .b_panel = b_panel(w->p), .m = m, .n = w->n, .k = k};
    t.a_signed = w->a_signed;
    if (w->p->packed) {
        t.b_panel = packed_panel(row, w->p->k);
        t.b = w->packed + w->j / row->nr * t.b_panel + k0 * row->nr * row->b_bytes;
        t.b_far = packed_panels(row, w->p->k, w->p->n) > FAR_BYTES;
    }
    t.a = bring_a(w, i, m, k0, k, &t.lda);
    /* whole groups: what lies behind rows that were brought meets weights of 0 */
    if (w->p->rows && !w->pack_a) t.k = lmn_round_up_i64(k, row->group);
    t.first = k0 == 0, t.last = k0 + k >= w->p->k;
    if (w->s.part) t.part = w->s.part + i * w->p->nc, t.ld_part = w->p->nc;
    if (t.last) set_end(w, i, m, &t.end);
    row->block(&t);
}

/* All rows of the chunk at once: sums first, then their end by a block without k. */
static void stream(const work *w)
{
    const lmn_qgemm_args *args = w->args;
    const lmn_qgemm_plan *p = w->p;
    const bool sums = args->a_zps || a_zp_of(w, args->a_zp);
    lmn_qgemm_stream s = {.ldb = args->ldb,
                          .m = w->m,
                          .n = w->n,
                          .k = p->k,
                          .flip = w->b_flip,
                          .part = w->s.part,
                          .ld_part = p->nc,
                          .room = w->s.room};
    s.a = bring_a(w, 0, w->m, 0, p->k, &s.a_step);
    s.b = args->b + w->item * args->b_batch + (p->trans_b ? w->j * args->ldb : w->j);
    s.col_sum = sums || !p->trans_b ? w->s.col_sum : NULL;
    (p->trans_b ? p->row->dot : p->row->stream)(&s);
    column_terms(w);
    lmn_qgemm_block t = {.m = w->m, .n = w->n, .part = w->s.part, .ld_part = p->nc, .last = true};
    t.a = w->s.a, t.b = w->s.a; /* not read */
    set_end(w, 0, w->m, &t.end);
    p->row->block(&t);
}

/* Must rows of A be copied? Where they lie in a form that the row does not take, or where their
   sums are wanted. */
static bool copies_a(const work *w)
{
    const lmn_qgemm_plan *p = w->p;
    if (w->a_flip || p->row->a_bytes != 1 || w->args->b_zps || b_zp_of(w, w->args->b_zp))
        return true;
    if (p->stream && !p->trans_b) return p->k % 4;                      /* whole fours are read */
    if (p->stream && p->m > 4 && w->args->lda % 4096 == 0) return true; /* rows share sets */
    return p->k % p->row->group && !p->row->any_k && !p->stream;
}

/* The columns of a chunk that is not streamed, k piece by piece. */
static void blocks(const work *w)
{
    const lmn_qgemm_plan *p = w->p;
    const int64_t mr = p->row->mr, most = w->pack_a || p->rows ? strip_rows(p) : w->m;
    int64_t step = lmn_ceil_div_i64(w->m, lmn_ceil_div_i64(w->m, most)); /* dealt evenly */
    if (most > mr || mr > WIDE) step = lmn_min_i64(most, lmn_round_up_i64(step, mr));
    int64_t k0 = 0;
    if (p->packed)
        memcpy(w->s.col_sum, w->packed + packed_panels(p->row, p->k, p->n) + w->j * 4,
               (size_t)w->n * 4);
    do {
        const int64_t k = lmn_min_i64(p->kc, p->k - k0);
        if (!p->packed) pack_b(w, k0, k);
        if (k0 + k >= p->k) column_terms(w);
        for (int64_t i = 0; i < w->m; i += step) strip(w, i, lmn_min_i64(step, w->m - i), k0, k);
        k0 += k;
    } while (k0 < p->k);
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
    w.b_flip = args->b_signed ? 0 : 0x80;
    /* packing sums rows as u8 */
    const bool sums = args->b_zps || b_zp_of(&w, args->b_zp);
    w.a_signed = args->a_signed && p->row->signs && !p->stream && !sums;
    w.a_flip = args->a_signed && !w.a_signed ? 0x80 : 0;
    w.pack_a = copies_a(&w);
    if (p->packed) w.packed = args->b + w.item * args->b_batch;
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
    if (p->stream)
        stream(&w);
    else
        blocks(&w);
}
