/*
 * The walk of lmn_qgemm_gather over taps and output rows. A row of the matrix falls into pieces:
 * output rows, or a part of one, that all see the same columns. The pieces of a tap are the same
 * for every channel, so they are found once for all channels of a slab. The file that includes it
 * defines gather_rows, which copies a piece, in increasing order of dst:
 *
 *   dst[r * n + i] = inside holds i ? x[r * step + (i - inside.lo) * stride] : pad,    i < n
 */
#ifndef LMN_KERNELS_QGATHER_TMPL_H
#define LMN_KERNELS_QGATHER_TMPL_H

#include "kernels/qgemm/qgemm.h"

typedef struct gather_span {
    int64_t lo, hi; /* outputs lo .. hi - 1; lo <= hi */
} gather_span;

typedef struct gather_piece {
    int64_t x, dst; /* offsets of the first element inside of row 0, from the channel's plane, and
                       of what is written, from the matrix's row */
    int64_t rows, step, n, stride;
    gather_span inside;
    uint8_t pad;
} gather_piece;

static inline void gather_rows(uint8_t *dst, const uint8_t *x, const gather_piece *p);

/* Pieces are kept where there is room, else copied at once. */
enum { GATHER_TAPS = 64, GATHER_PIECES = 320 };
typedef struct gather_sink {
    gather_piece *list; /* NULL: copy */
    int32_t n, cap;
    bool full;
    const uint8_t *x;
    uint8_t *dst;
} gather_sink;

static inline void gather_give(gather_sink *s, const gather_piece *p)
{
    if (!s->list)
        gather_rows(s->dst + p->dst, s->x + p->x, p);
    else if (s->n < s->cap)
        s->list[s->n++] = *p;
    else
        s->full = true;
}

/* Outputs of a whole row whose tap t lies inside. */
static inline gather_span gather_inside(const lmn_conv_geom *g, int64_t t)
{
    gather_span s;
    lmn_conv_inside(g, 0, g->out[2], t, &s.lo, &s.hi);
    return s;
}

static inline gather_span gather_cut(gather_span s, int64_t first, int64_t n)
{
    s.lo = lmn_min_i64(n, lmn_max_i64(0, s.lo - first));
    s.hi = lmn_max_i64(s.lo, lmn_min_i64(n, s.hi - first));
    return s;
}

/* Output rows p.rows from input row iy on, of which only some lie on the plane: p.x is the offset
   of row 0 of the plane. */
static inline void gather_cut_rows(const lmn_conv_geom *g, int64_t iy, gather_piece p, bool seen,
                                   gather_sink *sink)
{
    const int64_t rows = p.rows, sy = g->stride[1], plane = p.x;
    int64_t lo = 0, hi = rows;
    while (lo < rows && iy + lo * sy < 0) lo++;
    while (hi > lo && iy + (hi - 1) * sy >= g->in[1]) hi--;
    if (!seen || p.inside.lo >= p.inside.hi || lo == hi) lo = hi = rows;
    const int64_t part[3] = {lo, hi - lo, rows - hi};
    const gather_span inside = p.inside, none = {0, 0};
    for (int i = 0; i < 3; i++) {
        if (part[i] == 0) continue;
        p.rows = part[i], p.inside = i == 1 ? inside : none;
        p.x = i == 1 ? plane + (iy + lo * sy) * g->in[2] : 0;
        gather_give(sink, &p);
        p.dst += part[i] * p.n;
    }
}

/* A row of the matrix, for tap t. */
static inline void gather_row(const lmn_qgemm_gather *w, const int64_t t[3], const int64_t first[3],
                              gather_sink *sink)
{
    const lmn_conv_geom *g = w->g;
    const gather_span row = gather_inside(g, t[2]);
    const int64_t ix = lmn_conv_at(g, 2, 0, t[2]), width = g->out[2];
    gather_piece p = {.step = g->stride[1] * g->in[2], .stride = g->stride[2], .pad = w->pad};
    int64_t o[3] = {first[0], first[1], first[2]};
    for (int64_t left = w->n; left > 0;) {
        const bool whole = o[2] == 0 && left >= width;
        const int64_t iz = lmn_conv_at(g, 0, o[0], t[0]), iy = lmn_conv_at(g, 1, o[1], t[1]);
        p.rows = whole ? lmn_min_i64(left / width, g->out[1] - o[1]) : 1;
        p.n = whole ? width : lmn_min_i64(left, width - o[2]);
        p.inside = gather_cut(row, o[2], p.n);
        p.x = iz * g->in[1] * g->in[2] + ix + (o[2] + p.inside.lo) * p.stride;
        gather_cut_rows(g, iy, p, iz >= 0 && iz < g->in[0], sink);
        left -= p.rows * p.n, p.dst += p.rows * p.n, o[2] = 0, o[1] += p.rows;
        if (o[1] == g->out[1]) o[1] = 0, o[0]++;
    }
}

static inline void gather_tap(const lmn_conv_geom *g, int64_t tap, int64_t t[3])
{
    t[0] = tap / (g->kernel[1] * g->kernel[2]);
    t[1] = tap / g->kernel[2] % g->kernel[1], t[2] = tap % g->kernel[2];
}

static inline void gather_slab(const lmn_qgemm_gather *w)
{
    const lmn_conv_geom *g = w->g;
    const int64_t kvol = lmn_conv_volume(g->kernel), in_plane = lmn_conv_volume(g->in);
    const int64_t out_row = g->out[2], out_plane = g->out[1] * g->out[2];
    const int64_t first[3] = {w->col / out_plane, w->col / out_row % g->out[1], w->col % out_row};
    gather_piece list[GATHER_PIECES];
    int32_t end[GATHER_TAPS + 1] = {0};
    gather_sink keep = {
        .list = list, .cap = GATHER_PIECES, .full = kvol > GATHER_TAPS || w->k < 2 * kvol};
    int64_t t[3], c = w->k0 / kvol, tap = w->k0 % kvol;
    for (int64_t i = 0; i < kvol && !keep.full; i++) {
        gather_tap(g, i, t);
        gather_row(w, t, first, &keep);
        end[i + 1] = keep.n;
    }
    for (int64_t r = 0; r < w->k; r++) {
        gather_sink copy = {.x = w->x + c * in_plane, .dst = w->dst + r * w->n};
        if (keep.full) {
            gather_tap(g, tap, t);
            gather_row(w, t, first, &copy);
        } else {
            for (int32_t i = end[tap]; i < end[tap + 1]; i++) gather_give(&copy, &list[i]);
        }
        if (++tap == kvol) tap = 0, c++;
    }
}

#endif
