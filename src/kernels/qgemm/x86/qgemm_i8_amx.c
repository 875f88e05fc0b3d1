/*
 * qgemm row for AMX: 2 x 2 tiles, 32 x 32 sums, k 64 at a time. Packed k is padded to 64, so tiles
 * have 64 bytes a row and only their number of rows follows m. What is no product runs on the VNNI
 * row's functions, which every CPU of this level has.
 */
#include "kernels/qgemm/qgemm_avx512_tmpl.h"
#include "kernels/simd/amx_tile.h"

enum { MR = 32, NR = 32, DEEP = 64 };
/* From here on the end of the tile before comes first: steps so many are no longer at work together
   when their loop is done. */
enum { LONG_K = 512 };
/* From here on the end of a whole tile of bytes is dealt to the steps of the next. */
enum { EASE_K = 256 };

lmn_qgemm_block_fn lmn_qgemm_i8_block_amx;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_amx, lmn_qgemm_i8_taps_avx512vnni;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_amx, lmn_qgemm_i8_gather_avx512vnni;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_amx, lmn_qgemm_i8_windows_avx512vnni;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_amx, lmn_qgemm_i8_pack_b_amx, lmn_qgemm_i8_pack_bt_amx;
lmn_qgemm_stream_fn lmn_qgemm_i8_dot_amx, lmn_qgemm_i8_dot_avx512vnni;
lmn_qgemm_short_fn lmn_qgemm_i8_short_avx512vnni;

/* Tiles 0 to 3: sums, rows first; 4 and 5: A; 6 and 7: B. */
static void configure(int64_t m)
{
    const int64_t upper = lmn_min_i64(m, AMX_ROWS), lower = m - upper;
    amx_cfg c = {0};
    amx_cfg_tile(&c, 0, upper, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 1, upper, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 4, upper, DEEP);
    if (lower > 0) {
        amx_cfg_tile(&c, 2, lower, AMX_ROW_BYTES);
        amx_cfg_tile(&c, 3, lower, AMX_ROW_BYTES);
        amx_cfg_tile(&c, 5, lower, DEEP);
    }
    amx_cfg_tile(&c, 6, DEEP / FOUR, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 7, DEEP / FOUR, AMX_ROW_BYTES);
    amx_enter(&c);
}

/* Sums whose end is still to be made: behind the steps of the next tile, which are then still at
   work, before them where those are many, or, of whole tiles of bytes, between them. */
typedef struct waiting {
    const lmn_qgemm_end *end;
    tile_sums s; /* no rows = nothing */
    leaving how;
    bool direct; /* INTS to which rows add nothing: whole panels go to C from the tiles */
} waiting;

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

/* A row of sums as words, to which `more` is added. */
ALWAYS __m512i row_words(const columns *k, const int32_t *sum, __m512i more, __m512 m0, __m512 m1,
                         const bool right)
{
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
ALWAYS __m512i two_rows(const columns *k, __m512i words0, __m512i words1)
{
    const __m512i y = _mm512_max_epi8(_mm512_packs_epi16(words0, words1), k->p.least);
    return _mm512_permutexvar_epi32(k->p.order, _mm512_xor_si512(y, k->p.turn));
}

/* bytes_end for at most 32 columns: two rows fill a vector. */
ALWAYS void bytes_run(const lmn_qgemm_end *end, const tile_sums *s, const bool by_col,
                      const bool right)
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
                             m0, by_col ? k.mul1 : m0, right);                                   \
    }
        WORDS(0)
        words[1] = words[0];
        if (two) WORDS(1)
#undef WORDS
        const __m512i z = two_rows(&k, words[0], words[1]);
        _mm256_mask_storeu_epi8(c, in, _mm512_castsi512_si256(z));
        if (two) _mm256_mask_storeu_epi8(c + e.ldc, in, _mm512_extracti64x4_epi64(z, 1));
    }
}

static void bytes_leave(const lmn_qgemm_end *end, const tile_sums *s)
{
    if (end->col_mul && s->n > LANES)
        bytes_run(end, s, true, true);
    else if (end->col_mul)
        bytes_run(end, s, true, false);
    else if (s->n > LANES)
        bytes_run(end, s, false, true);
    else
        bytes_run(end, s, false, false);
}

static __attribute__((noinline)) void leave(const lmn_qgemm_end *end, const tile_sums *s,
                                            leaving how)
{
    if (how == ANY_END)
        any_end(end, s);
    else if (how == INTS)
        ints_end(end, s);
    else if (how == BYTES)
        bytes_leave(end, s);
    else
        floats_end(end, s, true);
}

