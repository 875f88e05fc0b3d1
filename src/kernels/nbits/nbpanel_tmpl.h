/*
 * What the rows of nbpanel share: records of rows of A, which compilers turn into vectors of the
 * file's ISA (see nbdot_tmpl.h), and the walk over a block. A few strips share a part of the
 * records that stays in L1; between parts the sums of a strip are kept in memory.
 */
#ifndef LMN_KERNELS_NBPANEL_TMPL_H
#define LMN_KERNELS_NBPANEL_TMPL_H

#include "kernels/nbits/nbdot_tmpl.h"
#include "kernels/nbits/nbpanel.h"

/* Offsets in a record, and of s in eight rows' two groups. */
enum { NBPANEL_S = 32, NBPANEL_SUM = 36, NBPANEL_TWO_S = 1024 };
/* Strips that share a part, one of each run for one row of A, and how much of A that is: half of
   L1, or of groups by twos, which tiles read from L2 as well, what a part's ends are little of.
   From so many rows of A on the next strips are fetched. */
enum { NBPANEL_STRIPS = 2, NBPANEL_A_BYTES = 20 << 10, NBPANEL_TWOS_BYTES = 96 << 10 };
enum { NBPANEL_FETCH_M = 4 };

/* Where a tile of `rows` has row r of group g: numbers, and s and the sum behind each other. */
typedef struct nbpanel_place {
    uint8_t *r, *s;
} nbpanel_place;

static inline nbpanel_place nbpanel_at(uint8_t *tile, int64_t rows, int64_t r, int64_t g,
                                       bool by_twos)
{
    if (!by_twos) {
        uint8_t *at = tile + (g * rows + r) * LMN_NBPANEL_RECORD;
        return (nbpanel_place){at, at + NBPANEL_S};
    }
    uint8_t *two = tile + g / 2 * LMN_NBPANEL_TWO;
    const int64_t i = g % 2 * LMN_NBPANEL_M + r;
    return (nbpanel_place){two + i * 64 + g % 2 * 32, two + NBPANEL_TWO_S + i * 8};
}

static inline void nbpanel_pack(uint8_t *tile, int64_t rows, int64_t r, const float *x, int64_t k,
                                const lmn_nbpanels *w)
{
    const bool by_twos = lmn_nbpanel_by_twos(rows, w->bits);
    const int64_t groups = lmn_nbdot_groups(k);
    float some[LMN_NBDOT_GROUP] = {0};
    for (int64_t g = 0; g < groups; g++, x += LMN_NBDOT_GROUP, k -= LMN_NBDOT_GROUP) {
        const float *from = x;
        if (k < LMN_NBDOT_GROUP) {
            memcpy(some, from, (size_t)k * sizeof *some);
            from = some;
        }
        int8_t q[LMN_NBDOT_GROUP];
        int32_t sum = 0;
        const float s = nbdot_round(q, from);
        for (int c = 0; c < LMN_NBDOT_GROUP; c++) sum -= q[c];
        if (!w->zps) sum *= 128;
        const nbpanel_place to = nbpanel_at(tile, rows, r, g, by_twos);
        memcpy(to.r, q, sizeof q);
        if (by_twos) memset(g % 2 ? to.r - 32 : to.r + 32, 0, 32);
        memcpy(to.s, &s, sizeof s);
        memcpy(to.s + 4, &sum, sizeof sum);
    }
    if (by_twos && groups % 2) {
        const nbpanel_place to = nbpanel_at(tile, rows, r, groups, true);
        memset(to.r - 32, 0, 64);
        memset(to.s, 0, 8);
    }
}

/* Where group g of a strip lies, and the scales of its block. */
static inline const uint8_t *nbpanel_group(const lmn_nbpanels *w, int64_t g, int32_t bits, bool zps)
{
    const int64_t before = (g >> w->shift) + (w->shift > 0); /* scales of so many blocks */
    return w->p + before * lmn_nbpanel_scale_bytes(zps) + g * lmn_nbpanel_group_bytes(bits);
}
static inline const uint8_t *nbpanel_scales(const lmn_nbpanels *w, int64_t g, int32_t bits,
                                            bool zps)
{
    const int64_t first = g >> w->shift << w->shift;
    return nbpanel_group(w, first, bits, zps) +
           (w->shift > 0 ? -lmn_nbpanel_scale_bytes(zps) : lmn_nbpanel_group_bytes(bits));
}
enum { NBPANEL_ZP = 128 }; /* offset of zero points behind the scales */

/* Groups [g, end) of some strips against a tile of m rows of A, whose records begin at a. The sums
   in acc, LMN_NBPANEL_M rows of A a strip, begin where g is 0, or go on. */
