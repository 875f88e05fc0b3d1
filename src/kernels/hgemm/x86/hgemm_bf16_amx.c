/*
 * bf16 hgemm row on AMX: blocks of 32 x 32 in four accumulator tiles (0..3), two tiles of A (4, 5)
 * and two of B (6, 7), 32 k a step. Rows of A stay in the first cache while all panels of B pass,
 * or, if they are long, a panel does while all rows of A pass. The rows left over have a
 * configuration of their own. Sums of a whole block stay in their tiles until the next block takes
 * those; where something is left to be done with them they leave by a small buffer while it
 * multiplies. Few rows go to vdpbf16ps with row-major B.
 */
#define HG_NR 32
#define HG_OWN_NT
#include "kernels/hgemm/hgemm_amx_leave_tmpl.h"

HG_DEFINE(amx)

enum { STEP_K = 32, B_STEP = HG_NR * PAIR * (int)sizeof(uint16_t) };

/* Of 32 rows of A that stay in the first cache while all panels pass, read in order from the
   second. */
enum { NEAR_BYTES = 32 << 10 };

/* Tiles for blocks of top + bottom rows, bottom may be 0, and k at once. */
static void configure(amx_cfg *c, int64_t top, int64_t bottom, int64_t k)
{
    const int64_t row_bytes = k * (int64_t)sizeof(uint16_t);
    *c = (amx_cfg){0};
    amx_cfg_tile(c, 0, top, AMX_ROW_BYTES), amx_cfg_tile(c, 1, top, AMX_ROW_BYTES);
    amx_cfg_tile(c, 4, top, row_bytes);
    if (bottom) {
        amx_cfg_tile(c, 2, bottom, AMX_ROW_BYTES), amx_cfg_tile(c, 3, bottom, AMX_ROW_BYTES);
        amx_cfg_tile(c, 5, bottom, row_bytes);
    }
    amx_cfg_tile(c, 6, k / PAIR, AMX_ROW_BYTES), amx_cfg_tile(c, 7, k / PAIR, AMX_ROW_BYTES);
}

/* From this k on the end of the tile before comes first: steps so many are no longer at work
   together when their loop is done. */
enum { LONG_K = 128 };

typedef struct place {
    const char *a, *low, *b; /* low: the second tile of A */
    const int64_t *at;       /* elements of A from its start, of every step; NULL = they follow */
    int64_t a_step;          /* bytes from row to row */
    const float *from;       /* sums that come first; NULL = none */
    float *to;
    int64_t from_step, to_step; /* bytes */
    int64_t k, step;            /* elements, and those of a step */
    const char *next; /* `lines` lines, next_apart bytes apart, are fetched a step; NULL = none */
    int64_t lines, next_apart, next_step; /* bytes to those of the next step */
    int64_t soon;                         /* rows of `to` that are fetched a step, of two lines */
    bool once;                            /* B is not met again soon, by all that L1 holds */
} place;

/* A tile begins: what it holds leaves, then it is the sums that come first, or 0. `at`: bytes from
   the first of them, rows apart as both are. */
#define BEGIN(tile, row, at)                                                                 \
    do {                                                                                     \
        if (out) AMX_STORE(tile, out + (row)*out_step + (at), out_step);                     \
        if (p->from)                                                                         \
            AMX_LOAD(tile, (const char *)p->from + (row)*p->from_step + (at), p->from_step); \
        else                                                                                 \
            AMX_ZERO(tile);                                                                  \
    } while (0)

/* lower: are there two tiles of A; right: and of B; far: is there something to fetch; windows:
   p->at counts; kind: of the end between the steps. Constants at every call. */
