/*
 * Panels of nbdot: the products of nbdot.h with weights in another order, made once for weights
 * that are used often. Rows of weights, 32 a strip, lie side by side, so that a lane of sums
 * belongs to a row of weights and nothing is folded across lanes:
 *
 *   a block of 32 << shift columns of a strip is, in front of its groups or, of one, behind it,
 *     128 B   scales, one a row, as f32
 *      64 B   only if there are zero points: those, a byte a row, and 32 B of zeros
 *     and
 *     groups  32 columns each, bits lines of 128 B. Bytes 4 r .. 4 r + 3 of line c belong to row r:
 *             with 8 bits columns 4 c .. 4 c + 3; with 4 bits low halves these, high halves columns
 *             16 + 4 c .. 16 + 4 c + 3
 *
 * Blocks of a strip lie after each other, the last one whole as well, and so do strips, so that a
 * product reads forward. Behind the last row of weights a strip is filled up with zeros. Without
 * zero points those are 2^(bits - 1).
 *
 *   y = fma(v[g], scale * s[g], y) over g = 0, 1, 2 ..  [+ bias], r, s and v as in nbdot.h
 *
 * so results differ from those of weights in place by what sums in another order differ by.
 *
 * Rows of A are dealt to tiles of 8, if the row has such, 4, 2 and 1, tile after tile. A tile holds
 * for every group a record a row: 32 bytes of r, s, and the sum of r times -1, or times -128 if
 * there are no zp. A tile of 8 for 4-bit weights holds for every two groups
 *
 *     512 B   the first one, 64 a row: r and 32 zeros
 *     512 B   the second one: 32 zeros and r; without one zeros
 *     128 B   s and the sum of eight rows of the first, of eight of the second
 *
 * so that one product of tiles by 64 k makes the sums of both.
 *
 * Class  exact: every row gives the same bits.
 * Edges  any number of rows.
 */
#ifndef LMN_KERNELS_NBPANEL_H
#define LMN_KERNELS_NBPANEL_H

#include "kernels/nbits/nbdot.h"

/* Rows of a strip; of a tile of A at most, whatever the row; bytes of a record, and of eight rows'
   two groups. */
enum { LMN_NBPANEL_ROWS = 32, LMN_NBPANEL_M = 8, LMN_NBPANEL_RECORD = 40, LMN_NBPANEL_TWO = 1152 };
/* Runs of strips that one row of A takes side by side. */
enum { LMN_NBPANEL_RUNS = 4 };

typedef struct lmn_nbpanels {
    const uint8_t *p;
    int64_t n_blocks; /* of a row */
    int32_t bits, shift;
    bool zps;
} lmn_nbpanels;

static inline int64_t lmn_nbpanel_strips(int64_t n)
{
    return (n + LMN_NBPANEL_ROWS - 1) / LMN_NBPANEL_ROWS;
}
/* Bytes of a block beside its groups, of a group, and of a strip. */
static inline int64_t lmn_nbpanel_scale_bytes(bool zps)
{
    return zps ? 192 : 128;
}
static inline int64_t lmn_nbpanel_group_bytes(int32_t bits)
{
    return 128 * bits;
}
static inline int64_t lmn_nbpanel_strip_bytes(const lmn_nbpanels *w)
{
    return w->n_blocks *
           (lmn_nbpanel_scale_bytes(w->zps) + (lmn_nbpanel_group_bytes(w->bits) << w->shift));
}

/* Panels of n rows, which the fields of *to but p describe; dst: lmn_nbpanel_strips(n) strips. Rows
   of weights are read to the end of their last block. */
void lmn_nbpanel_make(uint8_t *dst, const lmn_nbpanels *to, const lmn_nbdot_weights *from,
                      int64_t n);

