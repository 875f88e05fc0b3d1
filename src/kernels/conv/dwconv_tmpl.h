/*
 * Depthwise convolution on the vf_* words (include simd_<isa>.h first): a strip of VF_LANES output
 * columns by DW_ROWS output rows is held in registers, so that an input row is loaded once for all
 * output rows that use it. Common kernels and strides are constants in their own copy of the loop.
 * Groups of several input channels go through them one after the other over the same registers.
 */
#ifndef LMN_KERNELS_DWCONV_TMPL_H
#define LMN_KERNELS_DWCONV_TMPL_H

#include "kernels/conv/dwconv.h"
#include "kernels/simd/simd_math.h"
#include "kernels/gemm/epi.h"

#if defined(__clang__)
#define DW_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DW_UNROLL _Pragma("GCC unroll 32")
#endif
enum { DW_MAX_K = 7, DW_STRIPS = 8, DW_FEW_ROWS = 4 };
/* Output rows held in registers by kernels of three rows: as many as there is room for. */
enum { DW_ROWS = VF_LANES == 16 ? 7 : 4 };

/* One strip of output columns: where its taps load, and which lanes. */
typedef struct dw_strip {
    int64_t ox;
    int64_t ix[DW_MAX_K];          /* first input column of the tap */
    vm m0[DW_MAX_K], m1[DW_MAX_K]; /* lanes to load; stride 2 loads two vectors */
    vm out;                        /* lanes to store */
    bool whole;                    /* no lane is masked, and the stride is 1 */
} dw_strip;

typedef struct plane plane;
typedef void plane_fn(const plane *p);
#ifdef DW_OWN_3
/* The instruction set's own loops for 3 x 3 windows of stride 1 and 2, and their strips. */
typedef struct strip3 {
    int64_t ox, ix; /* its first output column, and the input column of that one's first tap */
    bool half;      /* at most eight columns */
    vm m[3], out;   /* lanes to load and to store */
} strip3;
static plane_fn plane_3_1, plane_3_2;
static strip3 strip3_at(const lmn_conv_geom *g, int64_t ox);
#endif

/* Elements of planes that are too many to be near when they are met. */
enum { PLANE_FAR = 2048 };

/* A plane, or a few: what the loops need of the geometry, and the taps' valid output ranges. */
struct plane {
    const lmn_conv_geom *g;
    const float *x, *w;
    float *y;
    int64_t n_planes;         /* that follow each other */
    int64_t n_behind;         /* planes of the block behind those */
    bool wide;                /* a core on which fewer loads and fetched lines pay: of AVX-VNNI */
    int64_t n_c, n_in, n_out; /* input channels of the group, elements of each, and of the output */
    bool fused, clip;         /* bias, then clip, in registers; the bits of the epilogue */
    const float *bias;        /* that of the plane; always readable for n_planes */
    float clip_lo, clip_hi;
    int64_t lo[DW_MAX_K], hi[DW_MAX_K]; /* of the output row, by kx */
    dw_strip strip[DW_STRIPS];          /* the first strips, the same in every plane */
#ifdef DW_OWN_3
    strip3 strip3[DW_STRIPS];
#endif
};

VF_INLINE dw_strip strip_at(const plane *p, int64_t ox, const int64_t k, const int64_t s)
{
    dw_strip t = {.ox = ox, .out = vm_first(p->g->out[2] - ox)};
    t.whole = s == 1 && ox + VF_LANES <= p->g->out[2];
    for (int64_t kx = 0; kx < k; kx++) {
        const int64_t lo = p->lo[kx] - ox, hi = p->hi[kx] - ox;
        t.ix[kx] = lmn_conv_at(p->g, 2, ox, kx);
        t.m0[kx] = s == 2 ? vm_range(2 * lo, 2 * hi - 1) : vm_range(lo, hi);
        t.m1[kx] = s == 2 ? vm_range(2 * lo - VF_LANES, 2 * hi - 1 - VF_LANES) : t.m0[kx];
        t.whole = t.whole && lo <= 0 && VF_LANES <= hi;
    }
    return t;
}

/* What of a run of output rows is known when it is compiled. */
typedef struct dw_form {
    int n_rows, k, s;
    bool whole; /* no lane is masked */
    bool inner; /* no tap lies above or below the input */
    bool many;  /* several input channels: weights come from memory */
} dw_form;