static void leave_last(waiting *w)
{
    if (w->s.rows) leave(w->end, &w->s, w->how);
    w->s.rows = 0;
}

/* The end of a whole tile by factors of columns, between the steps of the next. */
typedef struct easing {
    columns k;
    const int32_t *sum, *row_add;
    uint8_t *c;
    int64_t ldc, left; /* rows */
} easing;

static bool can_ease(const waiting *w)
{
    return w->how == BYTES && w->end->col_mul && w->s.rows == MR && w->s.n == NR;
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
                        .left = MR};
    w->s.rows = 0;
    return out;
}

/* At most so many times two rows more. */
ALWAYS void ease(easing *e, int64_t pairs)
{
    for (; pairs > 0 && e->left > 0; pairs--, e->left -= 2) {
        const columns *k = &e->k;
        const __m512i more0 = _mm512_set1_epi32(e->row_add[0]);
        const __m512i more1 = _mm512_set1_epi32(e->row_add[1]);
        const __m512i words0 = row_words(k, e->sum, more0, k->mul0, k->mul1, true);
        const __m512i words1 = row_words(k, e->sum + NR, more1, k->mul0, k->mul1, true);
        const __m512i z = two_rows(k, words0, words1);
        _mm256_storeu_si256((void *)e->c, _mm512_castsi512_si256(z));
        _mm256_storeu_si256((void *)(e->c + e->ldc), _mm512_extracti64x4_epi64(z, 1));
        e->sum += 2 * NR, e->row_add += 2, e->c += 2 * e->ldc;
    }
}

/* A tile: m <= MR rows at row i of the block, the panel at column j. */
typedef struct spot {
    int64_t i, j, m;
    const int32_t *from; /* the sums it begins with, NULL = none */
    const int32_t *add;  /* else, not NULL: those of one row, the same for all */
    int32_t *to;
    int64_t ld;          /* sums from row to row of from and to */
    const uint8_t *next; /* `lines` lines from here on are fetched a step; NULL = none */
    int64_t lines;
} spot;

/* The tiles of a panel share the fetching of the next, 32 lines for every step of k. */
ALWAYS void fetch_panel(const lmn_qgemm_block *t, spot *at)
{
    enum { MOST_LINES = 8 };
    const int64_t tiles = lmn_max_i64(1, t->m / MR), steps = t->k / DEEP;
    const int64_t lines = lmn_min_i64(MOST_LINES, (NR + tiles - 1) / tiles);
    const int64_t from = at->i / MR * lines * steps;
    if (from >= NR * steps) return;
    at->lines = lines;
    at->next = (const uint8_t *)t->b + (at->j / NR + 1) * t->b_panel + from * 64;
}

/* 16 or 32 rows by 16 or 32 sums; far: is there something to fetch; eased: does the end of the tile
   before run between the steps. */
ALWAYS void multiply(const lmn_qgemm_block *t, const spot *at, waiting *w, const bool lower,
                     const bool right, const bool far, const bool eased)
{
    easing e = {.left = 0};
    if (eased) e = easing_of(w);
    /* of two rows, after each of two products a step */
    const int64_t pairs = eased ? (MR * DEEP / 4 + t->k - 1) / t->k : 0;
    if (t->k >= LONG_K) leave_last(w);
    const uint8_t *next = at->next;
    const int64_t lines = at->lines;
    const int64_t lda = t->lda, ld = at->ld, step = ld * 4;
    const uint8_t *a = (const uint8_t *)t->a + at->i * lda;
    const uint8_t *b = (const uint8_t *)t->b + at->j / NR * t->b_panel;
    const int32_t *from = at->from ? at->from : at->add;
    int32_t *to = at->to;
    if (from) {
        const int64_t apart = at->from ? ld : 0;
        AMX_LOAD(0, from, apart * 4);
        if (right) AMX_LOAD(1, from + LANES, apart * 4);
        if (lower) AMX_LOAD(2, from + AMX_ROWS * apart, apart * 4);
        if (lower && right) AMX_LOAD(3, from + AMX_ROWS * apart + LANES, apart * 4);
    } else {
        AMX_ZERO(0);
        if (right) AMX_ZERO(1);
        if (lower) AMX_ZERO(2);
        if (lower && right) AMX_ZERO(3);
    }
    for (int64_t k = 0; k < t->k; k += DEEP, a += DEEP, b += DEEP * NR) {
        for (int64_t i = 0; far && i < lines; i++, next += 64) __builtin_prefetch(next, 0, 2);
        AMX_LOAD(6, b, NR * FOUR);
        AMX_LOAD(4, a, lda);
        AMX_U8S8(0, 4, 6);
        if (eased) ease(&e, pairs);
        if (right) AMX_LOAD(7, b + 64, NR * FOUR);
        if (right) AMX_U8S8(1, 4, 7);
        if (eased) ease(&e, pairs);
        if (lower) AMX_LOAD(5, a + AMX_ROWS * lda, lda);
        if (lower) AMX_U8S8(2, 5, 6);
        if (lower && right) AMX_U8S8(3, 5, 7);
    }
    leave_last(w);
    AMX_STORE(0, to, step);
    if (right) AMX_STORE(1, to + LANES, step);
    if (lower) AMX_STORE(2, to + AMX_ROWS * ld, step);
    if (lower && right) AMX_STORE(3, to + AMX_ROWS * ld + LANES, step);
}

