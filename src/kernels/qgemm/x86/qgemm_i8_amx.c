/*
 * qgemm row for AMX: 2 x 2 tiles, 32 x 32 sums, k 64 at a time. Packed k is padded to 64, so tiles
 * have 64 bytes a row and only their number of rows follows m. What is no product runs on the VNNI
 * row's functions, which every CPU of this level has.
 */
#include "kernels/qgemm/qgemm_amx_leave_tmpl.h"

/* From here on the end of the tile before comes first: steps so many are no longer at work together
   when their loop is done. */
enum { LONG_K = 512 };
/* From here on the end of a whole tile of bytes is dealt to the steps of the next. */
enum { EASE_K = 64 };
/* Rows of A of a block that stay in the first cache while panels from L2 pass. */
enum { NEAR_BYTES = 32 << 10 };

lmn_qgemm_block_fn lmn_qgemm_i8_block_amx;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_amx, lmn_qgemm_i8_taps_avx512vnni;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_amx, lmn_qgemm_i8_gather_avx512vnni;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_amx, lmn_qgemm_i8_windows_avx512vnni;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_amx, lmn_qgemm_i8_pack_b_amx, lmn_qgemm_i8_pack_bt_amx;
lmn_qgemm_lines_fn lmn_qgemm_i8_lines_amx;
lmn_qgemm_short_fn lmn_qgemm_i8_short_avx512vnni;

/* A tile: m <= MR rows at row i of the block, the panel at column j. */
typedef struct spot {
    int64_t i, j, m;
    const uint8_t *a, *low; /* rows of A, from the second half on */
    int64_t lda;
    const int64_t *steps; /* where every step of A begins; NULL = they follow */
    int64_t low_row;      /* of sums, that of low */
    const int32_t *from;  /* the sums it begins with, NULL = none */
    const int32_t *add;   /* else, not NULL: those of one row, the same for all */
    int32_t *to;
    int64_t ld;          /* sums from row to row of from and to */
    const uint8_t *next; /* `lines` lines from here on are fetched a step; NULL = none */
    int64_t lines;
} spot;

/* The tiles of a panel share the fetching of the next, 32 lines for every step of k. */
ALWAYS void fetch_panel(const lmn_qgemm_block *t, spot *at)
{
    const int64_t tiles = lmn_max_i64(1, (t->m + AMX_ROWS - 1) / MR), steps = t->k / DEEP;
    const int64_t lines = (NR + tiles - 1) / tiles;
    const int64_t from = at->i / MR * lines * steps;
    if (from >= NR * steps) return;
    at->lines = lines;
    at->next = (const uint8_t *)t->b + (at->j / NR + 1) * t->b_panel + from * 64;
}

/* How the end of the tile before runs between the steps. */
typedef enum easing_kind { NOT_EASED, EASED, EASED_SMALL } easing_kind;

/* sgn: is A signed. */
#define PRODUCT(c, a, b)       \
    do {                       \
        if (sgn)               \
            AMX_S8S8(c, a, b); \
        else                   \
            AMX_U8S8(c, a, b); \
    } while (0)

/* A tile begins: what it holds leaves to `to`, then it is the sums that come first, or 0. */
#define BEGIN(tile, to, first)                  \
    do {                                        \
        if (out) AMX_STORE(tile, to, out_step); \
        if (from)                               \
            AMX_LOAD(tile, first, apart * 4);   \
        else                                    \
            AMX_ZERO(tile);                     \
    } while (0)

enum { B_STEP = NR * FOUR }; /* bytes from row to row of a tile of B */

