/*
 * Pooling on the vf_* words (include simd_<isa>.h first). A row of maxima is made in two passes
 * over a segment of its columns: down the rows of the window into a buffer on the stack, whole
 * vectors of neighbouring columns with the padding written out; then along the buffer, where no
 * lane needs a mask. Sums have an order to keep and go tap by tap, a strip of columns at a time,
 * whose masks all rows and planes share. A window that is the whole plane (global pooling) runs
 * along it.
 */
#ifndef LMN_KERNELS_POOL_TMPL_H
#define LMN_KERNELS_POOL_TMPL_H

#include "kernels/conv/pool.h"
#include "kernels/simd/simd_wide.h"

/* NaN wins, and +0 is above -0: of equal numbers only zeros differ, in the sign bit. */
VF_INLINE vf max_nan(vf acc, vf x)
{
    const vf most = vf_select(vf_eq(acc, x), vf_and(acc, x), vf_max(acc, x));
    return vf_select(vf_unord(acc, acc), acc, most);
}

#ifndef POOL_OWN_MAX
/* The same where neither is NaN. */
VF_INLINE vf max_num(vf acc, vf x)
{
    return vf_select(vf_eq(acc, x), vf_and(acc, x), vf_max(acc, x));
}
#endif

/* What a pass does with two numbers. Maxima are taken without a look at NaN, which is noted; rows
   that met one are made again. */
typedef enum pool_way { POOL_SUM, POOL_MOST, POOL_MOST_NAN } pool_way;

VF_INLINE vf pool_join(vf acc, vf x, const pool_way way)
{
    return way == POOL_SUM ? vf_add(acc, x) : way == POOL_MOST ? max_num(acc, x) : max_nan(acc, x);
}

/* The same for one number each. */
static inline float max_one(float acc, float x)
{
    if (acc != acc) return acc;
    return x != x || x > acc || (x == acc && __builtin_signbit(acc)) ? x : acc;
}

/* Columns of the buffer that outputs and taps of a segment reach over, each; and what vectors may
   touch beyond them. */
enum { POOL_REACH = 1024, POOL_SLACK = 3 * VF_LANES, POOL_ROWS = 8 };
enum { POOL_BUF = 2 * POOL_REACH + POOL_SLACK };

/* Outputs ox .. ox + n - 1 of every row and taps kx .. kx + n_kx - 1 of the window. */
typedef struct pool_seg {
    const lmn_conv_geom *g;
    int64_t ox, n, kx, n_kx;
    int64_t col, span; /* input column of buf[0], used elements of buf */
    int64_t lo, hi;    /* elements of buf inside the input */
    bool first, last;  /* of the segments that share these outputs */
    int64_t rows, ld;  /* rows of buf, and from one to the next */
    float buf[POOL_BUF];
} pool_seg;

/* Positions of output o along an axis that lie in the input (or its padding too). */
static int64_t axis_taps(const lmn_conv_geom *g, int axis, int64_t o, bool padded)
{
    const int64_t at = lmn_conv_at(g, axis, o, 0), d = g->dilation[axis], k = g->kernel[axis];
    const int64_t lo = (padded ? -g->pad[axis] : 0) - at;
    const int64_t hi = g->in[axis] + (padded ? g->pad_end[axis] : 0) - at;
    int64_t from = lmn_max_i64(lo, 0), to = lmn_max_i64(hi, 0);
    if (d > 1) from = (from + d - 1) / d, to = (to + d - 1) / d;
    return lmn_max_i64(0, lmn_min_i64(k, to) - from);
}