VF_INLINE void block32(const place *p, waiting *w, const bool lower, const bool right,
                       const bool far, const bool windows, const easing_kind kind)
{
    const bool eased = kind != NOT_EASED, add = kind == EASED_ADD;
    const bool once = p->once;
    const int act = kind == EASED_SILU        ? LMN_EPI_SILU
                    : kind == EASED_GELU      ? LMN_EPI_GELU
                    : kind == EASED_GELU_TANH ? LMN_EPI_GELU_TANH
                                              : 0;
    const bool whole = lower && right;
    easing e = {.left = 0};
    if (!whole || (!eased && w->m)) let_go(w);
    if (eased) e = ease_begin(w, add);
    /* rows after each of two products a step: behind the first there are none yet, behind the
       second those of the upper tiles, and what that leaves undone the others have room for */
    const int64_t step = windows ? STEP_K : p->step, slots = 2 * p->k / step - 1;
    const int64_t rows = eased ? (2 * AMX_ROWS + slots - 1) / slots : 0;
    if (p->k >= LONG_K) leave_last(w);
    char *out = w->held;
    const int64_t out_step = w->held_step;
    const char *next = p->next, *soon = (const char *)p->to,
               *past = soon + 2 * AMX_ROWS * p->to_step;
    const int64_t lines = p->lines, next_apart = p->next_apart, next_step = p->next_step;
    const char *a0 = p->a, *a1 = p->low, *b = p->b;
    for (int64_t k = 0; k < p->k; k += step) {
        const bool first = k == 0;
        for (int64_t i = 0; far && i < lines; i++) __builtin_prefetch(next + i * next_apart, 0, 2);
        next += next_step;
        for (int64_t i = 0; far && i < p->soon && soon < past; i++, soon += p->to_step)
            __builtin_prefetch(soon, 1, 2), __builtin_prefetch(soon + 64, 1, 2);
        const int64_t at = (windows ? p->at[k / STEP_K] : k) * (int64_t)sizeof(uint16_t);
        AMX_LOAD(4, a0 + at, p->a_step);
        if (!eased) AMX_APART();
        AMX_LOAD_EITHER(6, b, B_STEP, !windows && once);
        if (!eased) AMX_APART();
        if (first) BEGIN(0, 0, 0);
        if (right) AMX_LOAD_EITHER(7, b + AMX_ROW_BYTES, B_STEP, !windows && once);
        if (!eased) AMX_APART();
        if (lower) AMX_LOAD(5, a1 + at, p->a_step);
        if (!eased) AMX_APART();
        AMX_BF16(0, 4, 6);
        if (eased && !first) ease(&e, rows, add, act);
        if (right && first) BEGIN(1, 0, AMX_ROW_BYTES);
        if (right) AMX_BF16(1, 4, 7);
        if (eased) ease(&e, first ? lmn_min_i64(rows, e.left) : rows, add, act);
        if (lower && first) BEGIN(2, AMX_ROWS, 0);
        if (lower) AMX_BF16(2, 5, 6);
        if (whole && first) BEGIN(3, AMX_ROWS, AMX_ROW_BYTES);
        if (whole) AMX_BF16(3, 5, 7);
        b += step / PAIR * B_STEP;
    }
    if (p->k <= 0) {
        BEGIN(0, 0, 0);
        if (right) BEGIN(1, 0, AMX_ROW_BYTES);
        if (lower) BEGIN(2, AMX_ROWS, 0);
        if (whole) BEGIN(3, AMX_ROWS, AMX_ROW_BYTES);
    }
    leave_last(w);
    char *to = (char *)p->to;
    if (whole) {
        w->held = to, w->held_step = p->to_step;
        return;
    }
    AMX_STORE(0, to, p->to_step);
    if (right) AMX_STORE(1, to + AMX_ROW_BYTES, p->to_step);
    if (lower) AMX_STORE(2, to + AMX_ROWS * p->to_step, p->to_step);
}
#undef BEGIN

/* Two tiles by two, of which the one before may be eased. */
VF_INLINE void block_whole(const place *p, waiting *w, const bool windows)
{
    const easing_kind kind = easing_of(w, p->k);
    if (kind == EASED)
        block32(p, w, true, true, true, windows, EASED);
    else if (kind == EASED_ADD)
        block32(p, w, true, true, true, windows, EASED_ADD);
    else if (kind == EASED_SILU)
        block32(p, w, true, true, true, windows, EASED_SILU);
    else if (!windows && kind == EASED_GELU)
        block32(p, w, true, true, true, windows, EASED_GELU);
    else if (!windows && kind == EASED_GELU_TANH)
        block32(p, w, true, true, true, windows, EASED_GELU_TANH);
    else if (p->next || p->soon)
        block32(p, w, true, true, true, windows, NOT_EASED);
    else
        block32(p, w, true, true, false, windows, NOT_EASED);
}

static void block_any(const place *p, waiting *w, bool lower, bool right)
{
    if (lower && right)
        block_whole(p, w, false);
    else if (lower)
        block32(p, w, true, false, false, false, NOT_EASED);
    else if (right)
        block32(p, w, false, true, false, false, NOT_EASED);
    else
        block32(p, w, false, false, false, false, NOT_EASED);
}

/* The blocks of a panel, those of two tiles of rows, share the fetching of the next, a line of 64
   bytes for every k: that of the block-th. */
VF_INLINE void fetch_panel(place *p, int64_t b_panel, int64_t block, int64_t blocks)
{
    const int64_t share = lmn_max_i64(1, blocks);
    const int64_t lines = (p->step + share - 1) / share;
    const int64_t from = block * lines * (p->k / p->step);
    if (from >= p->k) return;
    p->lines = lines, p->next_apart = 64, p->next_step = lines * 64;
    p->next = p->b + b_panel * (int64_t)sizeof(uint16_t) + from * 64;
}

/* The panels that pass a strip share the fetching of the next one, a line of each row a step: those
   of the panel-th. */