/* 16 or 32 rows by 16 or 32 sums; far: is there something to fetch; windows: at->steps counts. */
ALWAYS void multiply(const lmn_qgemm_block *t, const spot *at, waiting *w, const bool lower,
                     const bool right, const bool far, const bool windows, const easing_kind kind)
{
    const bool sgn = t->a_signed, whole = lower && right;
    const bool once = w->once;
    const bool eased = kind != NOT_EASED, small = kind == EASED_SMALL;
    easing e = {.left = 0};
    if (!whole || (!eased && w->s.rows)) let_go(w);
    if (eased) e = easing_of(w);
    /* of two rows, after each of two products a step; after the first product none has left yet */
    const int64_t slots = 2 * lmn_ceil_div_i64(t->k, DEEP) - 1;
    const int64_t pairs = eased ? (MR / 2 + slots - 1) / slots : 0;
    if (t->k >= LONG_K) leave_last(w);
    int32_t *out = w->held, *out_low = out ? out + w->held_upper * w->held_ld : NULL;
    const int64_t out_step = w->held_ld * 4, upper = out ? w->held_upper / 2 : pairs;
    const uint8_t *next = at->next;
    const int64_t lines = at->lines;
    const int64_t lda = at->lda, ld = at->ld;
    const uint8_t *a = at->a, *low = at->low;
    const uint8_t *b = (const uint8_t *)t->b + at->j / NR * t->b_panel;
    const int32_t *from = at->from ? at->from : at->add;
    const int64_t apart = at->from ? ld : 0;
    const int32_t *from_low = from ? from + AMX_ROWS * apart : NULL;
    for (int64_t k = 0; k < t->k; k += DEEP, b += DEEP * NR) {
        const bool first = k == 0;
        const int64_t off = windows ? at->steps[k / DEEP] : k;
        for (int64_t i = 0; far && i < lines; i++, next += 64) __builtin_prefetch(next, 0, 2);
        AMX_LOAD(4, a + off, lda);
        AMX_LOAD_EITHER(6, b, B_STEP, !windows && once);
        if (first) BEGIN(0, out, from);
        if (right) AMX_LOAD_EITHER(7, b + 64, B_STEP, !windows && once);
        if (lower) AMX_LOAD(5, low + off, lda);
        PRODUCT(0, 4, 6);
        if (eased && !first) ease(&e, pairs, small);
        if (right && first) BEGIN(1, out + LANES, from + LANES);
        if (right) PRODUCT(1, 4, 7);
        if (eased) ease(&e, first ? lmn_min_i64(pairs, upper) : pairs, small);
        if (lower && first) BEGIN(2, out_low, from_low);
        if (lower) PRODUCT(2, 5, 6);
        if (whole && first) BEGIN(3, out_low + LANES, from_low + LANES);
        if (whole) PRODUCT(3, 5, 7);
    }
    if (eased) ease(&e, MR / 2, small);
    if (t->k <= 0) {
        BEGIN(0, out, from);
        if (right) BEGIN(1, out + LANES, from + LANES);
        if (lower) BEGIN(2, out_low, from_low);
        if (whole) BEGIN(3, out_low + LANES, from_low + LANES);
    }
    leave_last(w);
    if (whole) {
        w->held = at->to, w->held_ld = ld, w->held_upper = at->low_row;
        return;
    }
    AMX_STORE(0, at->to, ld * 4);
    if (right) AMX_STORE(1, at->to + LANES, ld * 4);
    if (lower) AMX_STORE(2, at->to + at->low_row * ld, ld * 4);
}
#undef BEGIN

ALWAYS void panel(const lmn_qgemm_block *t, const spot *at, waiting *w, const bool windows)
{
    const bool lower = at->m > at->low_row, right = t->n - at->j > LANES;
    const bool eased = lower && right && t->k >= EASE_K && can_ease(w);
    if (eased && w->small)
        multiply(t, at, w, true, true, true, windows, EASED_SMALL);
    else if (eased)
        multiply(t, at, w, true, true, true, windows, EASED);
    else if (lower && right && at->next)
        multiply(t, at, w, true, true, true, windows, NOT_EASED);
    else if (lower && right)
        multiply(t, at, w, true, true, false, windows, NOT_EASED);
    else if (lower)
        multiply(t, at, w, true, false, false, windows, NOT_EASED);
    else if (right)
        multiply(t, at, w, false, true, false, windows, NOT_EASED);
    else
        multiply(t, at, w, false, false, false, windows, NOT_EASED);
}