/* n_rows rows of the window, joined to what buf has unless it is fresh. Did POOL_MOST meet NaN? */
VF_INLINE bool pool_down(float *buf, int64_t n, const float *const *row, const int n_rows,
                         bool fresh, const pool_way way)
{
    vm nan = vm_first(0);
    for (int64_t c = 0; c < n; c += VF_LANES) {
        const vm m = vm_first(n - c);
        vf acc = vf_loadm(row[0] + c, m);
        if (way == POOL_MOST) nan = vm_or(nan, vf_unord(acc, acc));
        if (!fresh) acc = pool_join(vf_load(buf + c), acc, way);
        for (int r = 1; r < n_rows; r++) {
            const vf x = vf_loadm(row[r] + c, m);
            if (way == POOL_MOST) nan = vm_or(nan, vf_unord(x, x));
            acc = pool_join(acc, x, way);
        }
        vf_store(buf + c, acc);
    }
    return way == POOL_MOST && vm_any(nan);
}

static bool pool_down_some(const pool_seg *t, float *buf, const float *const *row, int n_rows,
                           bool fresh, pool_way way)
{
    const int64_t n = t->hi - t->lo;
    buf += t->lo;
    if (way == POOL_MOST_NAN) return pool_down(buf, n, row, n_rows, fresh, POOL_MOST_NAN);
    if (n_rows == 3) return pool_down(buf, n, row, 3, fresh, POOL_MOST);
    return pool_down(buf, n, row, n_rows, fresh, POOL_MOST);
}

/* The window's rows of output row o = (oz, oy) into a row of the buffer; x is the plane. True: see
   pool_down. */
static bool pool_fill(const pool_seg *t, float *buf, const float *x, const int64_t o[2],
                      pool_way way)
{
    const lmn_conv_geom *g = t->g;
    const float none = -__builtin_inff(), *row[POOL_ROWS];
    int n_rows = 0;
    bool fresh = true, nan = false;
    for (int64_t kz = 0; t->lo < t->hi && kz < g->kernel[0]; kz++) {
        const int64_t iz = lmn_conv_at(g, 0, o[0], kz);
        if (iz < 0 || iz >= g->in[0]) continue;
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            const int64_t iy = lmn_conv_at(g, 1, o[1], ky);
            if (iy < 0 || iy >= g->in[1]) continue;
            row[n_rows++] = x + (iz * g->in[1] + iy) * g->in[2] + t->col + t->lo;
            if (n_rows < POOL_ROWS) continue;
            nan |= pool_down_some(t, buf, row, n_rows, fresh, way);
            n_rows = 0, fresh = false;
        }
    }
    if (n_rows > 0) nan |= pool_down_some(t, buf, row, n_rows, fresh, way), fresh = false;
    for (int64_t c = 0; c < (fresh ? t->span : t->lo); c++) buf[c] = none;
    for (int64_t c = t->hi; c < t->span; c++) buf[c] = none;
    return nan;
}

/* Along the buffer: n_kx taps, outputs s elements apart (constants, but for odd sizes). */
VF_INLINE void pool_along(const pool_seg *t, const float *buf, float *y, const int64_t n_kx,
                          const int s, const pool_way way)
{
    const int64_t d = t->g->dilation[2];
    const vm all = vm_first(VF_LANES);
    for (int64_t i = 0; i < t->n; i += VF_LANES) {
        const vm m = vm_first(t->n - i);
        vf acc = t->first ? vf_set1(-__builtin_inff()) : vf_loadm(y + i, m);
        for (int64_t k = 0; k < n_kx; k++) {
            const float *src = buf + i * s + k * d;
            const vf x = s == 2 ? vf_load_even_masked(src, all, all) : vf_load(src);
            acc = pool_join(acc, x, way);
        }
        vf_storem(y + i, m, acc);
    }
}

/* Strides that no vector of loads meets: one output after the other. */
static void pool_along_steps(const pool_seg *t, const float *buf, float *y)
{
    const int64_t d = t->g->dilation[2], s = t->g->stride[2];
    for (int64_t i = 0; i < t->n; i++) {
        float acc = t->first ? -__builtin_inff() : y[i];
        for (int64_t k = 0; k < t->n_kx; k++) acc = max_one(acc, buf[i * s + k * d]);
        y[i] = acc;
    }
}