VF_INLINE void fetch_rows(place *p, const char *rows, int64_t panel, int64_t panels)
{
    const int64_t each = (2 * AMX_ROWS + panels - 1) / panels, from = panel * each;
    if (from >= 2 * AMX_ROWS) return;
    p->lines = lmn_min_i64(each, 2 * AMX_ROWS - from), p->next_apart = p->a_step;
    p->next_step = p->step * (int64_t)sizeof(uint16_t);
    p->next = rows + from * p->a_step;
}

/* A block's residual and the lines that it leaves to: too far apart for the hardware to foresee.
   Stores alone find them as fast. */
static void leave_soon(const lmn_hgemm_head *h, int64_t i, int64_t j, int64_t m)
{
    for (int64_t r = i; h->add && r < i + m; r++) {
        __builtin_prefetch(h->out + r * h->out_ld + j, 1);
        if (h->add != h->out) __builtin_prefetch(h->add + r * h->out_ld + j);
    }
}

/* m <= 32 rows and n <= 32 columns of sums; C itself takes them where nothing is left to do. */
static void block_at(const lmn_hgemm_block *t, int64_t i, int64_t j, int64_t m, float *sums,
                     bool once, waiting *w)
{
    const int64_t n = lmn_min_i64(HG_NR, t->n - j);
    float *c = t->c + i * t->ldc + j;
    place p = {.a = (const char *)t->a + i * t->lda * (int64_t)sizeof(uint16_t),
               .b = (const char *)t->b + j / HG_NR * t->b_panel * (int64_t)sizeof(uint16_t),
               .a_step = t->lda * (int64_t)sizeof(uint16_t),
               .from = t->beta ? c : NULL,
               .from_step = t->ldc * (int64_t)sizeof(float),
               .k = t->k,
               .step = lmn_hgemm_step(t->k, STEP_K),
               .once = once};
    const bool direct = n == HG_NR && !t->head && !goes_past(t);
    p.to = direct ? c : sums, p.to_step = direct ? p.from_step : HG_NR * (int64_t)sizeof(float);
    p.low = p.a + AMX_ROWS * p.a_step;
    if (direct && t->c_far && t->k >= SOON_K) p.soon = (AMX_ROWS * p.step * 2 + t->k - 1) / t->k;
    if (t->b_far) fetch_panel(&p, t->b_panel, i / 32, (t->m + AMX_ROWS - 1) / 32);
    if (t->a_next && t->m == 32)
        fetch_rows(&p, t->a_next, j / HG_NR, lmn_ceil_div_i64(t->n, HG_NR));
    if (t->head && t->head->out) leave_soon(t->head, i, j, m);
    if (p.from && n < HG_NR) {
        const vm low = vm_first(n), high = vm_first(n - VF_LANES);
        for (int64_t r = 0; r < m; r++) {
            vf_store(sums + r * HG_NR, vf_loadm(c + r * t->ldc, low));
            vf_store(sums + r * HG_NR + VF_LANES, vf_loadm(c + r * t->ldc + VF_LANES, high));
        }
        p.from = sums, p.from_step = p.to_step;
    }
    block_any(&p, w, m > AMX_ROWS, n > VF_LANES);
    if (!direct) w->t = t, w->sums = sums, w->i = i, w->j = j, w->m = m, w->n = n;
}

/* Whole blocks of rows from the first on, and the rows left over. */
typedef struct rows_of {
    int64_t whole, rest;
    amx_cfg all, last;
    float (*sums)[32 * HG_NR]; /* two, in turn */
    int turn;
    bool once; /* see place */
} rows_of;

/* Rows stay while panels pass, and a panel stays while rows pass. */
static void by_rows(const lmn_hgemm_block *t, rows_of *r, waiting *w)
{
    if (r->whole > 0) amx_enter(&r->all);
    for (int64_t i = 0; i < r->whole; i += 32)
        for (int64_t j = 0; j < t->n; j += HG_NR)
            block_at(t, i, j, 32, r->sums[r->turn ^= 1], r->once, w);
    if (r->rest > 0) let_go(w), amx_enter(&r->last);
    for (int64_t j = 0; r->rest > 0 && j < t->n; j += HG_NR)
        block_at(t, r->whole, j, r->rest, r->sums[r->turn ^= 1], r->once, w);
}
static void by_panels(const lmn_hgemm_block *t, rows_of *r, waiting *w)
{
    if (r->whole > 0) amx_enter(&r->all);
    for (int64_t j = 0; j < t->n; j += HG_NR) {
        if (r->whole > 0 && r->rest > 0 && j > 0) let_go(w), amx_enter(&r->all);
        for (int64_t i = 0; i < r->whole; i += 32)
            block_at(t, i, j, 32, r->sums[r->turn ^= 1], r->once, w);
        if (r->rest > 0 && (r->whole > 0 || j == 0)) let_go(w), amx_enter(&r->last);
        if (r->rest > 0) block_at(t, r->whole, j, r->rest, r->sums[r->turn ^= 1], r->once, w);
    }
}

