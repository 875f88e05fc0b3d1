/*
 * qgemm row for AMX: 2 x 2 tiles, 32 x 32 sums, k 64 at a time. Packed k is padded to 64, so tiles
 * have 64 bytes a row and only their number of rows follows m. What is no product runs on the VNNI
 * row's functions, which every CPU of this level has.
 */
#include "kernels/qgemm/qgemm_avx512_tmpl.h"
#include "kernels/simd/amx_tile.h"

enum { MR = 32, NR = 32, DEEP = 64 };

lmn_qgemm_block_fn lmn_qgemm_i8_block_amx;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_amx, lmn_qgemm_i8_taps_avx512vnni;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_amx, lmn_qgemm_i8_gather_avx512vnni;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_amx, lmn_qgemm_i8_windows_avx512vnni;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_amx, lmn_qgemm_i8_pack_b_amx, lmn_qgemm_i8_pack_bt_amx;
lmn_qgemm_stream_fn lmn_qgemm_i8_dot_amx, lmn_qgemm_i8_dot_avx512vnni;

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

/* Sums whose end is still to be made: a few rows of it for every step of the next tile, so that the
   unit of tiles and those of vectors work at the same time. */
typedef struct waiting {
    const lmn_qgemm_end *end;
    tile_sums s; /* what is left; no rows = nothing */
    leaving how;
    int64_t some; /* rows at once */
} waiting;

static __attribute__((noinline)) void leave(const lmn_qgemm_end *end, const tile_sums *s,
                                            leaving how)
{
    if (how == ANY_END)
        any_end(end, s);
    else if (how == INTS)
        ints_end(end, s);
    else if (how == BYTES)
        bytes_end(end, s, true);
    else
        floats_end(end, s, true);
}

ALWAYS void leave_some(waiting *w, int64_t rows)
{
    tile_sums s = w->s;
    s.rows = lmn_min_i64(rows, s.rows);
    leave(w->end, &s, w->how);
    w->s.at += s.rows * s.ld, w->s.i += s.rows, w->s.rows -= s.rows;
}

/* A tile: m <= MR rows at row i of the block, the panel at column j. */
typedef struct spot {
    int64_t i, j, m;
    const int32_t *from; /* the sums it begins with, NULL = none */
    int32_t *to;
    int64_t ld; /* sums from row to row of both */
} spot;

/* 16 or 32 rows by 16 or 32 sums. */
ALWAYS void multiply(const lmn_qgemm_block *t, const spot *at, waiting *w, const bool lower,
                     const bool right)
{
    const int64_t lda = t->lda, ld = at->ld, step = ld * 4;
    const uint8_t *a = (const uint8_t *)t->a + at->i * lda;
    const uint8_t *b = (const uint8_t *)t->b + at->j / NR * t->b_panel;
    const int32_t *from = at->from;
    int32_t *to = at->to;
    if (from) {
        AMX_LOAD(0, from, step);
        if (right) AMX_LOAD(1, from + LANES, step);
        if (lower) AMX_LOAD(2, from + AMX_ROWS * ld, step);
        if (lower && right) AMX_LOAD(3, from + AMX_ROWS * ld + LANES, step);
    } else {
        AMX_ZERO(0);
        if (right) AMX_ZERO(1);
        if (lower) AMX_ZERO(2);
        if (lower && right) AMX_ZERO(3);
    }
    for (int64_t k = 0; k < t->k; k += DEEP, a += DEEP, b += DEEP * NR) {
        AMX_LOAD(6, b, NR * FOUR);
        AMX_LOAD(4, a, lda);
        AMX_U8S8(0, 4, 6);
        if (right) AMX_LOAD(7, b + 64, NR * FOUR);
        if (right) AMX_U8S8(1, 4, 7);
        if (lower) AMX_LOAD(5, a + AMX_ROWS * lda, lda);
        if (lower) AMX_U8S8(2, 5, 6);
        if (lower && right) AMX_U8S8(3, 5, 7);
        if (w->s.rows) leave_some(w, w->some);
    }
    AMX_STORE(0, to, step);
    if (right) AMX_STORE(1, to + LANES, step);
    if (lower) AMX_STORE(2, to + AMX_ROWS * ld, step);
    if (lower && right) AMX_STORE(3, to + AMX_ROWS * ld + LANES, step);
}

static void panel(const lmn_qgemm_block *t, const spot *at, waiting *w)
{
    const bool lower = at->m > AMX_ROWS, right = t->n - at->j > LANES;
    if (lower && right)
        multiply(t, at, w, true, true);
    else if (lower)
        multiply(t, at, w, true, false);
    else if (right)
        multiply(t, at, w, false, true);
    else
        multiply(t, at, w, false, false);
}

/* A tile, by way of `sums`, and the end of the one before; its own waits in w. */
static void strip(const lmn_qgemm_block *t, spot *at, int32_t *sums, waiting *w)
{
    if (t->part && !t->first) at->from = t->part + at->i * t->ld_part + at->j;
    if (w->how == KEEP) {
        at->to = t->part + at->i * t->ld_part + at->j, at->ld = t->ld_part;
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
    if (w->s.rows) leave_some(w, w->s.rows);
    w->s = (tile_sums){sums, NR, at->i, at->j, at->m, lmn_min_i64(NR, t->n - at->j)};
}

/* A panel of B stays in the first cache or near it while whole strips of rows pass; the rows left
   over have a configuration of their own. */
void lmn_qgemm_i8_block_amx(const lmn_qgemm_block *t)
{
    if (t->m <= 0 || t->n <= 0) return;
    int32_t sums[2][MR * NR] __attribute__((aligned(64)));
    const int64_t whole = t->m / MR * MR, steps = lmn_max_i64(1, t->k / DEEP);
    waiting w = {.end = &t->end, .how = leaving_of(t), .some = (MR + steps - 1) / steps};
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
    if (w.s.rows) leave_some(&w, w.s.rows);
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
