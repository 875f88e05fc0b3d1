/*
 * im2col on the vf_* words (include simd_<isa>.h first). A panel is cut into segments, runs of
 * pixels of one output row; for a segment and a kernel tap the masks are the same in every channel,
 * so the innermost loop over channels is one load and one store. Segments are written from left to
 * right: what a whole-vector store puts past its segment, the next one overwrites.
 */
#ifndef LMN_KERNELS_IM2COL_TMPL_H
#define LMN_KERNELS_IM2COL_TMPL_H

#include "kernels/conv/im2col.h"

/* Kernel columns whose valid ranges are found once a segment, not once a tap. */
enum { HOISTED = 16 };

typedef struct segment {
    int64_t column, len; /* where in the panel */
    int64_t oz, oy, ox;  /* its first output */
} segment;

/* One tap of one segment, all channels: element t is src[c * plane + t * stride], lo <= t < hi. */
typedef struct run {
    const float *src;
    float *dst;
    int64_t plane, dst_step, n_c; /* elements from channel to channel */
    int64_t len, lo, hi, stride;
    int64_t room; /* columns to the end of the panel: stores may overshoot the segment, not these */
} run;

static void run_any(const run *r)
{
    for (int64_t c = 0; c < r->n_c; c++) {
        const float *src = r->src + c * r->plane;
        float *dst = r->dst + c * r->dst_step;
        for (int64_t t = 0; t < r->len; t++)
            dst[t] = t >= r->lo && t < r->hi ? src[t * r->stride] : 0.0f;
    }
}

/* One vector of one tap, all channels, of which lanes may lie outside. */
VF_INLINE void run_vector(const run *r, int64_t v, const int stride)
{
    const int64_t lo = r->lo - v, hi = r->hi - v, plane = r->plane, step = r->dst_step;
    const vm out = vm_first(r->len - v);
    const bool full = v + VF_LANES <= r->room;
    const vm m0 = stride == 2 ? vm_range(2 * lo, 2 * hi - 1) : vm_range(lo, hi);
    const vm m1 = vm_range(2 * lo - VF_LANES, 2 * hi - 1 - VF_LANES);
    const float *src = r->src + v * stride;
    float *dst = r->dst + v;
    for (int64_t c = 0; c < r->n_c; c++, src += plane, dst += step) {
        vf x = stride == 2 ? vf_load_even_masked(src, m0, m1) : vf_loadm(src, m0);
        if (full)
            vf_store(dst, x);
        else
            vf_storem(dst, out, x);
    }
}

/* The vectors of [from, to), whose lanes lie inside, and the float behind them where every second
   one is taken. */
VF_INLINE void run_inside(const run *r, int64_t from, int64_t to, const int stride)
{
    for (int64_t c = 0; c < r->n_c; c++) {
        const float *src = r->src + c * r->plane + from * stride;
        float *dst = r->dst + c * r->dst_step + from;
        for (int64_t v = from; v < to; v += VF_LANES, src += stride * VF_LANES, dst += VF_LANES)
            vf_store(dst,
                     stride == 2 ? vf_evens(vf_load(src), vf_load(src + VF_LANES)) : vf_load(src));
    }
}

VF_INLINE void run_vectors(const run *r, const int stride)
{
    const int64_t hi = r->hi - (stride == 2); /* whose right neighbour is read */
    const int64_t from = (r->lo + VF_LANES - 1) / VF_LANES * VF_LANES;
    const int64_t to = from + (hi > from ? (hi - from) / VF_LANES * VF_LANES : 0);
    for (int64_t v = 0; v < r->len;) {
        if (v == from && to > from) {
            run_inside(r, from, to, stride);
            v = to;
        } else {
            run_vector(r, v, stride);
            v += VF_LANES;
        }
    }
}

#ifdef IM2COL_DEALS
/* A line of three taps of stride 2: a line of input is loaded once for the rows of all of them.
   r->src stands at the first tap; columns -left .. right - 1 from there on are inside. */
VF_INLINE void run_three(const run *r, int64_t v, int64_t left, int64_t right, int64_t nr)
{
    static const float none[1];
    const float *src = r->src + 2 * v, *first = src;
    int64_t plane = r->plane, first_plane = plane;
    const int64_t lo = -left - 2 * v - 1, hi = right - 2 * v - 1;
    const vm m0 = vm_range(lo, hi), m1 = vm_range(lo - VF_LANES, hi - VF_LANES);
    if (lo >= 0 || hi < 0) first = none, first_plane = 0;
    const vm out = v + VF_LANES <= r->room ? vm_first(VF_LANES) : vm_first(r->len - v);
    float *dst = r->dst + v;
    for (int64_t c = 0; c < r->n_c; c++, src += plane, first += first_plane, dst += r->dst_step) {
        vf x[3];
        deal_three(vf_bcast(first), vf_loadm(src + 1, m0), vf_loadm(src + 1 + VF_LANES, m1), x);
        for (int64_t kx = 0; kx < 3; kx++) vf_storem(dst + kx * nr, out, x[kx]);
    }
}

