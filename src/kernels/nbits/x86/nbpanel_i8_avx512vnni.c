/*
 * nbpanel row for AVX-512 VNNI: a strip is two registers of sums. High halves of bytes are
 * multiplied where they lie, sixteen times too large, and their sum is shifted before the low
 * halves join it: 512 weights of 4 bits are 20 operations, 10 cycles of Zen 4, where a read of them
 * takes 12. Rows of A are loaded once for two registers of sums, or, one row, for those of four
 * strips, since loads are what there is least of. For one row of A lines are not fetched and none
 * is loaded twice: weights are streams, which the hardware foresees better (0.65 - 0.8 of a plain
 * read with prefetches, 0.9 - 1.0 without).
 */
#include "kernels/nbits/x86/nbpanel_avx512_tmpl.h"

#define EACH_M(X, y) X(0, y) X(1, y) X(2, y) X(3, y)
#define EACH_STRIP(X, y) X(y, 0) X(y, 1) X(y, 2) X(y, 3)

lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_avx512vnni;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_avx512vnni, lmn_nbpanel_i8_run_wide_avx512vnni;
nbpanel_tile_fn lmn_nbpanel_i8_tile_avx512vnni;

void lmn_nbpanel_i8_pack_avx512vnni(uint8_t *tile, int64_t rows, int64_t r, const float *x,
                                    int64_t k, const lmn_nbpanels *w)
{
    nbpanel_pack(tile, rows, r, x, k, w);
}

ALWAYS __m512i line_at(const uint8_t *q, int i)
{
    __m512i v = _mm512_loadu_si512(q + 64 * i);
    __asm__ volatile("" : "+v"(v)); /* one load for both halves; lines in their order */
    return v;
}

ALWAYS __m512 scale_at(const uint8_t *p, int i)
{
    return _mm512_castsi512_ps(line_at(p, i));
}

/* A record of a row of A, every word of it in all lanes. */
typedef struct record {
    __m512i r0, r1, r2, r3, r4, r5, r6, r7, s, sum;
} record;

ALWAYS __m512i word_at(const uint8_t *a, int at)
{
    __m512i v = every(a + at);
    __asm__ volatile("" : "+v"(v)); /* loaded once, and before the lines */
    return v;
}
ALWAYS record record_at(const uint8_t *a)
{
    record x = {.r0 = word_at(a, 0), .r1 = word_at(a, 4), .r2 = word_at(a, 8)};
    x.r3 = word_at(a, 12), x.r4 = word_at(a, 16), x.r5 = word_at(a, 20);
    x.r6 = word_at(a, 24), x.r7 = word_at(a, 28);
    x.s = word_at(a, NBPANEL_S), x.sum = word_at(a, NBPANEL_SUM);
    return x;
}

/* What was loaded from there is not to be held, but loaded again. */
ALWAYS void anew(const uint8_t **q)
{
    __asm__("" : "+r"(*q));
}

/* A group of a strip: sums of row i of A, v0_i and v1_i, one a half of the strip. */
typedef struct sums {
    __m512i v00, v01, v02, v03, v10, v11, v12, v13;
} sums;

/* A word of row i's record, of a single row from where it is held. */
#define WORD(i, held, at) (x ? x->held : every(a + (i)*LMN_NBPANEL_RECORD + (at)))
#define OPEN(i, _)                                                                      \
    __m512i v0##i = zps || m <= i ? _mm512_setzero_si512() : WORD(i, sum, NBPANEL_SUM), \
            v1##i = v0##i;