/* Rows of the tile that begins at row i of m, if tiles have `most` at most. */
static inline int64_t lmn_nbpanel_tile(int64_t most, int64_t m, int64_t i)
{
    int64_t rows = most;
    while (rows > m - i) rows /= 2;
    return rows;
}
/* Are groups of a tile of `rows` held by twos? */
static inline bool lmn_nbpanel_by_twos(int64_t rows, int32_t bits)
{
    return rows == LMN_NBPANEL_M && bits == 4;
}
/* Bytes of the tiles in front of row i, if tiles have `most` rows at most. */
static inline int64_t lmn_nbpanel_tile_at(int64_t most, int64_t i, int64_t groups, int32_t bits)
{
    const int64_t eights = lmn_nbpanel_by_twos(most, bits) ? i / LMN_NBPANEL_M : 0;
    return eights * ((groups + 1) / 2) * LMN_NBPANEL_TWO +
           (i - eights * LMN_NBPANEL_M) * groups * LMN_NBPANEL_RECORD;
}
static inline int64_t lmn_nbpanel_a_bytes(int64_t most, int64_t m, int64_t k, int32_t bits)
{
    return lmn_nbpanel_tile_at(most, m, lmn_nbdot_groups(k), bits);
}

/* k numbers, row r of a tile of `rows`, for w. */
typedef void lmn_nbpanel_pack_fn(uint8_t *tile, int64_t rows, int64_t r, const float *x, int64_t k,
                                 const lmn_nbpanels *w);

/*
 * Strips are multiplied by in the order of places. More rows of A than one take them as they lie.
 * One row takes four runs side by side, the first strip of each, then the second of each: caches
 * and memory give more to four streams far apart than to one, and a record of A is loaded once for
 * four strips. The last place of a run may be empty.
 */
typedef struct lmn_nbpanel_block {
    lmn_nbpanels w;
    const uint8_t *a;
    int64_t m, n, groups; /* n: rows of weights */
    int64_t first, end;   /* places of the strips to multiply by */
    const float *bias;    /* one a row of weights; NULL = none */
    float *y;             /* y[i * ldy + j]: row i of a, j of weights */
    int64_t ldy;
} lmn_nbpanel_block;

/* Strips of a run; places; the strip of a place, none if there is none of that number. */
static inline int64_t lmn_nbpanel_run_length(const lmn_nbpanel_block *b)
{
    return lmn_ceil_div_i64(lmn_nbpanel_strips(b->n), LMN_NBPANEL_RUNS);
}
static inline int64_t lmn_nbpanel_places(const lmn_nbpanel_block *b)
{
    return b->m == 1 ? lmn_nbpanel_run_length(b) * LMN_NBPANEL_RUNS : lmn_nbpanel_strips(b->n);
}
static inline int64_t lmn_nbpanel_strip(const lmn_nbpanel_block *b, int64_t place)
{
    if (b->m != 1) return place;
    return place % LMN_NBPANEL_RUNS * lmn_nbpanel_run_length(b) + place / LMN_NBPANEL_RUNS;
}

typedef void lmn_nbpanel_run_fn(const lmn_nbpanel_block *b);

typedef struct lmn_nbpanel_fns {
    lmn_nbpanel_pack_fn *pack;
    lmn_nbpanel_run_fn *run;
    int64_t tile_m; /* rows of a tile of A at most */
} lmn_nbpanel_fns;

/* In the order of the rows of nbdot. */
extern const lmn_nbpanel_fns lmn_nbpanel_i8[];

static inline const lmn_nbpanel_fns *lmn_nbpanel_of(const lmn_nbdot_row *row)
{
    return &lmn_nbpanel_i8[row - lmn_nbdot_i8_rows];
}

/* Row i of m into a, for w, which holds lmn_nbpanel_a_bytes() by the row's tiles. */
static inline void lmn_nbpanel_pack(const lmn_nbpanel_fns *f, uint8_t *a, const float *x, int64_t m,
                                    int64_t i, int64_t k, const lmn_nbpanels *w)
{
    int64_t first = 0, rows = lmn_nbpanel_tile(f->tile_m, m, 0);
    while (first + rows <= i) first += rows, rows = lmn_nbpanel_tile(f->tile_m, m, first);
    f->pack(a + lmn_nbpanel_a_bytes(f->tile_m, first, k, w->bits), rows, i - first, x, k, w);
}

#endif