/* Output rows from oy on; w are the broadcast weights. Every member of f is a constant. */
VF_INLINE void strip_rows_run(const plane *p, const dw_strip *t, int64_t oy, const vf *w,
                              const dw_form f)
{
    const int n_rows = f.n_rows, k = f.k, s = f.s;
    const bool whole = f.whole;
    const lmn_conv_geom *g = p->g;
    const int64_t iy0 = oy * s - g->pad[1], h_in = g->in[1], w_in = g->in[2], w_out = g->out[2];
    vf acc[DW_ROWS], x[DW_MAX_K];
    DW_UNROLL
    for (int o = 0; o < n_rows; o++) acc[o] = vf_zero();
    for (int64_t c = 0; c < (f.many ? p->n_c : 1); c++) {
        const float *plane_x = p->x + c * p->n_in;
        vf own[DW_MAX_K * DW_MAX_K];
        const vf *u = f.many ? own : w;
        const int n_own = f.many ? k * k : 0;
        DW_UNROLL
        for (int i = 0; i < n_own; i++) own[i] = vf_bcast(p->w + c * k * k + i);
        DW_UNROLL
        for (int r = 0; r < (n_rows - 1) * s + k; r++) {
            if (!f.inner && (iy0 + r < 0 || iy0 + r >= h_in)) continue;
            const float *row = plane_x + (iy0 + r) * w_in;
            DW_UNROLL
            for (int kx = 0; kx < k; kx++) {
                const float *src = row + t->ix[kx];
                if (s == 2)
                    x[kx] = vf_load_even_masked(src, t->m0[kx], t->m1[kx]);
                else
                    x[kx] = whole ? vf_load(src) : vf_loadm(src, t->m0[kx]);
            }
            DW_UNROLL
            for (int o = 0; o < n_rows; o++) {
                const int ky = r - o * s;
                if (ky < 0 || ky >= k) continue;
                DW_UNROLL
                for (int kx = 0; kx < k; kx++) acc[o] = vf_fma(u[ky * k + kx], x[kx], acc[o]);
            }
        }
    }
    const vf bias = vf_bcast(p->bias), clip_lo = vf_set1(p->clip_lo), clip_hi = vf_set1(p->clip_hi);
    DW_UNROLL
    for (int o = 0; o < n_rows; o++) {
        float *y = p->y + (oy + o) * w_out + t->ox;
        if (p->fused) acc[o] = vf_min(clip_hi, vf_max(clip_lo, vf_add(acc[o], bias)));
        if (whole)
            vf_store(y, acc[o]);
        else
            vf_storem(y, t->out, acc[o]);
    }
}

/* n_rows rows, a constant, from oy on. */
VF_INLINE void strip_rows(const plane *p, const dw_strip *t, int64_t oy, const vf *w, dw_form f)
{
    const int64_t top = oy * f.s - p->g->pad[1], bottom = top + (f.n_rows - 1) * f.s + f.k;
    f.inner = true;
    if (!f.many && top >= 0 && bottom <= p->g->in[1]) /* many: half the code does */
        strip_rows_run(p, t, oy, w, f);
    else
        strip_rows_run(p, t, oy, w, (dw_form){f.n_rows, f.k, f.s, f.whole, false, f.many});
}

VF_INLINE void plane_strip(const plane *p, const dw_strip *t, const int k, const int s,
                           const bool whole, const bool many)
{
    const int64_t n_rows = p->g->out[1];
    vf w[DW_MAX_K * DW_MAX_K];
    DW_UNROLL
    for (int i = 0; i < k * k; i++) w[i] = vf_bcast(p->w + i);
    int64_t oy = 0;
    for (; k == 3 && oy + DW_ROWS <= n_rows; oy += DW_ROWS)
        strip_rows(p, t, oy, w, (dw_form){DW_ROWS, k, s, whole, false, many});
    for (; oy + DW_FEW_ROWS <= n_rows; oy += DW_FEW_ROWS)
        strip_rows(p, t, oy, w, (dw_form){DW_FEW_ROWS, k, s, whole, false, many});
    for (; oy < n_rows; oy++) strip_rows_run(p, t, oy, w, (dw_form){1, k, s, whole, false, many});
}

