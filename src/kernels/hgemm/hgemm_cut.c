/*
 * Shape in, block sizes out.
 */
#include "kernels/hgemm/hgemm_parts.h"

/* Tuned on Zen 4 with kcheck --bench; any value gives the same bits. */
enum {
    STAY_ELEMS = 448 << 10,   /* packed B that stays in L2 while rows pass, */
    STAY_KC = 2048,           /* and of it the longest k */
    MC = 512,                 /* rows of a chunk */
    WIDE = 8,                 /* times as many columns of short k, so that rows of C are long: */
    WIDE_K = 256,             /* as many as there are k in this */
    SLAB = 96,                /* k brought at once */
    SMALL_NN_M = 8,           /* rows for which row-major B is read and not packed ... */
    STREAM_ELEMS = 512 << 10, /* ... unless it is so large that reading it is most of the work */
    LONG_M = 32,              /* rows by such a B in pairs: so many of its rows at a time, of so */
    LONG_KC = 96,             /* many columns, are packed, so that what is read is long, by these */
    LONG_N = 4096,            /* rows and more and, of a B so large that it comes from memory, */
    LONG_LEAST_M = 16,        /* by all */
    LONG_ELEMS = 8 << 20,
    STREAM_N = 4096, /* columns of row-major B read as one piece */
    STREAM_BYTES = 256 << 10,
    FEW_NT_M = 32,        /* rows by transposed B whatever C is; of f32 as many as the row takes */
    ROOM_BYTES = 1 << 20, /* while their copy stays in L2, */
    ROOM_TIMES = 8,       /* and so many times as many columns for a copy, */
    COPY_SHARES = 4,      /* or in pairs so many chunks of a thread */
    PANELS_MC = 256,      /* rows and columns of a chunk whose panels pass one by one: A in L2, */
    PANELS_NC = 1024,     /* and C */
    ONCE_ELEMS = 320 << 10, /* packed B still in L2, where every block of it rounds A of f32 anew */
    FAR_M = 64,             /* rows that leave little time to fetch packed B from beyond L2, */
    FAR_ELEMS = 96 << 10,   /* and then a block of it, as near one stream as that is */
    LINE_N = 4,             /* panels that one row meets side by side, */
    SHARES = 16,            /* and so many chunks of such a thread */
    LINE_ELEMS = 32 << 20,  /* of panels that one row meets in a chunk, and of transposed B, */
    LINE_SUMS = 64 << 10,   /* in so many columns: of short k scratch would be larger than C; */
    RUNS_M = 4,             /* so few rows read it as four runs, the longer the better */
    ROWS_NC = 1024,         /* columns that share rows brought together, */
    ROWS_SUMS = 64 << 10    /* and their sums */
};
/* The last columns beyond whole panels of the tile, if they are few: a tile would leave its lanes
   idle. Not tuning: what they decide is the order of sums (hgemm_plan.h). */
enum { THIN_N = 8, THIN_M = 16, THIN_K = 64 };
static const int64_t past_elems = 8 << 20; /* a C this large has left the caches when it is read */
/* What a chunk should not pass; coming to it, packing and gathering an element of B (split.h). */
static const double max_chunk_madds = 320 << 20, chunk_madds = 6e4;
static const double max_panels_madds = 1280 << 20; /* tiles are so much faster */
static const double pack_madds = 16, bring_madds = 32;

/* Columns of a chunk of weights that a few rows read as runs: a thread that is held up leaves some
   chunks to others. */
static int64_t run_columns(const lmn_hgemm_plan *p)
{
    const int64_t shares = p->threads > 1 ? SHARES * p->threads : 1;
    const int64_t most = lmn_min_i64(LINE_SUMS, LINE_ELEMS / lmn_max_i64(1, p->k));
    return lmn_min_i64(lmn_ceil_div_i64(p->n, shares), most);
}

/* Is row-major B packed for a few rows? */
static bool by_long_rows(const lmn_hgemm_plan *p)
{
    const int32_t other = LMN_HGEMM_PACKED | LMN_HGEMM_BRING | LMN_HGEMM_TRANS_B | LMN_HGEMM_B_F32 |
                          LMN_HGEMM_TRANS_A | LMN_HGEMM_ROWS;
    if (p->row->group != 2 || p->m > LONG_M || is(p, other)) return false;
    return p->k * p->n >= (p->m >= LONG_LEAST_M ? STREAM_ELEMS : LONG_ELEMS);
}

