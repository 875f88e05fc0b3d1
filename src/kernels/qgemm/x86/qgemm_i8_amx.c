/*
 * qgemm row for AMX: 2 x 2 tiles, 32 x 32 sums, k 64 at a time. Packed k is padded to 64, so tiles
 * have 64 bytes a row and only their number of rows follows m. What is no product runs on the VNNI
 * row's functions, which every CPU of this level has.
 */
#include "kernels/qgemm/qgemm_amx_tmpl.h"

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

/* Sums whose end is still to be made: behind the steps of the next tile, which are then still at
   work, before them where those are many, or, of whole tiles of bytes, between them. Whole ones are
   still in the tiles of the CPU, each of which is stored when the next sums begin in it. */
typedef struct waiting {
    const lmn_qgemm_end *end;
    tile_sums s; /* no rows = nothing */
    leaving how;
    bool direct;   /* INTS to which rows add nothing: whole panels go to C from the tiles */
    bool small;    /* gives_small_bytes */
    int32_t *held; /* where the tiles are to be stored; NULL = they are */
    int64_t held_ld, held_upper; /* sums from row to row, rows of the upper tiles */
} waiting;

/* Store what is held, before the tiles are configured anew or all of it is wanted. */
static void let_go(waiting *w)
{
    if (!w->held) return;
    int32_t *low = w->held + w->held_upper * w->held_ld;
    AMX_STORE(0, w->held, w->held_ld * 4);
    AMX_STORE(1, w->held + LANES, w->held_ld * 4);
    AMX_STORE(2, low, w->held_ld * 4);
    AMX_STORE(3, low + LANES, w->held_ld * 4);
    w->held = NULL;
}

/* What the columns of a tile's end have in common. */
typedef struct columns {
    packer p;
    __m512i add0, add1;
    __m512 mul0, mul1;
} columns;

/* by_col: is there a factor of each column, or of each row; right: are there more than 16. Both are
   constants, here and below. */
ALWAYS columns columns_of(const lmn_qgemm_end *e, int64_t j, const bool by_col, const bool right)
{
    const __m512 none = _mm512_setzero_ps();
    const __m512i zero = _mm512_setzero_si512();
    return (columns){.p = packer_of(e),
                     .add0 = _mm512_loadu_si512(e->col_add + j),
                     .add1 = right ? _mm512_loadu_si512(e->col_add + j + LANES) : zero,
                     .mul0 = by_col ? _mm512_loadu_ps(e->col_mul + j) : none,
                     .mul1 = by_col && right ? _mm512_loadu_ps(e->col_mul + j + LANES) : none};
}

/* A row of sums as words, to which `more` is added. small: of gives_small_bytes by factors of
   columns, nothing is; a constant, as right. */
ALWAYS __m512i row_words(const columns *k, const int32_t *sum, __m512i more, __m512 m0, __m512 m1,
                         const bool right, const bool small)
{
    if (small) {
        const __m512i v0 = _mm512_add_epi32(_mm512_loadu_si512(sum), k->add0);
        const __m512i v1 = _mm512_add_epi32(_mm512_loadu_si512(sum + LANES), k->add1);
        const __m512i w0 = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(v0), m0));
        const __m512i w1 = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(v1), m1));
        return _mm512_adds_epi16(_mm512_packs_epi32(w0, w1), k->p.zp);
    }
    const __m512i v0 = _mm512_add_epi32(_mm512_add_epi32(_mm512_loadu_si512(sum), k->add0), more);
    __m512 x0 = _mm512_mul_ps(_mm512_cvtepi32_ps(v0), m0), x1 = _mm512_setzero_ps();
    if (right) {
        const __m512i v1 = _mm512_add_epi32(_mm512_loadu_si512(sum + LANES), k->add1);
        x1 = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(v1, more)), m1);
    }
    const __m512i w0 = _mm512_cvtps_epi32(_mm512_min_ps(x0, k->p.most));
    const __m512i w1 = _mm512_cvtps_epi32(_mm512_min_ps(x1, k->p.most));
    return _mm512_adds_epi16(_mm512_packs_epi32(w0, w1), k->p.zp);
}

/* Two rows of words as bytes in order, the first in the lower half. */
ALWAYS __m512i two_rows(const columns *k, __m512i words0, __m512i words1, const bool small)
{
    __m512i y = _mm512_packs_epi16(words0, words1);
    if (!small) y = _mm512_max_epi8(y, k->p.least);
    return _mm512_permutexvar_epi32(k->p.order, _mm512_xor_si512(y, k->p.turn));
}