static void pool_row(const pool_seg *t, const float *buf, float *y, pool_way way)
{
    const int64_t s = t->g->stride[2], k = t->n_kx;
    if (s > 2)
        pool_along_steps(t, buf, y);
    else if (way == POOL_MOST_NAN && s == 2)
        pool_along(t, buf, y, k, 2, POOL_MOST_NAN);
    else if (way == POOL_MOST_NAN)
        pool_along(t, buf, y, k, 1, POOL_MOST_NAN);
    else if (k == 3 && s == 2)
        pool_along(t, buf, y, 3, 2, POOL_MOST);
    else if (s == 2)
        pool_along(t, buf, y, k, 2, POOL_MOST);
    else
        pool_along(t, buf, y, k, 1, POOL_MOST);
}

/* The segment of all rows of one output plane. */
static void pool_plane(pool_seg *t, const float *x, float *y, int64_t oz)
{
    const lmn_conv_geom *g = t->g;
    for (int64_t oy = 0; oy < g->out[1]; oy += t->rows) {
        const int64_t end = lmn_min_i64(g->out[1], oy + t->rows);
        /* what other segments left may be NaN */
        pool_way way = t->first ? POOL_MOST : POOL_MOST_NAN;
        for (int64_t o = oy; o < end; o++) {
            const int64_t at[2] = {oz, o};
            if (!pool_fill(t, t->buf + (o - oy) * t->ld, x, at, way)) continue;
            way = POOL_MOST_NAN, o = oy - 1; /* all rows of the buffer again */
        }
        for (int64_t o = oy; o < end; o++)
            pool_row(t, t->buf + (o - oy) * t->ld, y + o * g->out[2] + t->ox, way);
    }
}

static void pool_planes(const lmn_pool_block *b, pool_seg *t)
{
    const lmn_conv_geom *g = b->g;
    const int64_t n_in = lmn_conv_volume(g->in), n_out = lmn_conv_volume(g->out);
    t->col = lmn_conv_at(g, 2, t->ox, t->kx);
    t->span = (t->n - 1) * g->stride[2] + (t->n_kx - 1) * g->dilation[2] + 1;
    t->lo = lmn_min_i64(t->span, lmn_max_i64(0, -t->col));
    t->hi = lmn_max_i64(t->lo, lmn_min_i64(t->span, g->in[2] - t->col));
    /* Several rows go down before they are read: loads across two fresh stores would wait. */
    t->ld = t->span + POOL_SLACK;
    t->rows = lmn_max_i64(1, POOL_BUF / t->ld);
    for (int64_t p = 0; p < b->n_planes; p++) {
        for (int64_t oz = 0; oz < g->out[0]; oz++)
            pool_plane(t, b->x + p * n_in, b->y + p * n_out + oz * g->out[1] * g->out[2], oz);
    }
}

/* Segments of columns; windows wider than the buffer go over it several times. */
static void max_windows(const lmn_pool_block *b)
{
    const lmn_conv_geom *g = b->g;
    pool_seg t; /* too large to be cleared */
    t.g = g;
    const int64_t n = (POOL_REACH - 1) / g->stride[2] + 1;
    const int64_t n_kx = (POOL_REACH - 1) / g->dilation[2] + 1;
    for (t.ox = 0; t.ox < g->out[2]; t.ox += n) {
        t.n = lmn_min_i64(n, g->out[2] - t.ox);
        for (t.kx = 0; t.kx < g->kernel[2]; t.kx += n_kx) {
            t.n_kx = lmn_min_i64(n_kx, g->kernel[2] - t.kx);
            t.first = t.kx == 0, t.last = t.kx + t.n_kx == g->kernel[2];
            pool_planes(b, &t);
        }
    }
}

/* sum / n with inv = 1 / n: the bits of a division, but where it leaves the normal numbers. */
VF_INLINE vf pool_mean(vf sum, vf n, vf inv)
{
    const vf q = vf_mul(sum, inv), exact = vf_fma(vf_fnma(q, n, sum), inv, q);
    return vf_select(vf_unord(exact, exact), q, exact);
}

/* Most columns of a window whose masks a strip holds. */
enum { SUM_K = 32 };

