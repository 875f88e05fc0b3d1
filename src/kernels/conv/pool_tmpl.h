/*
 * Pooling on the vf_* words (include simd_<isa>.h first): a vector of neighbouring outputs takes
 * one tap at a time; strides 1 and 2 load vectors, others gather. A window that is the whole plane
 * (global pooling) runs along the plane instead.
 */
#ifndef LMN_KERNELS_POOL_TMPL_H
#define LMN_KERNELS_POOL_TMPL_H

#include "kernels/conv/pool.h"

/* NaN wins, and +0 is above -0: of equal numbers only zeros differ, in the sign bit. */
VF_INLINE vf max_nan(vf acc, vf x)
{
    const vf most = vf_select(vf_eq(acc, x), vf_and(acc, x), vf_max(acc, x));
    return vf_select(vf_unord(acc, acc), acc, most);
}

VF_INLINE vf lanes_load(const float *src, int64_t lo, int64_t hi, int64_t stride)
{
    if (stride == 1) return vf_loadm(src, vm_range(lo, hi));
    if (stride == 2) return vf_load_even(src, lo, hi);
    float lane[VF_LANES] = {0};
    for (int64_t i = lo; i < hi; i++) lane[i] = src[i * stride];
    return vf_load(lane);
}

/* Positions of output o along an axis that lie in the input (or its padding too). */
static int64_t axis_taps(const lmn_conv_geom *g, int axis, int64_t o, bool padded)
{
    const int64_t hi = g->in[axis] + (padded ? g->pad_end[axis] : 0),
                  lo = padded ? -g->pad[axis] : 0;
    int64_t n = 0;
    for (int64_t t = 0; t < g->kernel[axis]; t++) {
        int64_t x = lmn_conv_at(g, axis, o, t);
        n += x >= lo && x < hi;
    }
    return n;
}

/* Outputs (oz, oy, ox .. ox + n - 1) of one plane. */
static void pool_vector(const lmn_pool_block *b, const float *x, float *y, const int64_t o[3])
{
    const lmn_conv_geom *g = b->g;
    const int64_t n = lmn_min_i64(VF_LANES, g->out[2] - o[2]);
    const bool is_max = b->kind == LMN_POOL_MAX;
    vf acc = vf_set1(is_max ? -__builtin_inff() : 0.0f);
    for (int64_t kz = 0; kz < g->kernel[0]; kz++) {
        const int64_t iz = lmn_conv_at(g, 0, o[0], kz);
        if (iz < 0 || iz >= g->in[0]) continue;
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            const int64_t iy = lmn_conv_at(g, 1, o[1], ky);
            if (iy < 0 || iy >= g->in[1]) continue;
            for (int64_t kx = 0; kx < g->kernel[2]; kx++) {
                int64_t lo, hi;
                lmn_conv_inside(g, o[2], n, kx, &lo, &hi);
                if (lo == hi) continue;
                const float *src =
                    x + (iz * g->in[1] + iy) * g->in[2] + lmn_conv_at(g, 2, o[2], kx);
                vf v = lanes_load(src, lo, hi, g->stride[2]);
                if (is_max)
                    acc = vf_select(vm_range(lo, hi), max_nan(acc, v), acc);
                else
                    acc = vf_add(acc, v);
            }
        }
    }
    if (!is_max) {
        const bool padded = b->kind == LMN_POOL_AVG_PAD;
        const int64_t zy = axis_taps(g, 0, o[0], padded) * axis_taps(g, 1, o[1], padded);
        float count[VF_LANES];
        for (int64_t i = 0; i < VF_LANES; i++)
            count[i] = i < n ? (float)(zy * axis_taps(g, 2, o[2] + i, padded)) : 1.0f;
        acc = vf_div(acc, vf_load(count));
    }
    vf_storem(y, vm_first(n), acc);
}

/* Most rows and columns of a window that max_strip keeps in registers and on the stack. */
enum { MAX_K = 8 };

/* A strip of VF_LANES output columns of one plane: which lanes each column of the window sees. */
typedef struct max_strip {
    const lmn_conv_geom *g;
    const float *x; /* the plane */
    int64_t ox, ix[MAX_K];
    vm in[MAX_K], m0[MAX_K], m1[MAX_K]; /* lanes inside; what to load of one or two vectors */
} max_strip;

/* The maximum over the columns of the window in row iy, k of them s apart (constants). */
VF_INLINE vf max_row(const max_strip *t, int64_t iy, const int64_t k, const int s)
{
    const float *row = t->x + iy * t->g->in[2];
    const vf least = vf_set1(-__builtin_inff());
    vf acc = least;
    for (int64_t kx = 0; kx < k; kx++) {
        const float *src = row + t->ix[kx];
        const vf v =
            s == 2 ? vf_load_even_masked(src, t->m0[kx], t->m1[kx]) : vf_loadm(src, t->m0[kx]);
        const vf x = vf_select(t->in[kx], v, least);
        acc = kx ? max_nan(acc, x) : x;
    }
    return acc;
}

