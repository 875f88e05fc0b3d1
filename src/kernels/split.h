/*
 * How plans cut an extent, and a product, into blocks.
 */
#ifndef LMN_KERNELS_SPLIT_H
#define LMN_KERNELS_SPLIT_H

#include "base/types.h"

/* The size of equal blocks of at most `most`, each a multiple of `unit`. */
static inline int64_t lmn_split_even(int64_t total, int64_t most, int64_t unit)
{
    const int64_t blocks = lmn_max_i64(1, lmn_ceil_div_i64(total, most));
    return lmn_max_i64(unit, lmn_round_up_i64(lmn_ceil_div_i64(total, blocks), unit));
}

/* How late the last of `threads` ends by a chunk of a cost: it may begin half a chunk after the
   others, of two a quarter. */
static inline double lmn_split_late(double one, int32_t threads)
{
    return threads > 2 ? one / 2 : threads == 2 ? one / 4 : 0;
}

/* Until the last of `threads` is done with equal chunks of a cost. */
static inline double lmn_split_time(int64_t chunks, double one, int32_t threads)
{
    return (double)lmn_ceil_div_i64(chunks, threads) * one + lmn_split_late(one, threads);
}

/* Do chunks in order pass along rows? Where threads get equally many blocks of rows they get those,
   all columns of each: the last block of columns may be a small one. */
static inline bool lmn_split_rows_first(int64_t m_blocks, int32_t threads)
{
    return threads > 1 && m_blocks % threads == 0;
}

/* The blocks of rows and columns of a chunk. */
static inline void lmn_split_place(int64_t chunk, int64_t m_blocks, int64_t n_blocks,
                                   int32_t threads, int64_t *mb, int64_t *nb)
{
    const bool rows_first = lmn_split_rows_first(m_blocks, threads);
    *mb = rows_first ? chunk / n_blocks : chunk % m_blocks;
    *nb = rows_first ? chunk % n_blocks : chunk / m_blocks;
}

/* How a product is cut: in, its extents and the largest blocks; out, mc and nc of the least time.
 */
typedef struct lmn_cut {
    int64_t m, n, k, items; /* >= 1 */
    int64_t mr, nr;         /* blocks are multiples of */
    int64_t mc, nc;
    int32_t threads; /* that share the chunks, >= 1 */
    /* In multiply-adds: what packing an element of B costs each chunk, what coming to a chunk
       costs, and what a chunk should not pass, as a cancelled run waits for one. */
    double pack, come, most;
    double fetch; /* what an element of A and of B costs each chunk that reads it */
} lmn_cut;

static inline double lmn_cut_time(const lmn_cut *c, int64_t mc, int64_t nc)
{
    const int64_t m_blocks = lmn_ceil_div_i64(c->m, mc), n_blocks = lmn_ceil_div_i64(c->n, nc);
    const int64_t columns = lmn_min_i64(nc, c->n); /* a panel may be partly empty */
    const double madds = (double)(mc * columns) * (double)c->k;
    const double fetched = c->fetch * (double)(mc + columns) * (double)c->k;
    const double one = madds + c->pack * (double)columns * (double)c->k + c->come + fetched;
    double all = lmn_split_time(m_blocks * n_blocks * c->items, one, c->threads);
    if (lmn_split_rows_first(m_blocks, c->threads)) { /* the last columns may be few */
        const double over = (double)(n_blocks * columns - c->n) / (double)columns;
        all -= (double)(m_blocks / c->threads * c->items) * over * (one - c->come);
        if (c->threads == 2) all -= lmn_split_late(one, 2) / 2; /* they begin together */
    }
    return madds > c->most ? 1e3 * all : all;
}

static inline void lmn_cut_blocks(lmn_cut *c)
{
    const int64_t n_most = c->nc, b0 = lmn_ceil_div_i64(c->m, c->mc);
    const bool alone =
        c->threads == 1 || (double)(c->m * c->n) * (double)(c->k * c->items) < 16 * c->come;
    c->nc = lmn_split_even(c->n, n_most, c->nr), c->mc = lmn_split_even(c->m, c->mc, c->mr);
    if (alone && (double)(c->mc * c->nc) * (double)c->k <= c->most) return;
    double least = lmn_cut_time(c, c->mc, c->nc);
    for (int64_t n = n_most; n >= 2 * c->nr || n == n_most; n /= 2) {
        const int64_t nc = lmn_split_even(c->n, n, c->nr);
        for (int64_t b = b0; b <= b0 + 64; b += b / 4 + 1) {
            const int64_t mc = lmn_split_even(c->m, lmn_ceil_div_i64(c->m, b), c->mr);
            const double time = lmn_cut_time(c, mc, nc);
            if (time < least) c->mc = mc, c->nc = nc, least = time;
            if (mc <= 2 * c->mr) break;
        }
    }
}

#endif