#define DOT(i, c)                                  \
    if (m > i) {                                   \
        const __m512i r = WORD(i, r##c, 4 * c);    \
        v0##i = _mm512_dpbusd_epi32(v0##i, q0, r); \
        v1##i = _mm512_dpbusd_epi32(v1##i, q1, r); \
    }
#define LINES(x0, x1, c)                \
    do {                                \
        const __m512i q0 = x0, q1 = x1; \
        EACH_M(DOT, c)                  \
    } while (0)
#define AGAIN(half, c, r)                              \
    LINES(_mm512_and_si512(line_at(q, 2 * (c)), half), \
          _mm512_and_si512(line_at(q, 2 * (c) + 1), half), r)
#define HIGH(c, r) LINES(_mm512_and_si512(x0##c, high), _mm512_and_si512(x1##c, high), r)
#define LOW(c) LINES(_mm512_and_si512(x0##c, low), _mm512_and_si512(x1##c, low), c)
#define BYTES(c) LINES(line_at(q, 2 * c), line_at(q, 2 * c + 1), c)
#define SHIFT(i, n) v0##i = _mm512_srai_epi32(v0##i, n), v1##i = _mm512_srai_epi32(v1##i, n);
#define TAKE_OFF(i, _)                                 \
    if (m > i) {                                       \
        const __m512i sum = WORD(i, sum, NBPANEL_SUM); \
        v0##i = _mm512_dpwssd_epi32(v0##i, zp0, sum);  \
        v1##i = _mm512_dpwssd_epi32(v1##i, zp1, sum);  \
    }

/* q: the group; zp: zero points; a: records of m rows, or x: the only one's, held, else NULL;
   again: lines are loaded for either half of bytes, so that fewer registers hold them. */
ALWAYS sums group_sums(const uint8_t *q, const uint8_t *zp, const uint8_t *a, const record *x,
                       const int m, const int bits, const bool zps, const bool again)
{
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(-16);
    EACH_M(OPEN, 0)
    if (bits == 8) {
        BYTES(0);
        BYTES(1);
        BYTES(2);
        BYTES(3);
        BYTES(4);
        BYTES(5);
        BYTES(6);
        BYTES(7);
    } else if (again) {
        AGAIN(high, 0, 4);
        AGAIN(high, 1, 5);
        AGAIN(high, 2, 6);
        AGAIN(high, 3, 7);
        EACH_M(SHIFT, 4)
        anew(&q);
        AGAIN(low, 0, 0);
        AGAIN(low, 1, 1);
        AGAIN(low, 2, 2);
        AGAIN(low, 3, 3);
    } else {
        const __m512i x00 = line_at(q, 0), x10 = line_at(q, 1), x01 = line_at(q, 2);
        const __m512i x11 = line_at(q, 3), x02 = line_at(q, 4), x12 = line_at(q, 5);
        const __m512i x03 = line_at(q, 6), x13 = line_at(q, 7);
        HIGH(0, 4);
        HIGH(1, 5);
        HIGH(2, 6);
        HIGH(3, 7);
        EACH_M(SHIFT, 4)
        LOW(0);
        LOW(1);
        LOW(2);
        LOW(3);
    }
    if (zps) {
        const __m512i zp0 = zero_points(zp), zp1 = zero_points(zp + 16);
        EACH_M(TAKE_OFF, 0)
    }
    return (sums){v00, v01, v02, v03, v10, v11, v12, v13};
}

/* Row i of A by strip t, whose chains are c0_i_t and c1_i_t. */
#define STARTS(i, t, half)                                                               \
    __m512 c##half##i##t = m > i && t < strips && p->g > 0                               \
                               ? _mm512_loadu_ps(acc[t * LMN_NBPANEL_M + i] + 16 * half) \
                               : _mm512_setzero_ps();
#define START(i, t) STARTS(i, t, 0) STARTS(i, t, 1)
#define CHAIN(i, t)                                                                \
    if (m > i) {                                                                   \
        const __m512 s = _mm512_castsi512_ps(WORD(i, s, NBPANEL_S));               \
        const __m512 s0 = _mm512_mul_ps(scale0, s), s1 = _mm512_mul_ps(scale1, s); \
        c0##i##t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v.v0##i), s0, c0##i##t);     \
        c1##i##t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v.v1##i), s1, c1##i##t);     \
    }
#define END(i, t)                                                    \
    if (m > i && t < strips) {                                       \
        _mm512_storeu_ps(acc[t * LMN_NBPANEL_M + i], c0##i##t);      \
        _mm512_storeu_ps(acc[t * LMN_NBPANEL_M + i] + 16, c1##i##t); \
    }
ALWAYS void fetch_near(const uint8_t *q, const int64_t ahead, const int64_t bytes)
{
    const char *to = (const char *)((uintptr_t)q + (uintptr_t)ahead);
    for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(to + i, _MM_HINT_T0);
}

/* Groups [g, until) of a block of strip t. A single row of A reads forward: scales of some groups
   are in front of them, of one behind it. */
#define STRIP(t)                                                                         \
    if (t < strips) {                                                                    \
        const uint8_t *h = scales + t * apart, *q = group + t * apart, *a = records;     \
        __m512 scale0 = _mm512_setzero_ps(), scale1 = scale0;                            \
        if (ahead) fetch_near(h, ahead, lmn_nbpanel_scale_bytes(zps));                   \
        if (early) scale0 = scale_at(h, 0), scale1 = scale_at(h, 1);                     \
        int64_t left = until - g;                                                        \
        do {                                                                             \
            if (ahead) fetch_near(q, ahead, lmn_nbpanel_group_bytes(bits));              \
            for (int64_t i = 0; m > 1 && i < p->lines; i++) fetch(q, p->ahead + 64 * i); \
            const sums v = group_sums(q, h + NBPANEL_ZP, a, x, m, bits, zps, false);     \
            if (!early) scale0 = scale_at(h, 0), scale1 = scale_at(h, 1);                \
            EACH_M(CHAIN, t)                                                             \
            q += lmn_nbpanel_group_bytes(bits), a += LMN_NBPANEL_RECORD;                 \
        } while (early && --left > 0);                                                   \
    }

/* one: a single row of A by blocks of a group, whose record is held for all strips. ahead: how far
   on lines of blocks of more groups are fetched to L1; 0: none is. This and what follows it are
   constants of every instance. */
ALWAYS void tile(const nbpanel_part *p, const bool one, const int64_t ahead, const int strips,
                 const int m, const int bits, const bool zps)
{
    const lmn_nbpanels w = p->w;
    const int64_t apart = p->apart;
    float(*acc)[LMN_NBPANEL_ROWS] = p->acc;
    const uint8_t *records = p->a;
    const bool early = !one && m == 1;
    EACH_STRIP(EACH_M, START)
    for (int64_t g = p->g, until; g < p->end; g = until) {
        const uint8_t *scales = nbpanel_scales(&w, g, bits, zps);
        const uint8_t *group = nbpanel_group(&w, g, bits, zps);
        const record held = one ? record_at(records) : (record){0}, *x = one ? &held : NULL;
        until = g + 1;
        if (early) until = lmn_min_i64(((g >> w.shift) + 1) << w.shift, p->end);
        STRIP(0)
        STRIP(1)
        STRIP(2)
        STRIP(3)
        records += (until - g) * m * LMN_NBPANEL_RECORD;
    }
    EACH_STRIP(EACH_M, END)
}

/* Hardware follows a stream to the end of a page: where a group is the first in one, a line of the
   page so far ahead is touched. */
enum { PAGE = 4096, TOUCHED = 4 * PAGE };
ALWAYS void touch(const uint8_t *q, const int64_t step)
{
    if (((uintptr_t)q & (PAGE - 1)) < (uintptr_t)step) fetch(q, TOUCHED);
}

/* A single row of A by four strips, blocks of a group: a pair of lines of each strip in turn, since
   1152 B of one stream at a time are more than the core looks ahead, so that it would wait for one
   stream and not for four. Both halves of 4 bits are multiplied 16 times too large and make one
   sum, since there are no registers for two. */
ALWAYS void in_turn(const nbpanel_part *p, const int bits, const bool zps)
{
    enum { m = 1, strips = LMN_NBPANEL_RUNS };
    const int64_t apart = p->apart, bytes = lmn_nbpanel_group_bytes(bits);
    const int64_t step = bytes + lmn_nbpanel_scale_bytes(zps);
    const __m512i high = _mm512_set1_epi8(-16);
    float(*acc)[LMN_NBPANEL_ROWS] = p->acc;
    const uint8_t *a = p->a, *q = nbpanel_group(&p->w, p->g, bits, zps);
    EACH_STRIP(EACH_M, START)
    for (int64_t g = p->g; g < p->end; g++, q += step, a += LMN_NBPANEL_RECORD) {
        for (int t = 0; bits == 8 && t < strips; t++) touch(q + t * apart, step);
        const record x = record_at(a);
        const __m512i open = zps ? _mm512_setzero_si512() : x.sum;
#define BEGIN(_, t) __m512i v0##t = open, v1##t = open;
#define TURN(c, t)                                              \
    {                                                           \
        const __m512i q0 = line_at(q + t * apart, 2 * (c));     \
        const __m512i q1 = line_at(q + t * apart, 2 * (c) + 1); \
        v0##t = _mm512_dpbusd_epi32(v0##t, q0, x.r##c);         \
        v1##t = _mm512_dpbusd_epi32(v1##t, q1, x.r##c);         \
    }
#define RAISED(q) _mm512_and_si512(_mm512_slli_epi16(q, 4), high)
#define HALVES(t, c, up)                                                         \
    {                                                                            \
        const __m512i q0 = line_at(q + t * apart, 2 * (c));                      \
        const __m512i q1 = line_at(q + t * apart, 2 * (c) + 1);                  \
        v0##t = _mm512_dpbusd_epi32(v0##t, _mm512_and_si512(q0, high), x.r##up); \
        v1##t = _mm512_dpbusd_epi32(v1##t, _mm512_and_si512(q1, high), x.r##up); \
        v0##t = _mm512_dpbusd_epi32(v0##t, RAISED(q0), x.r##c);                  \
        v1##t = _mm512_dpbusd_epi32(v1##t, RAISED(q1), x.r##c);                  \
    }
#define EACH_HALVES(c, up) HALVES(0, c, up) HALVES(1, c, up) HALVES(2, c, up) HALVES(3, c, up)
#define LEAVE(_, t)                                                                           \
    {                                                                                         \
        const uint8_t *h = q + t * apart + bytes;                                             \
        const __m512 s = _mm512_castsi512_ps(x.s), s0 = _mm512_mul_ps(scale_at(h, 0), s);     \
        const __m512 s1 = _mm512_mul_ps(scale_at(h, 1), s);                                   \
        if (bits == 4) v0##t = _mm512_srai_epi32(v0##t, 4);                                   \
        if (bits == 4) v1##t = _mm512_srai_epi32(v1##t, 4);                                   \
        if (zps) v0##t = _mm512_dpwssd_epi32(v0##t, zero_points(h + NBPANEL_ZP), x.sum);      \
        if (zps) v1##t = _mm512_dpwssd_epi32(v1##t, zero_points(h + NBPANEL_ZP + 16), x.sum); \
        c00##t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v0##t), s0, c00##t);                      \
        c10##t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v1##t), s1, c10##t);                      \
    }
        EACH_STRIP(BEGIN, 0)
        if (bits == 4) {
            EACH_HALVES(0, 4) EACH_HALVES(1, 5) EACH_HALVES(2, 6) EACH_HALVES(3, 7)
        } else {
            EACH_STRIP(TURN, 0)
            EACH_STRIP(TURN, 1)
            EACH_STRIP(TURN, 2)
            EACH_STRIP(TURN, 3)
            EACH_STRIP(TURN, 4)
            EACH_STRIP(TURN, 5)
            EACH_STRIP(TURN, 6)
            EACH_STRIP(TURN, 7)
        }
        EACH_STRIP(LEAVE, 0)
#undef LEAVE
#undef EACH_HALVES
#undef HALVES
#undef RAISED
#undef TURN
#undef BEGIN
    }
    EACH_STRIP(EACH_M, END)
}
#define IN_TURN(name, bits, zps)                                                              \
    static __attribute__((noinline)) void tile_##name##_##bits##_##zps(const nbpanel_part *p) \
    {                                                                                         \
        in_turn(p, bits, zps);                                                                \
    }
IN_TURN(held, 8, 0)
IN_TURN(held, 8, 1)
IN_TURN(turns, 4, 0)
IN_TURN(turns, 4, 1)

#define INSTANCE(name, one, ahead, strips, m, bits, zps)                                      \
    static __attribute__((noinline)) void tile_##name##_##bits##_##zps(const nbpanel_part *p) \
    {                                                                                         \
        tile(p, one, ahead, strips, m, bits, zps);                                            \
    }
#define INSTANCES(bits, zps)                   \
    INSTANCE(row, false, 0, 1, 1, bits, zps)   \
    INSTANCE(rows2, false, 0, 1, 2, bits, zps) \
    INSTANCE(rows4, false, 0, 1, 4, bits, zps) \
    INSTANCE(runs, false, 0, 4, 1, bits, zps)
INSTANCES(4, 0)
INSTANCES(4, 1)
INSTANCES(8, 0)
INSTANCES(8, 1)
INSTANCE(held, true, 0, 4, 1, 4, 0)
INSTANCE(held, true, 0, 4, 1, 4, 1)

void lmn_nbpanel_i8_tile_avx512vnni(const nbpanel_part *p)
{
    enum { RUNS = 3, HELD };
#define TILES(b, z)                                                                          \
    {                                                                                        \
        tile_row_##b##_##z, tile_rows2_##b##_##z, tile_rows4_##b##_##z, tile_runs_##b##_##z, \
            tile_held_##b##_##z                                                              \
    }
    static nbpanel_tile_fn *const tiles[2][2][5] = {{TILES(4, 0), TILES(4, 1)},
                                                    {TILES(8, 0), TILES(8, 1)}};
#undef TILES
    nbpanel_tile_fn *const *f = tiles[p->w.bits == 8][p->w.zps];
    if (p->m == 1 && p->strips == LMN_NBPANEL_RUNS)
        f[p->w.shift ? RUNS : HELD](p);
    else
        nbpanel_each_strip(p, f[p->m / 2]);
}

void lmn_nbpanel_i8_run_avx512vnni(const lmn_nbpanel_block *b)
{
    nbpanel_run(b, lmn_nbpanel_i8_tile_avx512vnni, 4);
}

/* ---- where products are twice as fast ----------------------------------------------------------
 * Memory and caches then bound up to sixteen rows of A, and hardware that waits for misses of a
 * stream does not keep them at work between products: lines are fetched to L1 three pages ahead,
 * one of the page six ahead before them. Eight rows of A take a strip at once, two tiles of four
 * against every group. One row by strips of 4 bits takes lines in turn as those of 8 bits; by
 * blocks of some groups, which break the steps that hardware foresees, it fetches lines a page
 * ahead where runs are so far apart that a third cache is too small for them.
 */
enum { FETCHED = 3 * PAGE, FORESEEN = 6 * PAGE, FAR_RUNS = 4 << 20 };

ALWAYS void fetch_group(const uint8_t *q, const bool ends, const int bits, const bool zps)
{
    const int64_t scales = lmn_nbpanel_scale_bytes(zps), bytes = lmn_nbpanel_group_bytes(bits);
    fetch_near(q, FETCHED, bytes);
    if (ends) fetch_near(q, FETCHED + bytes, scales);
    if (((uintptr_t)q & (PAGE - 1)) < (uintptr_t)(bytes + scales)) fetch(q, FORESEEN);
}

/* Rows 0 .. 3 of a tile and, of eight, those of the next one. */
#define NEAR_BEGIN(i, t) __m512 c0##i##t = _mm512_setzero_ps(), c1##i##t = c0##i##t;
#define NEAR_TILE(t)                                                            \
    {                                                                           \
        const sums v = group_sums(q, h + NBPANEL_ZP, a, x, m, bits, zps, true); \
        const __m512 scale0 = scale_at(h, 0), scale1 = scale_at(h, 1);          \
        EACH_M(CHAIN, t)                                                        \
    }
#define NEAR_END(i, t)                                      \
    if (m > i) {                                            \
        _mm512_storeu_ps(p->acc[4 * t + i], c0##i##t);      \
        _mm512_storeu_ps(p->acc[4 * t + i] + 16, c1##i##t); \
    }
ALWAYS void tile_near(const nbpanel_part *p, const int rows, const int bits, const bool zps)
{
    const int m = rows < 4 ? rows : 4;
    const record *x = NULL;
    const lmn_nbpanels w = p->w;
    const int64_t next = p->end * 4 * LMN_NBPANEL_RECORD, last = ((int64_t)1 << w.shift) - 1;
    const uint8_t *records = p->a;
    EACH_M(NEAR_BEGIN, 0)
    EACH_M(NEAR_BEGIN, 1)
    for (int64_t g = 0; g < p->end; g++, records += m * LMN_NBPANEL_RECORD) {
        const uint8_t *h = nbpanel_scales(&w, g, bits, zps), *a = records;
        const uint8_t *q = nbpanel_group(&w, g, bits, zps);
        fetch_group(q, (g & last) == last, bits, zps);
        NEAR_TILE(0)
        a += next;
        anew(&q), anew(&h);
        if (rows == 8) NEAR_TILE(1)
    }
    EACH_M(NEAR_END, 0)
    if (rows == 8) {
        EACH_M(NEAR_END, 1)
    }
}
#define NEAR_INSTANCE(rows, bits, zps)                                                        \
    static __attribute__((noinline)) void near_##rows##_##bits##_##zps(const nbpanel_part *p) \
    {                                                                                         \
        tile_near(p, rows, bits, zps);                                                        \
    }
#define NEAR_INSTANCES(bits, zps) \
    NEAR_INSTANCE(1, bits, zps)   \
    NEAR_INSTANCE(2, bits, zps)   \
    NEAR_INSTANCE(4, bits, zps)   \
    NEAR_INSTANCE(8, bits, zps)
NEAR_INSTANCES(4, 0)
NEAR_INSTANCES(4, 1)
NEAR_INSTANCES(8, 0)
NEAR_INSTANCES(8, 1)

static nbpanel_tile_fn *near_tile(int64_t rows, const lmn_nbpanels *w)
{
#define TILES(b, z)                                                            \
    {                                                                          \
        near_1_##b##_##z, near_2_##b##_##z, near_4_##b##_##z, near_8_##b##_##z \
    }
    static nbpanel_tile_fn *const tiles[2][2][4] = {{TILES(4, 0), TILES(4, 1)},
                                                    {TILES(8, 0), TILES(8, 1)}};
#undef TILES
    return tiles[w->bits == 8][w->zps][rows == 8 ? 3 : rows / 2];
}

INSTANCE(far, false, PAGE, 4, 1, 4, 0)
INSTANCE(far, false, PAGE, 4, 1, 4, 1)

static void one_near(const nbpanel_part *p)
{
    if (p->strips < LMN_NBPANEL_RUNS || p->w.bits != 4 || (p->w.shift && p->apart <= FAR_RUNS))
        lmn_nbpanel_i8_tile_avx512vnni(p);
    else if (p->w.shift)
        (p->w.zps ? tile_far_4_1 : tile_far_4_0)(p);
    else
        (p->w.zps ? tile_turns_4_1 : tile_turns_4_0)(p);
}

void lmn_nbpanel_i8_run_wide_avx512vnni(const lmn_nbpanel_block *b)
{
    if (b->m == 1) {
        nbpanel_run(b, one_near, 4);
        return;
    }
    _Alignas(64) float acc[LMN_NBPANEL_M][LMN_NBPANEL_ROWS];
    nbpanel_part p = {.w = b->w, .strips = 1, .end = b->groups, .acc = acc};
    p.w.p += b->first * lmn_nbpanel_strip_bytes(&b->w);
    for (int64_t at = b->first; at < b->end; at++) {
        p.a = b->a;
        for (int64_t i = 0; i < b->m; i += p.m) {
            p.m = lmn_nbpanel_tile(8, b->m, i);
            near_tile(p.m, &b->w)(&p);
            p.a += p.m * b->groups * LMN_NBPANEL_RECORD;
            for (int64_t r = 0; r < p.m; r++)
                nbpanel_store(b, i + r, at * LMN_NBPANEL_ROWS, acc[r]);
        }
        p.w.p += lmn_nbpanel_strip_bytes(&b->w);
    }
}
