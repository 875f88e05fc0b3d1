/*
 * What the rows of nbpanel share: records of rows of A, which compilers turn into vectors of the
 * file's ISA (see nbdot_tmpl.h), and the walk over a block. A few strips share a part of the
 * records that stays in L1; between parts the sums of a strip are kept in memory.
 */
#ifndef LMN_KERNELS_NBPANEL_TMPL_H
#define LMN_KERNELS_NBPANEL_TMPL_H

#include "kernels/nbits/nbdot_tmpl.h"
#include "kernels/nbits/nbpanel.h"

/* Offsets in a record. */
enum { NBPANEL_S = 32, NBPANEL_SUM = 36 };
/* Strips that share a part, one of each run for one row of A, and how much of A that is: half of
   L1. From so many rows of A on the next strips are fetched. */
enum { NBPANEL_STRIPS = 2, NBPANEL_A_BYTES = 20 << 10, NBPANEL_FETCH_M = 4 };

static inline void nbpanel_pack(uint8_t *dst, int64_t step, const float *x, int64_t k, bool zps)
{
    float some[LMN_NBDOT_GROUP] = {0};
    for (int64_t i = 0; i < k; i += LMN_NBDOT_GROUP, dst += step) {
        const float *from = x + i;
        if (k - i < LMN_NBDOT_GROUP) {
            memcpy(some, from, (size_t)(k - i) * sizeof *some);
            from = some;
        }
        int8_t r[LMN_NBDOT_GROUP];
        int32_t sum = 0;
        const float s = nbdot_round(r, from);
        for (int c = 0; c < LMN_NBDOT_GROUP; c++) sum -= r[c];
        if (!zps) sum *= 128;
        memcpy(dst, r, sizeof r);
        memcpy(dst + NBPANEL_S, &s, sizeof s);
        memcpy(dst + NBPANEL_SUM, &sum, sizeof sum);
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

/* Rows [i, i + m) of A, which are a tile, by `strips` strips, `apart` from each other, from
   strip `from` on. */
static inline void nbpanel_some(const lmn_nbpanel_block *b, nbpanel_tile_fn *tile, int64_t i,
                                int64_t m, int64_t from, int64_t apart, int64_t strips)
{
    const int64_t step = m * LMN_NBPANEL_RECORD, part = NBPANEL_A_BYTES / step;
    const uint8_t *a = b->a + i * b->groups * LMN_NBPANEL_RECORD;
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
                          .a = a + g * step,
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
            if (there > 0) nbpanel_some(b, tile, 0, 1, from, run, there);
            continue;
        }
        strips = lmn_min_i64(NBPANEL_STRIPS, b->end - at);
        for (int64_t i = 0, m; i < b->m; i += m) {
            m = lmn_nbpanel_tile(most, b->m, i);
            nbpanel_some(b, tile, i, m, from, 1, strips);
        }
    }
}

#endif