/* A tile, by way of `sums`, and the end of the one before; its own waits in w. */
static void strip(const lmn_qgemm_block *t, spot *at, int32_t *sums, waiting *w)
{
    at->lda = t->lda, at->a = (const uint8_t *)t->a + at->i * t->lda;
    at->low = at->a + AMX_ROWS * t->lda, at->low_row = AMX_ROWS;
    if (t->b_far) fetch_panel(t, at);
    if (t->part && !t->first) at->from = t->part + at->i * t->ld_part + at->j;
    if (w->how == KEEP) {
        at->to = t->part + at->i * t->ld_part + at->j, at->ld = t->ld_part;
        panel(t, at, w, false);
        return;
    }
    if (w->direct && !at->from && t->n - at->j >= NR) {
        const __m512i add = _mm512_or_si512(_mm512_loadu_si512(t->end.col_add + at->j),
                                            _mm512_loadu_si512(t->end.col_add + at->j + LANES));
        at->add = _mm512_test_epi32_mask(add, add) ? t->end.col_add + at->j : NULL;
        at->to = (int32_t *)t->end.c + at->i * t->end.ldc + at->j, at->ld = t->end.ldc;
        panel(t, at, w, false);
        return;
    }
    if (at->from) { /* sums wait with another step than ours */
        for (int64_t i = 0; i < at->m; i++)
            memcpy(sums + i * NR, at->from + i * t->ld_part, NR * sizeof *sums);
        at->from = sums;
    }
    at->to = sums, at->ld = NR;
    panel(t, at, w, false);
    w->s = (tile_sums){sums, NR, at->i, at->j, at->m, lmn_min_i64(NR, t->n - at->j)};
}

/* Whole blocks of rows from the first on, and the rows left over, which have a configuration of
   their own. */
typedef struct rows_of {
    int64_t whole, rest;
    int32_t (*sums)[MR * NR]; /* two, in turn */
    int turn;
} rows_of;

static void enter_whole(waiting *w)
{
    let_go(w);
    configure(AMX_ROWS, AMX_ROWS);
}
static void enter_rest(const rows_of *r, waiting *w)
{
    let_go(w);
    configure(lmn_min_i64(r->rest, AMX_ROWS), lmn_max_i64(0, r->rest - AMX_ROWS));
}

/* The tile of r->whole rows at most at row i, by the panel of column j. */
static void tile_at(const lmn_qgemm_block *t, rows_of *r, int64_t i, int64_t j, waiting *w)
{
    spot at = {.i = i, .j = j, .m = i < r->whole ? MR : r->rest};
    strip(t, &at, r->sums[r->turn ^= 1], w);
}

/* Whole blocks: rows stay while panels pass, or a panel stays in the first cache or near it while
   rows pass. */
static void by_rows(const lmn_qgemm_block *t, rows_of *r, waiting *w)
{
    for (int64_t i = 0; i < r->whole; i += MR)
        for (int64_t j = 0; j < t->n; j += NR) tile_at(t, r, i, j, w);
}
static void by_panels(const lmn_qgemm_block *t, rows_of *r, waiting *w)
{
    for (int64_t j = 0; j < t->n; j += NR)
        for (int64_t i = 0; i < r->whole; i += MR) tile_at(t, r, i, j, w);
}
/* Panels from beyond L2 come once for all rows. */
static void by_far_panels(const lmn_qgemm_block *t, rows_of *r, waiting *w)
{
    for (int64_t j = 0; j < t->n; j += NR) {
        enter_whole(w);
        for (int64_t i = 0; i < r->whole; i += MR) tile_at(t, r, i, j, w);
        enter_rest(r, w);
        tile_at(t, r, r->whole, j, w);
    }
}