static void panel(const lmn_qgemm_block *t, const spot *at, waiting *w)
{
    const bool lower = at->m > AMX_ROWS, right = t->n - at->j > LANES;
    if (lower && right && t->k >= EASE_K && can_ease(w))
        multiply(t, at, w, true, true, true, true);
    else if (lower && right && at->next)
        multiply(t, at, w, true, true, true, false);
    else if (lower && right)
        multiply(t, at, w, true, true, false, false);
    else if (lower)
        multiply(t, at, w, true, false, false, false);
    else if (right)
        multiply(t, at, w, false, true, false, false);
    else
        multiply(t, at, w, false, false, false, false);
}

/* A tile, by way of `sums`, and the end of the one before; its own waits in w. */
static void strip(const lmn_qgemm_block *t, spot *at, int32_t *sums, waiting *w)
{
    if (t->b_far) fetch_panel(t, at);
    if (t->part && !t->first) at->from = t->part + at->i * t->ld_part + at->j;
    if (w->how == KEEP) {
        at->to = t->part + at->i * t->ld_part + at->j, at->ld = t->ld_part;
        panel(t, at, w);
        return;
    }
    if (w->direct && !at->from && t->n - at->j >= NR) {
        at->add = t->end.col_add + at->j;
        at->to = (int32_t *)t->end.c + at->i * t->end.ldc + at->j, at->ld = t->end.ldc;
        panel(t, at, w);
        return;
    }
    if (at->from) { /* sums wait with another step than ours */
        for (int64_t i = 0; i < at->m; i++)
            memcpy(sums + i * NR, at->from + i * t->ld_part, NR * sizeof *sums);
        at->from = sums;
    }
    at->to = sums, at->ld = NR;
    panel(t, at, w);
    w->s = (tile_sums){sums, NR, at->i, at->j, at->m, lmn_min_i64(NR, t->n - at->j)};
}

/* A panel of B stays in the first cache or near it while whole strips of rows pass; the rows left
   over have a configuration of their own. */
void lmn_qgemm_i8_block_amx(const lmn_qgemm_block *t)
{
    if (t->m <= 0 || t->n <= 0) return;
    int32_t sums[2][MR * NR] __attribute__((aligned(64)));
    const int64_t whole = t->m / MR * MR;
    waiting w = {.end = &t->end, .how = leaving_of(t)};
    if (w.how == BYTES && is_short(t) && gives_small_bytes(t)) {
        lmn_qgemm_i8_short_avx512vnni(t, NR);
        return;
    }
    w.direct = w.how == INTS && rows_add_nothing(t);
    int turn = 0;
    if (whole) configure(MR);
    for (int64_t j = 0; whole && j < t->n; j += NR)
        for (int64_t i = 0; i < whole; i += MR) {
            spot at = {.i = i, .j = j, .m = MR};
            strip(t, &at, sums[turn ^= 1], &w);
        }
    if (t->m > whole) {
        configure(t->m - whole);
        for (int64_t j = 0; j < t->n; j += NR) {
            spot at = {.i = whole, .j = j, .m = t->m - whole};
            strip(t, &at, sums[turn ^= 1], &w);
        }
    }
    amx_leave();
    leave_last(&w);
}

/* ---- few rows, B transposed --------------------------------------------------------------------
 */

/* Where B's rows cannot be read as a tile: the ends of n and k, and bytes to be flipped. */
static void dot_edge(const lmn_qgemm_stream *s, const uint8_t *from, int64_t n, int64_t k,
                     uint8_t *edge)
{
    const __m512i flip = _mm512_set1_epi8((char)s->flip);
    const __mmask64 in = bytes(k);
    for (int64_t i = 0; i < NR; i++) {
        __m512i x = _mm512_setzero_si512();
        if (i < n) x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(in, from + i * s->ldb), flip);
        _mm512_storeu_si512(edge + i * DEEP, _mm512_maskz_mov_epi8(in, x));
    }
}