typedef struct nbpanel_part {
    lmn_nbpanels w;
    int64_t strips, apart; /* apart: bytes from strip to strip */
    int64_t g, end, m;
    int64_t ahead, lines; /* of every group, how far on are lines of 64 B to fetch, and how many */
    const uint8_t *a;
    float (*acc)[LMN_NBPANEL_ROWS];
} nbpanel_part;

typedef void nbpanel_tile_fn(const nbpanel_part *p);

/* A part by a tile that takes one strip. */
static inline void nbpanel_each_strip(const nbpanel_part *p, nbpanel_tile_fn *tile)
{
    nbpanel_part one = *p;
    one.strips = 1;
    for (int64_t s = 0; s < p->strips; s++) {
        tile(&one);
        one.w.p += p->apart, one.acc += LMN_NBPANEL_M;
    }
}

static inline void nbpanel_store(const lmn_nbpanel_block *b, int64_t i, int64_t j,
                                 const float acc[LMN_NBPANEL_ROWS])
{
    const int64_t n = lmn_min_i64(LMN_NBPANEL_ROWS, b->n - j);
    float *y = b->y + i * b->ldy + j;
    if (!b->bias && n == LMN_NBPANEL_ROWS) {
        memcpy(y, acc, LMN_NBPANEL_ROWS * sizeof *y);
        return;
    }
    for (int64_t r = 0; r < n; r++) y[r] = b->bias ? acc[r] + b->bias[j + r] : acc[r];
}

/* m rows of A, which are the tile at a, by `strips` strips, `apart` from each other, from strip
   `from` on. i: the first row of A. */
static inline void nbpanel_some(const lmn_nbpanel_block *b, nbpanel_tile_fn *tile, const uint8_t *a,
                                int64_t i, int64_t m, int64_t from, int64_t apart, int64_t strips)
{
    const int64_t most = lmn_nbpanel_by_twos(m, b->w.bits) ? NBPANEL_TWOS_BYTES : NBPANEL_A_BYTES;
    const int64_t two = lmn_nbpanel_tile_at(m, m, 2, b->w.bits), part = most / two * 2;
    const int64_t strip = lmn_nbpanel_strip_bytes(&b->w);
    /* Where rows of A are enough to keep the core busy, tiles share the fetching of the strips that
       come next; weights for fewer are streams, which the hardware foresees better. */
    const int64_t all = lmn_nbpanel_group_bytes(b->w.bits) / 64 + 2;
    const int64_t share = lmn_ceil_div_i64(all * m, b->m), first = i * all / b->m;
    const int64_t lines = b->m >= NBPANEL_FETCH_M ? share : 0;
    _Alignas(64) float acc[LMN_NBPANEL_RUNS][LMN_NBPANEL_M][LMN_NBPANEL_ROWS];
    for (int64_t g = 0; g < b->groups; g += part) {
        nbpanel_part p = {.w = b->w,
                          .strips = strips,
                          .apart = apart * strip,
                          .g = g,
                          .end = lmn_min_i64(g + part, b->groups),
                          .m = m,
                          .ahead = strips * strip + first * 64,
                          .lines = lines,
                          .a = a + g / 2 * two,
                          .acc = acc[0]};
        p.w.p += from * strip;
        tile(&p);
    }
    for (int64_t s = 0; s < strips; s++)
        for (int64_t r = 0; r < m; r++)
            nbpanel_store(b, i + r, (from + s * apart) * LMN_NBPANEL_ROWS, acc[s][r]);
}

/* most: rows of a tile of A, that of the row in nbdot_variants.h. */
static inline void nbpanel_run(const lmn_nbpanel_block *b, nbpanel_tile_fn *tile, int64_t most)
{
    const int64_t all = lmn_nbpanel_strips(b->n), run = lmn_nbpanel_run_length(b);
    for (int64_t at = b->first, strips; at < b->end; at += strips) {
        const int64_t from = lmn_nbpanel_strip(b, at);
        if (b->m == 1) {
            strips = lmn_min_i64(LMN_NBPANEL_RUNS - at % LMN_NBPANEL_RUNS, b->end - at);
            const int64_t there = lmn_min_i64(strips, lmn_ceil_div_i64(all - from, run));
            if (there > 0) nbpanel_some(b, tile, b->a, 0, 1, from, run, there);
            continue;
        }
        strips = lmn_min_i64(NBPANEL_STRIPS, b->end - at);
        for (int64_t i = 0, m; i < b->m; i += m) {
            m = lmn_nbpanel_tile(most, b->m, i);
            const uint8_t *a = b->a + lmn_nbpanel_tile_at(most, i, b->groups, b->w.bits);
            nbpanel_some(b, tile, a, i, m, from, 1, strips);
        }
    }
}

#endif