void lmn_qgemm_i8_block_amx(const lmn_qgemm_block *t)
{
    if (t->m <= 0 || t->n <= 0) return;
    int32_t sums[2][MR * NR] __attribute__((aligned(64)));
    rows_of r = {.whole = t->m / MR * MR, .rest = t->m % MR, .sums = sums};
    waiting w = {.end = &t->end, .how = leaving_of(t)};
    if (w.how == BYTES && !t->a_signed && is_short(t) && gives_small_bytes(t)) {
        lmn_qgemm_i8_short_avx512vnni(t, NR);
        return;
    }
    w.direct = w.how == INTS && rows_add_nothing(t);
    w.small = w.how == BYTES && gives_small_bytes(t);
    w.once = t->k * NR > NEAR_BYTES;
    if (t->b_far && r.whole && r.rest) {
        by_far_panels(t, &r, &w);
        r.rest = 0;
    } else if (r.whole) {
        enter_whole(&w);
        const bool stay = !t->b_far && (w.how == BYTES || w.direct) && t->k * MR <= NEAR_BYTES;
        if (stay) w.once = t->k * t->n > 2 * NEAR_BYTES;
        if (stay)
            by_rows(t, &r, &w);
        else
            by_panels(t, &r, &w);
    }
    if (r.rest) {
        enter_rest(&r, &w);
        for (int64_t j = 0; j < t->n; j += NR) tile_at(t, &r, r.whole, j, &w);
    }
    let_go(&w);
    amx_leave();
    leave_last(&w);
}

/* ---- windows -----------------------------------------------------------------------------------
 */

/* Tiles of lines, two of which are a block: its outputs follow each other, and so do its sums,
   whose upper tile leaves first. Of an odd number the last is read twice. */
static void lines_at(const lmn_qgemm_lines *t, const lmn_qgemm_block *all, int64_t tile, spot *at)
{
    const int64_t rows = lmn_conv_line_rows(t->width), per_line = lmn_ceil_div_i64(t->width, rows);
    const uint8_t *a[2];
    at->m = 0;
    for (int64_t half = 0; half < 2; half++) {
        const int64_t one = lmn_min_i64(tile + half, t->n_lines * per_line - 1);
        const int64_t x = one % per_line * rows, m = lmn_min_i64(rows, t->width - x);
        a[half] = t->a + one / per_line * t->line + x * t->step;
        if (half == 0) at->i = one / per_line * t->width + x, at->low_row = m;
        if (one == tile + half) at->m += m;
    }
    at->a = a[0], at->low = a[1], at->lda = t->step, at->steps = t->at;
    if (all->b_far) fetch_panel(all, at);
}

void lmn_qgemm_i8_lines_amx(const lmn_qgemm_lines *t)
{
    const int64_t rows = lmn_conv_line_rows(t->width);
    const int64_t tiles = t->n_lines * lmn_ceil_div_i64(t->width, rows);
    int32_t sums[2][MR * NR] __attribute__((aligned(64)));
    const lmn_qgemm_block all = {.b = t->b,
                                 .b_panel = t->b_panel,
                                 .m = t->width * t->n_lines,
                                 .n = t->n,
                                 .k = t->k,
                                 .b_far = t->b_far,
                                 .a_signed = t->a_signed,
                                 .end = t->end};
    waiting w = {.end = &all.end, .how = leaving_of(&all)};
    w.small = w.how == BYTES && gives_small_bytes(&all);
    int turn = 0;
    configure(rows, rows);
    for (int64_t j = 0; j < t->n; j += NR)
        for (int64_t i = 0; i < tiles; i += 2) {
            spot at = {.j = j, .to = sums[turn ^= 1], .ld = NR};
            lines_at(t, &all, i, &at);
            panel(&all, &at, &w, true);
            w.s = (tile_sums){at.to, NR, at.i, j, at.m, lmn_min_i64(NR, t->n - j)};
        }
    let_go(&w);
    amx_leave();
    leave_last(&w);
}

void lmn_qgemm_i8_pack_a_amx(const lmn_qgemm_pack *p)
{
    pack_a_run(p, DEEP);
}

void lmn_qgemm_i8_pack_b_amx(const lmn_qgemm_pack *p)
{
    pack_b_run(p, NR, DEEP);
}

void lmn_qgemm_i8_pack_bt_amx(const lmn_qgemm_pack *p)
{
    pack_bt_run(p, NR, DEEP);
}

void lmn_qgemm_i8_taps_amx(const lmn_qgemm_taps *t)
{
    lmn_qgemm_i8_taps_avx512vnni(t);
}

void lmn_qgemm_i8_gather_amx(const lmn_qgemm_gather *w)
{
    lmn_qgemm_i8_gather_avx512vnni(w);
}

void lmn_qgemm_i8_windows_amx(const lmn_qgemm_windows *w)
{
    lmn_qgemm_i8_windows_avx512vnni(w);
}