/* 32 rows of B, n of them there, are the first operand where they lie and A, packed as a B is, the
   second: what comes out is C transposed. */
ALWAYS void dot_panel(const lmn_qgemm_stream *s, int64_t j, int64_t n, int32_t *sums,
                      const bool right)
{
    uint8_t edge[NR * DEEP] __attribute__((aligned(64)));
    const uint8_t *w = s->b + j * s->ldb, *a = s->room;
    const int64_t step = right ? 2 * AMX_ROW_BYTES : AMX_ROW_BYTES;
    const int64_t ahead = j + 2 * NR <= s->n ? NR * s->ldb : 0;
    AMX_ZERO(0);
    AMX_ZERO(2);
    if (right) AMX_ZERO(1);
    if (right) AMX_ZERO(3);
    for (int64_t k = 0; k < s->k; k += DEEP, a += DEEP / FOUR * step) {
        const uint8_t *from = w + k;
        int64_t ld = s->ldb;
        for (int64_t i = 0; ahead && i < NR; i++) /* the next rows as one stream */
            __builtin_prefetch(w + ahead + NR * k + i * AMX_ROW_BYTES, 0, 2);
        if (n < NR || s->k - k < DEEP || s->flip) {
            dot_edge(s, from, n, s->k - k, edge);
            from = edge, ld = DEEP;
        }
        AMX_LOAD(4, from, ld);
        AMX_LOAD(6, a, step);
        AMX_S8U8(0, 4, 6);
        AMX_LOAD(5, from + AMX_ROWS * ld, ld);
        AMX_S8U8(2, 5, 6);
        if (right) AMX_LOAD(7, a + AMX_ROW_BYTES, step);
        if (right) AMX_S8U8(1, 4, 7);
        if (right) AMX_S8U8(3, 5, 7);
    }
    AMX_STORE(0, sums, NR * 4);
    AMX_STORE(2, sums + AMX_ROWS * NR, NR * 4);
    if (right) AMX_STORE(1, sums + LANES, NR * 4);
    if (right) AMX_STORE(3, sums + AMX_ROWS * NR + LANES, NR * 4);
}

/* 16 x 16 sums of rows from i and columns from j on into their place; row m is that of ones. */
static void dot_leave(const lmn_qgemm_stream *s, int64_t i, int64_t j, const int32_t *sums)
{
    vf r[LANES];
    for (int l = 0; l < LANES; l++)
        r[l] = _mm512_castsi512_ps(_mm512_loadu_si512(sums + (int64_t)l * NR));
    vf_transpose(r);
    for (int l = 0; l < LANES && i + l <= s->m; l++) {
        int32_t *to = i + l < s->m ? s->part + (i + l) * s->ld_part : s->col_sum;
        if (to) _mm512_mask_storeu_epi32(to + j, lanes(s->n - j), _mm512_castps_si512(r[l]));
    }
}

/* A as a B of its rows, and a row of ones where columns are to be summed. */
static void dot_pack(const lmn_qgemm_stream *s, bool right)
{
    int32_t not_wanted[NR] = {0};
    const lmn_qgemm_pack p = {
        .dst = s->room, .src = s->a, .ld = s->a_step, .k = s->k, .n = s->m, .sums = not_wanted};
    if (right)
        pack_bt_run(&p, NR, DEEP);
    else
        pack_bt_run(&p, LANES, DEEP);
    uint8_t *ones = (uint8_t *)s->room + s->m * FOUR;
    const int64_t step = right ? NR * FOUR : LANES * FOUR;
    for (int64_t k = 0; s->col_sum && k < s->k; k++) ones[k / FOUR * step + k % FOUR] = 1;
}

void lmn_qgemm_i8_dot_amx(const lmn_qgemm_stream *s)
{
    int32_t sums[NR * NR] __attribute__((aligned(64)));
    const int64_t rows = s->m + (s->col_sum != NULL);
    if (rows > NR) {
        lmn_qgemm_i8_dot_avx512vnni(s);
        return;
    }
    const bool right = rows > LANES;
    dot_pack(s, right);
    configure(NR);
    for (int64_t j = 0; j < s->n; j += NR) {
        const int64_t n = lmn_min_i64(NR, s->n - j);
        if (right)
            dot_panel(s, j, n, sums, true);
        else
            dot_panel(s, j, n, sums, false);
        for (int64_t h = 0; h < n; h += LANES) {
            dot_leave(s, 0, j + h, sums + h * NR);
            if (right) dot_leave(s, LANES, j + h, sums + h * NR + LANES);
        }
    }
    amx_leave();
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