/* A strip of VF_LANES output columns: the taps' loads, and how many of them are counted. */
typedef struct sum_strip {
    const lmn_conv_geom *g;
    int64_t ox, ix[SUM_K];
    vm m0[SUM_K], m1[SUM_K];
    vf count;
} sum_strip;

/* One output row (oz, oy) of a plane. */
VF_INLINE vf sum_taps(const sum_strip *t, const float *x, const int64_t o[2], const int64_t n_kx,
                      const int s)
{
    const lmn_conv_geom *g = t->g;
    vf acc = vf_zero();
    for (int64_t kz = 0; kz < g->kernel[0]; kz++) {
        const int64_t iz = lmn_conv_at(g, 0, o[0], kz);
        if (iz < 0 || iz >= g->in[0]) continue;
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            const int64_t iy = lmn_conv_at(g, 1, o[1], ky);
            if (iy < 0 || iy >= g->in[1]) continue;
            const float *row = x + (iz * g->in[1] + iy) * g->in[2];
            for (int64_t kx = 0; kx < n_kx; kx++) {
                const float *src = row + t->ix[kx];
                acc = vf_add(acc, s == 2 ? vf_load_even_masked(src, t->m0[kx], t->m1[kx])
                                         : vf_loadm(src, t->m0[kx]));
            }
        }
    }
    return acc;
}

/* All rows of all planes of a strip. */
VF_INLINE void sum_planes(const lmn_pool_block *b, const sum_strip *t, const int64_t n_kx,
                          const int s)
{
    const lmn_conv_geom *g = b->g;
    const int64_t n_in = lmn_conv_volume(g->in), rows = g->out[0] * g->out[1];
    const vm out = vm_first(g->out[2] - t->ox);
    const bool padded = b->kind == LMN_POOL_AVG_PAD;
    vf n = vf_zero(), inv = n;
    int64_t known = -1; /* rows of the window that n and inv are of */
    for (int64_t p = 0; p < b->n_planes; p++) {
        int64_t o[2] = {0, 0};
        for (int64_t r = 0; r < rows; r++) {
            const int64_t taps = axis_taps(g, 0, o[0], padded) * axis_taps(g, 1, o[1], padded);
            if (taps != known) {
                n = vf_mul(vf_set1((float)taps), t->count), inv = vf_div(vf_set1(1.0f), n);
                known = taps;
            }
            const vf sum = sum_taps(t, b->x + p * n_in, o, n_kx, s);
            vf_storem(b->y + (p * rows + r) * g->out[2] + t->ox, out, pool_mean(sum, n, inv));
            if (++o[1] == g->out[1]) o[0]++, o[1] = 0;
        }
    }
}

static void sum_windows(const lmn_pool_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t k = g->kernel[2], s = g->stride[2];
    for (int64_t ox = 0; ox < g->out[2]; ox += VF_LANES) {
        sum_strip t = {.g = g, .ox = ox};
        const int64_t n = lmn_min_i64(VF_LANES, g->out[2] - ox);
        float count[VF_LANES];
        for (int64_t i = 0; i < VF_LANES; i++)
            count[i] = i < n ? (float)axis_taps(g, 2, ox + i, b->kind == LMN_POOL_AVG_PAD) : 1.0f;
        t.count = vf_load(count);
        for (int64_t kx = 0; kx < k; kx++) {
            int64_t lo, hi;
            lmn_conv_inside(g, ox, n, kx, &lo, &hi);
            t.ix[kx] = lo < hi ? lmn_conv_at(g, 2, ox, kx) : 0;
            t.m0[kx] = s == 2 ? vm_range(2 * lo, 2 * hi - 1) : vm_range(lo, hi);
            t.m1[kx] = vm_range(2 * lo - VF_LANES, 2 * hi - 1 - VF_LANES);
        }
        if (k == 3 && s == 1)
            sum_planes(b, &t, 3, 1);
        else if (k == 3)
            sum_planes(b, &t, 3, 2);
        else if (k == 2 && s == 2)
            sum_planes(b, &t, 2, 2);
        else if (s == 2)
            sum_planes(b, &t, k, 2);
        else
            sum_planes(b, &t, k, 1);
    }
}