/* The vectors of [from, to), all of whose columns lie inside. */
VF_INLINE void run_three_inside(const run *r, int64_t from, int64_t to, int64_t nr)
{
    for (int64_t c = 0; c < r->n_c; c++) {
        const float *src = r->src + c * r->plane + 2 * from;
        float *dst = r->dst + c * r->dst_step + from;
        for (int64_t v = from; v < to; v += VF_LANES, src += 2 * VF_LANES, dst += VF_LANES) {
            vf x[3];
            deal_three(vf_bcast(src), vf_load(src + 1), vf_load(src + 1 + VF_LANES), x);
            for (int64_t kx = 0; kx < 3; kx++) vf_store(dst + kx * nr, x[kx]);
        }
    }
}

/* Every tap of one segment, where lines of the kernel are such lines. */
static void pack_three(const lmn_im2col_block *b, const segment *s, float *panel)
{
    const lmn_conv_geom *g = b->g;
    run r = {.plane = lmn_conv_volume(g->in), .n_c = b->n_c, .len = s->len};
    r.dst_step = lmn_conv_volume(g->kernel) * b->nr;
    r.dst = panel + s->column, r.room = b->nr - s->column;
    const int64_t ix = lmn_conv_at(g, 2, s->ox, 0);
    for (int64_t k = 0; k < g->kernel[0] * g->kernel[1]; k++, r.dst += 3 * b->nr) {
        const int64_t iz = lmn_conv_at(g, 0, s->oz, k / g->kernel[1]);
        const int64_t iy = lmn_conv_at(g, 1, s->oy, k % g->kernel[1]);
        const bool inside = iz >= 0 && iz < g->in[0] && iy >= 0 && iy < g->in[1];
        r.src = inside ? b->x + (iz * g->in[1] + iy) * g->in[2] + ix : b->x;
        const int64_t left = inside ? ix : 0, right = inside ? g->in[2] - ix : 0;
        const int64_t from = left < 0 ? lmn_round_up_i64((1 - left) / 2, VF_LANES) : 0;
        const int64_t to = lmn_min_i64(r.len, (right - 1) / 2) / VF_LANES * VF_LANES;
        if (from < to) run_three_inside(&r, from, to, b->nr);
        for (int64_t v = 0; v < r.len; v += VF_LANES) {
            if (v >= from && v < to) continue;
            run_three(&r, v, left, right, b->nr);
        }
    }
}
#endif

/* Every tap of one segment. */
static void pack_segment(const lmn_im2col_block *b, const segment *s, float *panel)
{
    const lmn_conv_geom *g = b->g;
    run r = {.plane = lmn_conv_volume(g->in), .n_c = b->n_c, .len = s->len, .stride = g->stride[2]};
    r.dst_step = lmn_conv_volume(g->kernel) * b->nr;
    r.dst = panel + s->column, r.room = b->nr - s->column;
    int64_t lo[HOISTED], hi[HOISTED];
    for (int64_t kx = 0; kx < lmn_min_i64(g->kernel[2], HOISTED); kx++)
        lmn_conv_inside(g, s->ox, s->len, kx, &lo[kx], &hi[kx]);
    for (int64_t kz = 0; kz < g->kernel[0]; kz++) {
        const int64_t iz = lmn_conv_at(g, 0, s->oz, kz);
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            const int64_t iy = lmn_conv_at(g, 1, s->oy, ky);
            bool inside = iz >= 0 && iz < g->in[0] && iy >= 0 && iy < g->in[1];
            for (int64_t kx = 0; kx < g->kernel[2]; kx++, r.dst += b->nr) {
                if (kx < HOISTED)
                    r.lo = lo[kx], r.hi = hi[kx];
                else
                    lmn_conv_inside(g, s->ox, s->len, kx, &r.lo, &r.hi);
                if (!inside) r.lo = r.hi = 0;
                r.src = b->x;
                if (r.lo < r.hi)
                    r.src += (iz * g->in[1] + iy) * g->in[2] + lmn_conv_at(g, 2, s->ox, kx);
                if (r.stride == 1 || r.lo == r.hi)
                    run_vectors(&r, 1);
                else if (r.stride == 2)
                    run_vectors(&r, 2);
                else
                    run_any(&r);
            }
        }
    }
}

static void im2col_run(const lmn_im2col_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t n_rows = b->n_c * lmn_conv_volume(g->kernel);
    for (int64_t j = 0; j < b->n;) {
        const int64_t p = b->p0 + j, ox = p % g->out[2];
        segment s = {.column = j % b->nr, .ox = ox};
        s.oy = p / g->out[2] % g->out[1], s.oz = p / g->out[2] / g->out[1];
        s.len = lmn_min_i64(lmn_min_i64(g->out[2] - ox, b->nr - s.column), b->n - j);
        float *panel = b->packed + j / b->nr * b->nr * n_rows;
#ifdef IM2COL_DEALS
        if (g->kernel[2] == 3 && g->stride[2] == 2 && g->dilation[2] == 1)
            pack_three(b, &s, panel);
        else
#endif
            pack_segment(b, &s, panel);
        j += s.len;
    }
}

#endif