/* All rows of a strip: a row of the input is looked at once, its maxima serve every window. */
VF_INLINE void max_column(const max_strip *t, float *y, const int64_t k, const int s)
{
    const lmn_conv_geom *g = t->g;
    const int64_t k_y = g->kernel[1], s_y = g->stride[1];
    const vm out = vm_first(g->out[2] - t->ox);
    vf row[MAX_K]; /* maxima of row iy at iy % MAX_K */
    int64_t done = 0;
    for (int64_t oy = 0; oy < g->out[1]; oy++) {
        const int64_t top = oy * s_y - g->pad[1], from = lmn_max_i64(top, 0);
        const int64_t end = lmn_min_i64(top + k_y, g->in[1]);
        vf acc = vf_set1(-__builtin_inff());
        for (done = lmn_max_i64(done, from); done < end; done++)
            row[done % MAX_K] = max_row(t, done, k, s);
        for (int64_t iy = from; iy < end; iy++) acc = max_nan(acc, row[iy % MAX_K]);
        vf_storem(y + oy * g->out[2] + t->ox, out, acc);
    }
}

/* Max pooling of a plane by strips. */
static void max_plane(const lmn_conv_geom *g, const float *x, float *y)
{
    const int64_t k = g->kernel[2], s = g->stride[2];
    for (int64_t ox = 0; ox < g->out[2]; ox += VF_LANES) {
        max_strip t = {.g = g, .x = x, .ox = ox};
        for (int64_t kx = 0; kx < k; kx++) {
            int64_t lo, hi;
            lmn_conv_inside(g, ox, lmn_min_i64(VF_LANES, g->out[2] - ox), kx, &lo, &hi);
            t.ix[kx] = lo < hi ? lmn_conv_at(g, 2, ox, kx) : 0;
            t.in[kx] = vm_range(lo, hi);
            t.m0[kx] = s == 2 ? vm_range(2 * lo, 2 * hi - 1) : t.in[kx];
            t.m1[kx] = vm_range(2 * lo - VF_LANES, 2 * hi - 1 - VF_LANES);
        }
        if (k == 3 && s == 2)
            max_column(&t, y, 3, 2);
        else if (k == 2 && s == 2)
            max_column(&t, y, 2, 2);
        else if (s == 2)
            max_column(&t, y, k, 2);
        else
            max_column(&t, y, k, 1);
    }
}

static bool max_is_flat(const lmn_pool_block *b)
{
    const lmn_conv_geom *g = b->g;
    return b->kind == LMN_POOL_MAX && g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 &&
           g->pad[0] == 0 && g->kernel[1] <= MAX_K && g->kernel[2] <= MAX_K && g->stride[2] <= 2 &&
           g->dilation[1] == 1 && g->dilation[2] == 1;
}

/* Mean or maximum of n neighbours. */
static float pool_all(const float *x, int64_t n, bool is_max)
{
    const vf start = vf_set1(is_max ? -__builtin_inff() : 0.0f);
    vf acc = start;
    int64_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        acc = is_max ? max_nan(acc, vf_load(x + i)) : vf_add(acc, vf_load(x + i));
    if (i < n) {
        const vm mask = vm_first(n - i);
        vf v = vf_select(mask, vf_loadm(x + i, mask), start);
        acc = is_max ? max_nan(acc, v) : vf_add(acc, v);
    }
    if (!is_max) return vf_hsum(acc) / (float)n;
    float lane[VF_LANES], most = -__builtin_inff();
    vf_store(lane, acc);
    for (int l = 0; l < VF_LANES; l++)
        if (lane[l] > most || lane[l] != lane[l] ||
            (lane[l] == 0.0f && most == 0.0f && !__builtin_signbit(lane[l])))
            most = lane[l];
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
    const int64_t n_in = lmn_conv_volume(g->in), n_out = lmn_conv_volume(g->out);
    const bool global = pool_is_global(g), flat_max = max_is_flat(b);
    for (int64_t p = 0; p < b->n_planes; p++) {
        const float *x = b->x + p * n_in;
        float *y = b->y + p * n_out;
        if (global) {
            *y = pool_all(x, n_in, b->kind == LMN_POOL_MAX);
            continue;
        }
        if (flat_max) {
            max_plane(g, x, y);
            continue;
        }
        for (int64_t row = 0; row < g->out[0] * g->out[1]; row++) {
            int64_t o[3] = {row / g->out[1], row % g->out[1], 0};
            for (; o[2] < g->out[2]; o[2] += VF_LANES)
                pool_vector(b, x, y + row * g->out[2] + o[2], o);
        }
    }
}

#endif