static void cut_blocks(lmn_hgemm_plan *p)
{
    lmn_cut c = {.m = p->m, .n = p->n, .k = p->k, .items = p->n_batch, .threads = p->threads};
    c.mr = p->row->mr, c.nr = p->row->nr, c.mc = MC;
    c.nc = NC * lmn_max_i64(1, lmn_min_i64(WIDE, WIDE_K / lmn_max_i64(1, p->k)));
    c.pack = is(p, LMN_HGEMM_PACKED) ? 0 : is(p, LMN_HGEMM_BRING) ? bring_madds : pack_madds;
    c.come = chunk_madds, c.most = max_chunk_madds;
    if (is(p, LMN_HGEMM_ROWS) && !by_panels(p)) {
        c.nc = lmn_min_i64(ROWS_NC, lmn_round_up_i64(p->n, c.nr));
        c.mc = lmn_max_i64(p->row->strip, ROWS_SUMS / c.nc);
    }
    const bool few = b_far(p) && p->m <= FAR_M && p->row->elem == 2 && !by_panels(p);
    if (is(p, LMN_HGEMM_PACKED) && is(p, LMN_HGEMM_A_F32) && !by_panels(p) && !few) {
        const int64_t most = ONCE_ELEMS / lmn_max_i64(1, p->kc) / c.nr * c.nr;
        c.nc = lmn_max_i64(c.nc, lmn_min_i64(lmn_round_up_i64(p->n, c.nr), most));
    }
    if (few && a_in_place(p)) {
        const int64_t most = FAR_ELEMS / lmn_max_i64(1, p->kc) / c.nr * c.nr;
        c.nc = lmn_max_i64(c.nr, lmn_min_i64(c.nc, most));
    }
    if (by_rows(p)) {
        c.nc = lmn_max_i64(c.nr, STAY_ELEMS / p->kc / c.nr * c.nr), c.most = max_panels_madds;
        c.nc = lmn_split_even(p->n, c.nc, c.nr);
        c.mc = lmn_max_i64(MC, (int64_t)c.most / (c.nc * p->k) / c.mr * c.mr);
    }
    if (by_long_rows(p)) {
        const int64_t most = (int64_t)c.most / (p->m * p->k) / c.nr * c.nr;
        c.nc = lmn_max_i64(c.nr, lmn_min_i64(most, lmn_round_up_i64(LONG_N, c.nr)));
    }
    if (by_panels(p)) {
        const bool once = p->kc >= p->k && !c_apart(p); /* of A, and then for all columns */
        c.mc = PANELS_MC, c.nc = PANELS_NC * (once ? 2 : 1), c.most = max_panels_madds;
    }
    if (is_line(p)) c.nc = lmn_max_i64(lmn_round_up_i64(run_columns(p), c.nr), LINE_N * c.nr);
    lmn_cut_blocks(&c);
    p->mc = c.mc, p->nc = c.nc;
    p->m_blocks = lmn_ceil_div_i64(p->m, p->mc), p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

/* Pieces of a B that is read once; rows of row-major B in long pieces. */
static void cut_stream(lmn_hgemm_plan *p)
{
    const int64_t k = lmn_max_i64(1, p->k), least = lmn_max_i64(1, STREAM_BYTES / 2 / k);
    p->kc = p->k, p->mc = p->m, p->m_blocks = 1;
    if (is(p, LMN_HGEMM_TRANS_B) && p->row->nt_room && p->row->group == 2 && p->m > RUNS_M) {
        const int64_t most = (int64_t)max_chunk_madds / (p->m * k);
        const int64_t shares = p->threads > 1 ? COPY_SHARES * p->threads : 1;
        const int64_t n = lmn_min_i64(most, lmn_ceil_div_i64(p->n, shares));
        p->nc = lmn_split_even(p->n, lmn_round_up_i64(lmn_max_i64(least, n), 16), 16);
    } else if (is(p, LMN_HGEMM_TRANS_B) && !lmn_hgemm_dots(p->row->group, p->m, p->k)) {
        const int64_t each = lmn_ceil_div_i64(p->n, p->threads);
        const int64_t most = (int64_t)max_chunk_madds / (p->m * k);
        const int64_t n = lmn_min_i64(most, lmn_min_i64(each, ROOM_TIMES * p->m));
        p->nc = lmn_split_even(p->n, lmn_round_up_i64(lmn_max_i64(least, n), 32), 32);
    } else if (is(p, LMN_HGEMM_TRANS_B)) {
        const int64_t runs = p->m <= RUNS_M ? run_columns(p) : 0;
        p->nc = lmn_split_even(p->n, lmn_round_up_i64(lmn_max_i64(least, runs), 16), 16);
    } else if (p->n <= STREAM_N && p->n * k >= STREAM_BYTES)
        p->nc = lmn_split_even(p->n, lmn_ceil_div_i64(p->n, 2), 64);
    else
        p->nc = lmn_split_even(p->n, lmn_round_up_i64(least, STREAM_N), 64);
    p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
}

static int64_t thin_columns(const lmn_hgemm_plan *p)
{
    if (p->row->group != 2 || p->small || p->k % 2 || !a_in_place(p)) return 0;
    if (!is(p, LMN_HGEMM_B_F32 | LMN_HGEMM_BRING) || is(p, LMN_HGEMM_TRANS_B | LMN_HGEMM_PACKED))
        return 0;
    const int64_t left = p->n % p->row->nr;
    const bool large = p->n > p->row->nr && p->m >= THIN_M && p->k >= THIN_K;
    return large && left <= THIN_N && left <= p->row->small_nt_m ? left : 0;
}

/* Most rows that small_nt is for. */
static int64_t most_nt(const lmn_hgemm_row *row, const lmn_hgemm_shape *s)
{
    const int64_t bytes = lmn_round_up_i64(s->m, 32) * s->k * row->nt_room;
    const bool few = bytes > ROOM_BYTES || !(s->flags & LMN_HGEMM_C_F32);
    return few ? lmn_min_i64(FEW_NT_M, row->small_nt_m) : row->small_nt_m;
}

void lmn_hgemm_plan_make(const lmn_hgemm_row *row, const lmn_hgemm_shape *s, lmn_hgemm_plan *out)
{
    lmn_assert(s->m >= 0 && s->n >= 0 && s->k >= 0 && s->n_batch >= 0);
    lmn_assert(row->rows_f32 || !(s->flags & (LMN_HGEMM_A_F32 | LMN_HGEMM_B_F32)));
    *out = (lmn_hgemm_plan){.row = row, .m = s->m, .n = s->n, .k = s->k, .flags = s->flags};
    out->n_batch = s->n_batch, out->threads = s->threads > 1 ? s->threads : 1;
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return;
    const int32_t packed = LMN_HGEMM_B_F32 | LMN_HGEMM_TRANS_A | LMN_HGEMM_BRING | LMN_HGEMM_PACKED;
    int64_t most =
        s->k * s->n >= STREAM_ELEMS ? row->small_m : lmn_min_i64(SMALL_NN_M, row->small_m);
    if (s->flags & LMN_HGEMM_TRANS_B) most = most_nt(row, s);
    out->small = s->m <= most && !(s->flags & packed) && !by_long_rows(out);
    if (out->small) {
        cut_stream(out);
    } else {
        int64_t unit = row->group;
        if (s->k_unit > 0) {
            out->slab = lmn_max_i64(1, SLAB / (2 * s->k_unit)) * 2 * s->k_unit;
            unit *= s->k_unit;
        }
        const int64_t most_k = by_long_rows(out)                ? LONG_KC
                               : by_rows(out) || by_panels(out) ? STAY_KC
                                                                : KC;
        out->kc = lmn_split_even(s->k, lmn_max_i64(most_k / unit, 1) * unit, unit);
        if (is_line(out)) out->kc = s->k;
        out->slab = lmn_min_i64(out->slab, out->kc);
        out->thin = thin_columns(out);
        out->n -= out->thin;
        cut_blocks(out);
    }
    out->c_past = !out->small && out->kc >= s->k && !c_apart(out) && s->m * s->n > past_elems;
    parts none;
    out->scratch_bytes = lay_out(out, NULL, &none);
    out->n_chunks = out->m_blocks * out->n_blocks * s->n_batch;
}