VF_INLINE void plane_square(const plane *p, const int k, const int s, const bool many)
{
    for (int64_t ox = 0; ox < p->g->out[2]; ox += VF_LANES) {
        const int64_t i = ox / VF_LANES;
        const dw_strip t = i < DW_STRIPS ? p->strip[i] : strip_at(p, ox, k, s);
        if (s == 1 && t.whole)
            plane_strip(p, &t, k, s, true, many);
        else
            plane_strip(p, &t, k, s, false, many);
    }
}
#if !defined(LMN_NO_DEPTHWISE_3) && !defined(DW_OWN_3) /* cmake/subset.cmake */
static void plane_3_1(const plane *p)
{
    plane_square(p, 3, 1, false);
}
static void plane_3_2(const plane *p)
{
    plane_square(p, 3, 2, false);
}
#endif
#ifndef LMN_NO_DEPTHWISE_GROUPS
static void many_3_1(const plane *p)
{
    plane_square(p, 3, 1, true);
}
static void many_3_2(const plane *p)
{
    plane_square(p, 3, 2, true);
}
#endif
#ifndef LMN_NO_DEPTHWISE_5 /* cmake/subset.cmake */
static void plane_5_1(const plane *p)
{
    plane_square(p, 5, 1, false);
}
static void plane_5_2(const plane *p)
{
    plane_square(p, 5, 2, false);
}
#endif
#ifndef LMN_NO_DEPTHWISE_7 /* cmake/subset.cmake */
static void plane_7_1(const plane *p)
{
    plane_square(p, 7, 1, false);
}
#endif

#ifndef LMN_NO_DEPTHWISE_ANY       /* cmake/subset.cmake */
enum { ANY_SUMS = 4, ANY_K = 16 }; /* vectors of sums at once; taps of a line with kept masks */

/* A vector of output columns: where its lanes load, by tap. */
typedef struct any_strip {
    int64_t ox, ix;          /* its first column, and the input column of the first tap */
    vm m0[ANY_K], m1[ANY_K]; /* lanes to load; stride 2 loads two vectors */
    vm out;                  /* lanes to store */
} any_strip;

VF_INLINE void any_masks(const lmn_conv_geom *g, int64_t ox, int64_t kx, const int s, vm *m0,
                         vm *m1)
{
    int64_t lo, hi;
    lmn_conv_inside(g, ox, VF_LANES, kx, &lo, &hi);
    *m0 = s == 2 ? vm_range(2 * lo, 2 * hi - 1) : vm_range(lo, hi);
    *m1 = s == 2 ? vm_range(2 * lo - VF_LANES, 2 * hi - 1 - VF_LANES) : *m0;
}

/* Up to four output rows from oy on or, flat, four vectors of one row, all of whose lanes load. */
VF_INLINE void any_sums(const plane *p, const any_strip *t, int64_t oy, const int s,
                        const bool flat)
{
    const lmn_conv_geom *g = p->g;
    const int64_t w_in = g->in[2], k = g->kernel[2], down = flat ? 0 : g->stride[1];
    const int64_t n = flat ? ANY_SUMS : lmn_min_i64(ANY_SUMS, g->out[1] - oy);
    const int64_t step = flat ? VF_LANES * s : down * w_in;
    const vm all = vm_first(VF_LANES);
    vf acc[ANY_SUMS];
    DW_UNROLL
    for (int i = 0; i < ANY_SUMS; i++) acc[i] = vf_zero();
    const float *w = p->w;
    for (int64_t ky = 0; ky < g->kernel[1]; ky++, w += k) {
        const int64_t iy = lmn_conv_at(g, 1, oy, ky);
        const float *src = p->x + iy * w_in + t->ix;
        unsigned in = 0; /* the rows whose line of input is there */
        DW_UNROLL
        for (int i = 0; i < ANY_SUMS; i++)
            in |= (unsigned)(i < n && iy + i * down >= 0 && iy + i * down < g->in[1]) << i;
        if (!in) continue;
        for (int64_t kx = 0; kx < k; kx++, src += g->dilation[2]) {
            vm m0 = all, m1 = all;
            if (!flat && kx < ANY_K)
                m0 = t->m0[kx], m1 = t->m1[kx];
            else if (!flat)
                any_masks(g, t->ox, kx, s, &m0, &m1);
            const vf wt = vf_bcast(w + kx);
#define ADD(i)                                                           \
    acc[i] = vf_fma(wt,                                                  \
                    s == 2 ? vf_load_even_masked(src + (i)*step, m0, m1) \
                    : flat ? vf_load(src + (i)*step)                     \
                           : vf_loadm(src + (i)*step, m0),               \
                    acc[i])
            if (in == 15) {
                DW_UNROLL
                for (int i = 0; i < ANY_SUMS; i++) ADD(i);
            } else {
                DW_UNROLL
                for (int i = 0; i < ANY_SUMS; i++)
                    if (in >> i & 1) ADD(i);
            }
#undef ADD
        }
    }
    const vf bias = vf_bcast(p->bias), clip_lo = vf_set1(p->clip_lo), clip_hi = vf_set1(p->clip_hi);
    float *y = p->y + oy * g->out[2] + t->ox;
    DW_UNROLL
    for (int i = 0; i < ANY_SUMS; i++, y += flat ? VF_LANES : g->out[2]) {
        if (i >= n) break;
        if (p->fused) acc[i] = vf_min(clip_hi, vf_max(clip_lo, vf_add(acc[i], bias)));
        if (flat)
            vf_store(y, acc[i]);
        else
            vf_storem(y, t->out, acc[i]);
    }
}