/* bytes_end for at most 32 columns: two rows fill a vector. */
ALWAYS void bytes_run(const lmn_qgemm_end *end, const tile_sums *s, const bool by_col,
                      const bool right, const bool small)
{
    const lmn_qgemm_end e = *end; /* a copy, which stores of bytes cannot change */
    const columns k = columns_of(&e, s->j, by_col, right);
    const int32_t *row_add = e.row_add + s->i;
    const float *row_mul = by_col ? NULL : e.row_mul + s->i;
    uint8_t *c = (uint8_t *)e.c + s->i * e.ldc + s->j;
    const __mmask32 in = (__mmask32)bytes(s->n);
    for (int64_t i = 0; i < s->rows; i += 2, c += 2 * e.ldc) {
        __m512i words[2];
        const bool two = i + 1 < s->rows;
#define WORDS(r)                                                                                 \
    {                                                                                            \
        const __m512 m0 = by_col ? k.mul0 : _mm512_set1_ps(row_mul[i + (r)]);                    \
        words[r] = row_words(&k, s->at + (i + (r)) * s->ld, _mm512_set1_epi32(row_add[i + (r)]), \
                             m0, by_col ? k.mul1 : m0, right, small);                            \
    }
        WORDS(0)
        words[1] = words[0];
        if (two) WORDS(1)
#undef WORDS
        const __m512i z = two_rows(&k, words[0], words[1], small);
        _mm256_mask_storeu_epi8(c, in, _mm512_castsi512_si256(z));
        if (two) _mm256_mask_storeu_epi8(c + e.ldc, in, _mm512_extracti64x4_epi64(z, 1));
    }
}

static void bytes_leave(const lmn_qgemm_end *end, const tile_sums *s, bool small)
{
    if (small && s->n > LANES)
        bytes_run(end, s, true, true, true);
    else if (end->col_mul && s->n > LANES)
        bytes_run(end, s, true, true, false);
    else if (end->col_mul)
        bytes_run(end, s, true, false, false);
    else if (s->n > LANES)
        bytes_run(end, s, false, true, false);
    else
        bytes_run(end, s, false, false, false);
}

static __attribute__((noinline)) void leave(const waiting *w)
{
    if (w->how == ANY_END)
        any_end(w->end, &w->s);
    else if (w->how == INTS)
        ints_end(w->end, &w->s);
    else if (w->how == BYTES)
        bytes_leave(w->end, &w->s, w->small);
    else
        floats_end(w->end, &w->s, true);
}

static void leave_last(waiting *w)
{
    if (w->s.rows) leave(w);
    w->s.rows = 0;
}

/* The end of a tile by factors of columns, between the steps of the next. */
typedef struct easing {
    columns k;
    const int32_t *sum, *row_add;
    uint8_t *c;
    int64_t ldc, left; /* rows */
} easing;

static bool can_ease(const waiting *w)
{
    return w->how == BYTES && w->end->col_mul && w->s.rows && w->s.rows % 2 == 0 && w->s.n == NR;
}

ALWAYS easing easing_of(waiting *w)
{
    const lmn_qgemm_end *e = w->end;
    const tile_sums *s = &w->s;
    const easing out = {.k = columns_of(e, s->j, true, true),
                        .sum = s->at,
                        .row_add = e->row_add + s->i,
                        .c = (uint8_t *)e->c + s->i * e->ldc + s->j,
                        .ldc = e->ldc,
                        .left = s->rows};
    w->s.rows = 0;
    return out;
}

/* At most so many times two rows more. */
ALWAYS void ease(easing *e, int64_t pairs, const bool small)
{
    for (; pairs > 0 && e->left > 0; pairs--, e->left -= 2) {
        const columns *k = &e->k;
        const __m512i more0 = _mm512_set1_epi32(e->row_add[0]);
        const __m512i more1 = _mm512_set1_epi32(e->row_add[1]);
        const __m512i words0 = row_words(k, e->sum, more0, k->mul0, k->mul1, true, small);
        const __m512i words1 = row_words(k, e->sum + NR, more1, k->mul0, k->mul1, true, small);
        const __m512i z = two_rows(k, words0, words1, small);
        _mm256_storeu_si256((void *)e->c, _mm512_castsi512_si256(z));
        _mm256_storeu_si256((void *)(e->c + e->ldc), _mm512_extracti64x4_epi64(z, 1));
        e->sum += 2 * NR, e->row_add += 2, e->c += 2 * e->ldc;
    }
}

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

/* 16 or 32 rows by 16 or 32 sums; far: is there something to fetch; windows: at->steps counts. */
ALWAYS void multiply(const lmn_qgemm_block *t, const spot *at, waiting *w, const bool lower,
                     const bool right, const bool far, const bool windows, const easing_kind kind)
{
    const bool sgn = t->a_signed, whole = lower && right;
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
        AMX_LOAD(6, b, NR * FOUR);
        AMX_LOAD(4, a + off, lda);
        if (first) BEGIN(0, out, from);
        PRODUCT(0, 4, 6);
        if (eased && !first) ease(&e, pairs, small);
        if (right) AMX_LOAD(7, b + 64, NR * FOUR);
        if (right && first) BEGIN(1, out + LANES, from + LANES);
        if (right) PRODUCT(1, 4, 7);
        if (eased) ease(&e, first ? lmn_min_i64(pairs, upper) : pairs, small);
        if (lower) AMX_LOAD(5, low + off, lda);
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
    if (t->b_far && r.whole && r.rest) {
        by_far_panels(t, &r, &w);
        r.rest = 0;
    } else if (r.whole) {
        enter_whole(&w);
        if (!t->b_far && (w.how == BYTES || w.direct) && t->k * MR <= NEAR_BYTES)
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