/* Output o of a plane, tap by tap. */
static float sum_one(const lmn_pool_block *b, const float *x, const int64_t o[3])
{
    const lmn_conv_geom *g = b->g;
    const bool padded = b->kind == LMN_POOL_AVG_PAD;
    const int64_t ix = lmn_conv_at(g, 2, o[2], 0), d = g->dilation[2];
    const int64_t from = ix < 0 ? (-ix + d - 1) / d : 0;
    const int64_t to = lmn_min_i64(g->kernel[2], ix < g->in[2] ? (g->in[2] - 1 - ix) / d + 1 : 0);
    float acc = 0;
    for (int64_t kz = 0; kz < g->kernel[0]; kz++) {
        const int64_t iz = lmn_conv_at(g, 0, o[0], kz);
        if (iz < 0 || iz >= g->in[0]) continue;
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            const int64_t iy = lmn_conv_at(g, 1, o[1], ky);
            if (iy < 0 || iy >= g->in[1]) continue;
            const float *row = x + (iz * g->in[1] + iy) * g->in[2];
            for (int64_t kx = from; kx < to; kx++) acc += row[ix + kx * d];
        }
    }
    return acc / (float)(axis_taps(g, 0, o[0], padded) * axis_taps(g, 1, o[1], padded) *
                         axis_taps(g, 2, o[2], padded));
}

static void sum_steps(const lmn_pool_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t n_in = lmn_conv_volume(g->in), n_out = lmn_conv_volume(g->out);
    for (int64_t p = 0; p < b->n_planes; p++) {
        for (int64_t i = 0; i < n_out; i++) {
            const int64_t row = i / g->out[2],
                          o[3] = {row / g->out[1], row % g->out[1], i % g->out[2]};
            b->y[p * n_out + i] = sum_one(b, b->x + p * n_in, o);
        }
    }
}

/* Mean or maximum of n neighbours. */
VF_INLINE float pool_all(const float *x, int64_t n, const pool_way way)
{
    if (way == POOL_SUM) return vw_row_sum(x, n) / (float)n;
    const vf start = vf_set1(-__builtin_inff());
    vf acc = start;
    vm nan = vm_first(0);
    for (int64_t i = 0; i < n; i += VF_LANES) {
        const vm mask = vm_first(n - i);
        const vf v = vf_select(mask, vf_loadm(x + i, mask), start);
        nan = vm_or(nan, vf_unord(v, v));
        acc = pool_join(acc, v, way);
    }
    if (vm_any(nan)) return __builtin_nanf("");
    float lane[VF_LANES], most = -__builtin_inff();
    vf_store(lane, acc);
    for (int l = 0; l < VF_LANES; l++) most = max_one(most, lane[l]);
    return most;
}

static bool pool_is_global(const lmn_conv_geom *g)
{
    bool whole = lmn_conv_volume(g->out) == 1;
    for (int i = 0; i < 3; i++) {
        whole = whole && g->kernel[i] == g->in[i] && g->pad[i] == 0;
        whole = whole && (g->dilation[i] == 1 || g->kernel[i] == 1);
    }
    return whole;
}

static void pool_run(const lmn_pool_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t n_in = lmn_conv_volume(g->in);
    const bool is_max = b->kind == LMN_POOL_MAX;
    if (!pool_is_global(g)) {
        if (is_max)
            max_windows(b);
        else if (g->stride[2] <= 2 && g->kernel[2] <= SUM_K)
            sum_windows(b);
        else
            sum_steps(b);
        return;
    }
    for (int64_t p = 0; p < b->n_planes; p++)
        b->y[p] = is_max ? pool_all(b->x + p * n_in, n_in, POOL_MOST)
                         : pool_all(b->x + p * n_in, n_in, POOL_SUM);
}

#endif