/* Are the columns from ox on four vectors all of whose lanes load? */
VF_INLINE bool any_flat(const lmn_conv_geom *g, int64_t ox, const int s)
{
    const int64_t first = lmn_conv_at(g, 2, ox, 0), n = ANY_SUMS * VF_LANES;
    const int64_t last = lmn_conv_at(g, 2, ox, g->kernel[2] - 1) + n * s;
    return ox + n <= g->out[2] && first >= 0 && last <= g->in[2];
}

/* Any window of stride 1 or 2 across. */
VF_INLINE void plane_lines(const plane *p, const int s)
{
    const lmn_conv_geom *g = p->g;
    for (int64_t ox = 0; ox < g->out[2];) {
        any_strip t = {.ox = ox, .ix = lmn_conv_at(g, 2, ox, 0), .out = vm_first(g->out[2] - ox)};
        if (any_flat(g, ox, s)) {
            for (int64_t oy = 0; oy < g->out[1]; oy++) any_sums(p, &t, oy, s, true);
            ox += ANY_SUMS * VF_LANES;
            continue;
        }
        for (int64_t kx = 0; kx < lmn_min_i64(g->kernel[2], ANY_K); kx++)
            any_masks(g, ox, kx, s, &t.m0[kx], &t.m1[kx]);
        for (int64_t oy = 0; oy < g->out[1]; oy += ANY_SUMS) any_sums(p, &t, oy, s, false);
        ox += VF_LANES;
    }
}
static void plane_lines_1(const plane *p)
{
    plane_lines(p, 1);
}
static void plane_lines_2(const plane *p)
{
    plane_lines(p, 2);
}
#endif

/* Any kernel, stride and dilation: one output vector at a time, gathered lane by lane unless the
   stride is 1. */
static void plane_any(const plane *p)
{
    const lmn_conv_geom *g = p->g;
    for (int64_t oy = 0; oy < g->out[1]; oy++) {
        for (int64_t ox = 0; ox < g->out[2]; ox += VF_LANES) {
            const int64_t n = lmn_min_i64(VF_LANES, g->out[2] - ox);
            vf acc = vf_zero();
            for (int64_t t = 0; t < g->kernel[1] * g->kernel[2]; t++) {
                const int64_t iy = lmn_conv_at(g, 1, oy, t / g->kernel[2]), kx = t % g->kernel[2];
                int64_t lo, hi;
                if (iy < 0 || iy >= g->in[1]) continue;
                lmn_conv_inside(g, ox, n, kx, &lo, &hi);
                const int64_t at = iy * g->in[2] + lmn_conv_at(g, 2, ox, kx);
                float lane[VF_LANES] = {0};
                for (int64_t i = lo; i < hi; i++) lane[i] = p->x[at + i * g->stride[2]];
                acc = vf_fma(vf_bcast(p->w + t), vf_load(lane), acc);
            }
            vf_storem(p->y + oy * g->out[2] + ox, vm_first(n), acc);
        }
    }
}

/* Is the chain a bias a channel, then at most a relu or clip? Then the strips apply it. */
static bool plane_fuse(plane *p, const lmn_epi *epi)
{
    if (!epi || epi->n_ops < 1 || epi->n_ops > 2) return false;
    if (epi->op[0].kind != LMN_EPI_ADD || epi->op[0].bcast != LMN_EPI_ROW) return false;
    p->clip_lo = -__builtin_inff(), p->clip_hi = __builtin_inff();
    if (epi->n_ops == 1) return true;
    if (epi->op[1].kind == LMN_EPI_RELU)
        p->clip_lo = 0.0f;
    else if (epi->op[1].kind == LMN_EPI_CLIP)
        p->clip_lo = epi->op[1].p0, p->clip_hi = epi->op[1].p1;
    else
        return false;
    p->clip = true;
    return true;
}