void lmn_hgemm_bf16_block_amx(const lmn_hgemm_block *t)
{
    const int64_t step = lmn_hgemm_step(t->k, STEP_K);
    float sums[2][32 * HG_NR] __attribute__((aligned(64)));
    waiting w = {.m = 0};
    rows_of r = {.whole = t->m / 32 * 32, .rest = t->m % 32, .sums = sums};
    configure(&r.all, AMX_ROWS, AMX_ROWS, step);
    configure(&r.last, lmn_min_i64(r.rest, AMX_ROWS), lmn_max_i64(0, r.rest - AMX_ROWS), step);
    const int64_t panel = t->k * HG_NR * (int64_t)sizeof(uint16_t);
    const bool stays = !t->b_far && panel <= NEAR_BYTES; /* 32 rows are as many bytes */
    r.once = stays ? panel * t->n > 2 * NEAR_BYTES * HG_NR : panel > NEAR_BYTES;
    if (stays)
        by_rows(t, &r, &w);
    else
        by_panels(t, &r, &w);
    let_go(&w);
    amx_leave();
    leave_last(&w);
    if (goes_past(t)) vf_fence();
}

/* ---- windows -----------------------------------------------------------------------------------
 */

/* Tile `tile` of all lines: its first output, and how many of its rows are outputs. */
typedef struct run {
    int64_t i, m;
    const char *a;
} run;

static run run_of(const lmn_hgemm_lines *t, int64_t tile, int64_t rows)
{
    const int64_t per_line = lmn_ceil_div_i64(t->width, AMX_ROWS);
    const int64_t line = tile / per_line, x = tile % per_line * rows;
    return (run){.i = line * t->width + x,
                 .m = lmn_min_i64(rows, t->width - x),
                 .a = (const char *)(t->a + line * t->line + x * t->step)};
}

/* The outputs of two tiles, the second of which may be none, by the panel of column j. */
static void lines_at(const lmn_hgemm_lines *t, const lmn_hgemm_block *end, const run r[2],
                     int64_t j, place *p, float *sums, waiting *w)
{
    p->a = r[0].a, p->low = r[1].m ? r[1].a : r[0].a, p->to = sums;
    leave_soon(t->head, r[0].i, j, r[0].m);
    leave_soon(t->head, r[1].i, j, r[1].m);
    const int64_t n = lmn_min_i64(HG_NR, t->n - j);
    if (n <= VF_LANES)
        block32(p, w, true, false, false, true, NOT_EASED);
    else
        block_whole(p, w, true);
    w->t = end, w->sums = sums, w->i = r[0].i, w->j = j, w->m = r[0].m, w->n = n;
    w->next_i = r[1].i, w->next_m = r[1].m;
}

lmn_hgemm_lines_fn lmn_hgemm_bf16_lines_amx;

/* Two tiles of A are runs of any two lines. */
void lmn_hgemm_bf16_lines_amx(const lmn_hgemm_lines *t)
{
    const int64_t rows = lmn_conv_line_rows(t->width);
    const int64_t tiles = t->n_lines * lmn_ceil_div_i64(t->width, AMX_ROWS);
    float sums[2][32 * HG_NR] __attribute__((aligned(64)));
    const lmn_hgemm_block end = {.head = t->head};
    waiting w = {.m = 0};
    int turn = 0;
    amx_cfg cfg;
    configure(&cfg, rows, rows, STEP_K);
    amx_enter(&cfg);
    for (int64_t j = 0; j < t->n; j += HG_NR)
        for (int64_t i = 0; i < tiles; i += 2) {
            const run r[2] = {run_of(t, i, rows),
                              i + 1 < tiles ? run_of(t, i + 1, rows) : (run){.m = 0}};
            place p = {.b = (const char *)(t->b + j / HG_NR * t->b_panel),
                       .at = t->at,
                       .a_step = t->step * (int64_t)sizeof(uint16_t),
                       .to_step = HG_NR * (int64_t)sizeof(float),
                       .k = t->k,
                       .step = STEP_K};
            if (t->b_far && j + HG_NR < t->n) fetch_panel(&p, t->b_panel, i / 2, tiles / 2);
            lines_at(t, &end, r, j, &p, sums[turn ^= 1], &w);
        }
    let_go(&w);
    amx_leave();
    leave_last(&w);
}

lmn_hgemm_small_fn lmn_hgemm_bf16_turned_amx;

static void small_nt_run(const lmn_hgemm_small *t)
{
    lmn_hgemm_bf16_turned_amx(t);
}
