/*
 * Shape in, blocks out; and other blocks than the rule's, offered and checked.
 */
#include "kernels/qgemm/qgemm_parts.h"

#include "kernels/split.h"

/* Tuned on Zen 4 with kcheck --bench; any value gives the same integers. */
enum {
    KC = 4864,                /* longest k of a packed block */
    NC = 384,                 /* columns of a packed block */
    MC = 512,                 /* rows of a chunk */
    B_BYTES = 384 << 10,      /* a row says its own for a transposed B */
    STREAM_UNIT = 192,        /* whole panels and whole vectors of every row */
    STREAM_N = 4032,          /* columns of B read as one piece, a multiple of that */
    STREAM_BYTES = 256 << 10, /* of B: worth a chunk */
    PAGES_K = 1024,           /* more rows of B than the TLB has pages ... */
    PAGES_BYTES = 4 << 20,    /* ... where each is a page or most of one: */
    PAGES_KC = 256,           /* few rows of A take fewer of them, and wide blocks */
    SHORT_K = 64,             /* sums so short are mostly C ... */
    SHORT_BYTES = 256 << 10   /* ... while B stays in L2 */
};
/* What a chunk should not pass; coming to it, packing and gathering an element of B (split.h). */
static const double max_chunk_madds = 640 << 20, chunk_madds = 12e4;
static const double pack_madds = 16, bring_madds = 48;
/* A C this large, a thread's share of it, has left the caches when it is read. */
static const int64_t past_bytes = 32 << 20;

static void cut_blocks(lmn_qgemm_plan *p)
{
    const int64_t nr = p->row->nr;
    const bool in_rows = !p->bring && !p->trans_b && !p->packed;
    const bool wide = in_rows && p->m <= ROWS_M && p->k > PAGES_K && p->k * p->n >= PAGES_BYTES;
    if (wide) p->kc = lmn_split_even(p->k, PAGES_KC, 64);
    const int64_t most = p->trans_b && !p->packed ? p->row->bt_bytes : B_BYTES;
    const int64_t fit = most / (lmn_max_i64(1, p->kc) * p->row->b_bytes) / nr * nr;
    lmn_cut c = {.m = p->m, .n = p->n, .k = p->k, .items = p->n_batch};
    c.mr = p->row->mr, c.nr = nr, c.threads = p->threads;
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
   slow. */
static void cut_stream(lmn_qgemm_plan *p)
{
    const bool halves = p->n <= STREAM_N && p->n * p->k >= 2 * STREAM_BYTES;
    int64_t most = halves ? lmn_ceil_div_i64(p->n, 2) : STREAM_N;
    if (p->trans_b) most = lmn_round_up_i64(STREAM_BYTES / lmn_max_i64(1, p->k) + 1, STREAM_UNIT);
    p->kc = p->k, p->mc = p->m;
    p->nc = lmn_split_even(p->n, most, STREAM_UNIT);
    p->m_blocks = 1, p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

void lmn_qgemm_plan_make(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, lmn_qgemm_plan *out)
{
    lmn_assert(s->m >= 0 && s->n >= 0 && s->k >= 0 && s->n_batch >= 0);
    *out = (lmn_qgemm_plan){.row = row, .m = s->m, .n = s->n, .k = s->k, .n_batch = s->n_batch};
    out->bring = s->bring, out->trans_b = s->trans_b, out->packed = s->packed, out->rows = s->rows;
    out->threads = s->threads > 1 ? s->threads : 1;
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return;
    out->kc = lmn_split_even(s->k, KC, 64); /* whole groups of every row */
    if (out->kc > s->k) out->kc = s->k;
    out->stream = s->trans_b ? row->dot && s->m <= LMN_QGEMM_DOT_M
                             : row->stream && s->m <= LMN_QGEMM_STREAM_M;
    if (s->bring || s->packed || s->rows) out->stream = false;
    if (out->stream)
        cut_stream(out);
    else
        cut_blocks(out);
    out->c_past = !s->bring && !s->rows && s->m * s->n / out->threads > past_bytes;
    parts none;
    out->scratch_bytes = lay_out(out, NULL, &none);
    out->n_chunks = out->m_blocks * out->n_blocks * s->n_batch;
}

/* ---- choices -----------------------------------------------------------------------------------
 */

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