/* What takes a window that has no loops of its own. */
static plane_fn *plane_other(const lmn_conv_geom *g)
{
#ifndef LMN_NO_DEPTHWISE_ANY
    if (g->stride[2] <= 2) return g->stride[2] == 1 ? plane_lines_1 : plane_lines_2;
#endif
    (void)g;
    return plane_any;
}

/* *own: the loops want strips (plane_strips). */
static plane_fn *plane_pick(const lmn_conv_geom *g, bool *own)
{
    const int64_t k = g->kernel[1], s = g->stride[1];
    *own = true;
#ifndef LMN_NO_DEPTHWISE_GROUPS
    if (g->groups != g->c_in) return s == 1 ? many_3_1 : many_3_2;
#endif
    if (lmn_dwconv_square(g)) {
#ifndef LMN_NO_DEPTHWISE_3
        if (k == 3) return s == 1 ? plane_3_1 : plane_3_2;
#endif
#ifndef LMN_NO_DEPTHWISE_5
        if (k == 5) return s == 1 ? plane_5_1 : plane_5_2;
#endif
#ifndef LMN_NO_DEPTHWISE_7
        if (k == 7) return plane_7_1;
#endif
    }
    *own = false;
    return plane_other(g);
}

/* The first strips, and how many planes the loops take at once. */
static int64_t plane_strips(plane *p, plane_fn *run)
{
    const lmn_conv_geom *g = p->g;
    (void)run;
    for (int64_t kx = 0; kx < lmn_min_i64(g->kernel[2], DW_MAX_K); kx++)
        lmn_conv_inside(g, 0, g->out[2], kx, &p->lo[kx], &p->hi[kx]);
#ifdef DW_OWN_3
    if (run == plane_3_1 || run == plane_3_2) {
        for (int64_t i = 0; i < DW_STRIPS && i * VF_LANES < g->out[2]; i++)
            p->strip3[i] = strip3_at(g, i * VF_LANES);
        /* Small planes in a row, as many as stay in L1: what a call takes is longer than a plane.
         */
        const int64_t n = g->groups == g->c_out ? 4096 / (p->n_in + p->n_out + 1) : 1;
        return n > 1 ? n / 2 * 2 : 1; /* pairs */
    }
#endif
    for (int64_t i = 0; i < DW_STRIPS && i * VF_LANES < g->out[2]; i++)
        p->strip[i] = strip_at(p, i * VF_LANES, g->kernel[2], g->stride[2]);
    return 1;
}

/* `apply` is the epilogue of the gemm row of the same level; wide: see plane. */
static void dwconv_run(const lmn_dwconv_block *b, lmn_epi_fn *apply, bool wide)
{
    static const float none[1];
    const lmn_conv_geom *g = b->g;
    const int64_t kvol = g->kernel[1] * g->kernel[2], mult = g->c_out / g->groups;
    bool own;
    plane_fn *const run = plane_pick(g, &own);
    plane p = {.g = g, .n_c = g->c_in / g->groups, .bias = none, .wide = wide};
    p.n_in = g->in[1] * g->in[2], p.n_out = g->out[1] * g->out[2];
    p.fused = run != plane_any && plane_fuse(&p, b->epi);
    const int64_t most = own ? plane_strips(&p, run) : 1, end = b->c0 + b->n_c;
    for (int64_t c = b->c0; c < end; c += p.n_planes) {
        const int64_t group = mult == 1 ? c : c / mult; /* dividing takes as long as a few rows */
        p.n_planes = lmn_min_i64(most, end - c), p.w = b->w + c * p.n_c * kvol;
        p.n_behind = end - c - p.n_planes;
        p.x = b->x + group * p.n_c * p.n_in, p.y = b->y + c * p.n_out;
        const lmn_epi_block e = {p.y, p.n_out, c, 0, p.n_planes, p.n_out, b->item};
        if (p.fused) p.bias = lmn_epi_operand(&b->epi->op[0], &e);
        run(&p);
        if (b->epi && !p.fused) apply(b->epi, &e);
    }
}

#endif
