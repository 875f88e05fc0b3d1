/*
 * kcheck drivers of wino: the transforms of a row against the reference row's, and whole
 * convolutions against f64 with the bound that wino.h states.
 */
#include "kcheck/kc_conv.h"

#include "kernels/conv/wino.h"
#include "kernels/gemm/gemm.h"

static const double BT[6][6] = {{4, 0, 5, 0, 1, 0}, {0, 4, 4, 1, 1, 0}, {0, 4, 4, 1, 1, 0},
                                {0, 2, 1, 2, 1, 0}, {0, 2, 1, 2, 1, 0}, {0, 4, 0, 5, 0, 1}};
static const double G[6][3] = {{1 / 4., 0, 0},
                               {1 / 6., 1 / 6., 1 / 6.},
                               {1 / 6., 1 / 6., 1 / 6.},
                               {1 / 24., 1 / 12., 1 / 6.},
                               {1 / 24., 1 / 12., 1 / 6.},
                               {0, 0, 1}};
static const double AT[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, 1, 2, 2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, 1, 8, 8, 1}};

/* Sum over i, j of t[p][i] s[q][j] f(i, j), the magnitudes of one position of a transform. */
static double transform(const double *t, const double *s, int k, int64_t p, int64_t q,
                        const double *f)
{
    double sum = 0;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) sum += t[p * k + i] * s[q * k + j] * f[i * k + j];
    return sum;
}

/* A tile: its plane of outputs, the image of a dilated convolution that it belongs to, where. */
typedef struct tile {
    int64_t z, y0, x0, ty, tx;
} tile;

static int64_t tiles_along(const lmn_conv_geom *g, int axis, int64_t first)
{
    const int64_t d = g->dilation[axis], n = (g->out[axis] - first + d - 1) / d;
    return n > 0 ? (n + 3) / 4 : 0;
}

/* |V| of one tile, 36 values for every channel and plane of the kernel. */
static void tile_positions(const lmn_conv_geom *g, const float *x, const tile *t, double *v)
{
    for (int64_t c = 0; c < g->c_in * g->kernel[0]; c++) {
        double d[36];
        const int64_t iz = t->z + c % g->kernel[0] - g->pad[0];
        for (int64_t q = 0; q < 36; q++) {
            const int64_t iy = t->y0 + (t->ty * 4 + q / 6) * g->dilation[1] - g->pad[1];
            const int64_t ix = t->x0 + (t->tx * 4 + q % 6) * g->dilation[2] - g->pad[2];
            bool in = iy >= 0 && iy < g->in[1] && ix >= 0 && ix < g->in[2];
            in = in && iz >= 0 && iz < g->in[0];
            const int64_t plane = c / g->kernel[0] * g->in[0] + iz;
            d[q] = in ? fabs(x[(plane * g->in[1] + iy) * g->in[2] + ix]) : 0;
        }
        for (int64_t q = 0; q < 36; q++)
            v[c * 36 + q] = transform(&BT[0][0], &BT[0][0], 6, q / 6, q % 6, d);
    }
}

/* |U| of all filters, 36 values each. */
static void filter_positions(const lmn_conv_geom *g, const kc_mat *w, double *u)
{
    const int64_t n = g->c_in * g->kernel[0];
    for (int64_t i = 0; i < g->c_out * n; i++) {
        const float *at = w->p + i / n * w->ld + i % n * 9;
        double f[9];
        for (int q = 0; q < 9; q++) f[q] = fabs(at[q]);
        for (int64_t q = 0; q < 36; q++)
            u[i * 36 + q] = transform(&G[0][0], &G[0][0], 3, q / 6, q % 6, f);
    }
}

/* |A'| (sum over c of |U| |V|) |A| of one tile of one output channel, 16 values. */
static void tile_bound(const lmn_conv_geom *g, const double *v, const double *u, double out[16])
{
    const int64_t n = g->c_in * g->kernel[0];
    double sum[36] = {0};
    for (int64_t c = 0; c < n; c++)
        for (int64_t q = 0; q < 36; q++) sum[q] += v[c * 36 + q] * u[c * 36 + q];
    for (int64_t q = 0; q < 16; q++)
        out[q] = kc_dot_bound(n + 30, transform(&AT[0][0], &AT[0][0], 6, q / 4, q % 4, sum));
}

/* The bounds of one tile of one image in all output channels. */
static void tile_bounds(const lmn_conv_geom *g, int64_t image, const tile *t, const double *v,
                        const double *u, double *bound)
{
    for (int64_t co = 0; co < g->c_out; co++) {
        double b[16];
        tile_bound(g, v, u + co * g->c_in * g->kernel[0] * 36, b);
        double *to = bound + ((image * g->c_out + co) * g->out[0] + t->z) * g->out[1] * g->out[2];
        for (int64_t q = 0; q < 16; q++) {
            const int64_t py = t->y0 + (t->ty * 4 + q / 4) * g->dilation[1];
            const int64_t px = t->x0 + (t->tx * 4 + q % 4) * g->dilation[2];
            if (py < g->out[1] && px < g->out[2]) to[py * g->out[2] + px] = b[q];
        }
    }
}

void kc_wino_bounds(kc_ctx *kc, const lmn_conv_geom *g, const kc_mat *x, const kc_mat *w,
                    double *bound)
{
    const int64_t deep = g->c_in * g->kernel[0], volume = lmn_conv_volume(g->in);
    double *u = kc_doubles(kc, g->c_out * deep * 36), *v = kc_doubles(kc, deep * 36);
    filter_positions(g, w, u);
    const int64_t images = g->dilation[1] * g->dilation[2];
    for (int64_t i = 0; i < g->n * g->out[0] * images; i++) {
        tile t = {.z = i / images % g->out[0], .y0 = i % images / g->dilation[2]};
        t.x0 = i % images % g->dilation[2];
        const int64_t n = i / images / g->out[0], across = tiles_along(g, 2, t.x0);
        for (int64_t k = 0; k < tiles_along(g, 1, t.y0) * across; k++) {
            t.ty = k / across, t.tx = k % across;
            tile_positions(g, x->p + n * g->c_in * volume, &t, v);
            tile_bounds(g, n, &t, v, u, bound);
        }
    }
}

static void check_transforms(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_wino_row *row = (const lmn_wino_row *)(const void *)head, *ref = lmn_wino_f32_rows;
    const int n_cases = kc_quick(kc) ? 150 : 2000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_wino_input in = {.in_h = kc_int(kc, 1, 20), .in_w = kc_int(kc, 1, 90)};
        in.x_step = in.in_h * in.in_w;
        in.pad_y = kc_int(kc, 0, 2), in.pad_x = kc_int(kc, 0, 2), in.n_c = kc_int(kc, 1, 3);
        in.row = kc_int(kc, 0, 2), in.n_rows = kc_int(kc, 1, 6);
        in.tiles = c % 3 ? kc_int(kc, 1, in.in_w / 4 + 1) : 2 << c / 3 % 3; /* 2, 4, 8 */
        const int64_t n = in.n_rows * in.tiles;
        in.ld = lmn_wino_ld(n, in.tiles), in.step = in.n_c * in.ld;
        const int64_t plane = in.in_h * in.in_w, all = LMN_WINO_POS * in.n_c;
        const kc_mat x = kc_input(kc, KC_REAL, in.n_c, plane, plane);
        kc_mat got = kc_output(kc, all, in.ld, in.ld), want = kc_output(kc, all, in.ld, in.ld);
        in.x = x.p, in.v = want.p;
        ref->input(&in);
        in.v = got.p;
        KC_CALL(kc, row->input(&in));
        for (int64_t i = 0; i < all * n; i++) {
            const int64_t at = i / n * in.ld + i % n;
            if (!kc_near(got.p[at], want.p[at], 1e-4 * (1 + fabs(want.p[at]))))
                kc_fail(kc, "input transform: %g, not %g", got.p[at], want.p[at]);
        }
        lmn_wino_output out = {.m = want.p, .step = in.step, .n_rows = in.n_rows};
        out.tiles = in.tiles, out.w = kc_int(kc, in.tiles * 4 - 3, in.tiles * 4);
        out.h = kc_int(kc, in.n_rows * 4 - 3, in.n_rows * 4);
        kc_mat y = kc_output(kc, out.h, out.w, out.w), yw = kc_output(kc, out.h, out.w, out.w);
        out.y = yw.p, ref->output(&out);
        out.y = y.p;
        KC_CALL(kc, row->output(&out));
        double *f64 = kc_doubles(kc, out.h * out.w), *bound = kc_doubles(kc, out.h * out.w);
        for (int64_t i = 0; i < out.h * out.w; i++) f64[i] = yw.p[i], bound[i] = 0.05;
        kc_expect(kc, &y, f64, bound, "output transform");
        const int64_t filters = kc_int(kc, 1, 40);
        const kc_mat w = kc_input(kc, KC_REAL, filters, 9, 9);
        kc_mat u = kc_output(kc, LMN_WINO_POS, filters, filters),
               uw = kc_output(kc, LMN_WINO_POS, filters, filters);
        ref->weights(uw.p, filters, w.p, filters);
        KC_CALL(kc, row->weights(u.p, filters, w.p, filters));
        double *u64 = kc_doubles(kc, LMN_WINO_POS * filters),
               *ub = kc_doubles(kc, LMN_WINO_POS * filters);
        for (int64_t i = 0; i < LMN_WINO_POS * filters; i++) u64[i] = uw.p[i], ub[i] = 1e-5;
        kc_expect(kc, &u, u64, ub, "weight transform");
    }
}

/* Planes; planes with a kernel of several; and dilated ones. */
static void draw_axes(kc_ctx *kc, int kind, lmn_conv_geom *g)
{
    for (int i = 0; i < 3; i++) {
        const bool deep = i == 0 && kind == 1;
        g->kernel[i] = i ? 3 : deep ? kc_int(kc, 1, 3) : 1;
        g->stride[i] = g->dilation[i] = g->in[i] = g->out[i] = 1;
        if (i == 0 && !deep) continue;
        g->dilation[i] = i > 0 && kind >= 2 ? kc_int(kc, 1, 4) : 1;
        const int64_t reach = (g->kernel[i] - 1) * g->dilation[i];
        g->pad[i] = kc_int(kc, 0, reach), g->pad_end[i] = kc_int(kc, 0, reach);
        g->in[i] = kc_int(kc, reach + 1, i == 0 ? 7 : i == 2 ? 75 : 24);
        g->out[i] = g->in[i] + g->pad[i] + g->pad_end[i] - reach;
    }
}

/* Dilations beyond the output, up to the largest that a model may have: planned at once, without
   Winograd's images of no pixels. */
static void check_far(kc_ctx *kc, const lmn_kset *set)
{
    static const int64_t far[] = {4, 5, INT32_MAX};
    for (int i = 0; i < 3 * 3; i++) {
        kc_case(kc);
        const int64_t d[2] = {i % 3 == 1 ? 1 : far[i / 3], i % 3 ? far[i / 3] : 1};
        const lmn_conv_geom g = {.n = 1,
                                 .c_in = 16,
                                 .c_out = 16,
                                 .groups = 1,
                                 .in = {1, 4, 4},
                                 .out = {1, 4, 4},
                                 .kernel = {1, 3, 3},
                                 .stride = {1, 1, 1},
                                 .dilation = {1, d[0], d[1]},
                                 .pad = {0, d[0], d[1]},
                                 .pad_end = {0, d[0], d[1]}};
        const lmn_choice choice = {LMN_CHOICE_WINO_U, 0, 0, 0};
        lmn_conv_plan plan;
        const bool can = lmn_conv_f32_plan_as(set, &g, &choice, &plan);
        if (can != (i < 3) || can != (plan.tiles > 0)) kc_fail(kc, "%s", kc_conv_text(&g));
    }
}

/* A wide core has V of all tiles first where others have U: the same bits. */
static void check_kept(kc_ctx *kc, const lmn_kset *set)
{
    kc_case(kc);
    const int64_t n = 66, c = 32;
    const lmn_conv_geom g = {.n = 1,
                             .c_in = c,
                             .c_out = c,
                             .groups = 1,
                             .in = {1, n, n},
                             .out = {1, n, n},
                             .kernel = {1, 3, 3},
                             .stride = {1, 1, 1},
                             .dilation = {1, 1, 1},
                             .pad = {0, 1, 1},
                             .pad_end = {0, 1, 1}};
    lmn_gemm_row row = *set->gemm_f32;
    lmn_kset as = *set;
    as.gemm_f32 = &row;
    const kc_mat x = kc_input(kc, KC_REAL, c, n * n, n * n),
                 w = kc_input(kc, KC_REAL, c, c * 9, c * 9);
    kc_mat y[2];
    for (int wide = 0; wide < 2; wide++) {
        lmn_conv_plan plan;
        row.wide = wide;
        lmn_conv_f32_plan(&as, &g, &plan);
        if (plan.tiles == 0 || plan.v_first != wide) kc_fail(kc, "%s", kc_conv_text(&g));
        y[wide] = kc_output(kc, c, n * n, n * n);
        const lmn_conv_args args = {.x = x.p, .w = w.p, .y = y[wide].p};
        KC_CALL(kc, kc_conv_run(kc, &plan, args, wide));
    }
    kc_expect_bits(kc, &y[1], &y[0], "V first");
}

static void check_conv(kc_ctx *kc, const lmn_krow *head)
{
    char pins[64];
    lmn_kset set;
    snprintf(pins, sizeof pins, "wino.f32:%s,gemm.f32:%s", head->variant, head->variant);
    lmn_kset_choose(kc_cpu(kc), pins, &set);
    if (head->isa) check_far(kc, &set), check_kept(kc, &set);
    const int n_cases = kc_quick(kc) ? 24 : 500;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_conv_geom g = {.n = kc_int(kc, 1, 2), .groups = 1};
        g.c_in = kc_int(kc, 16, 40), g.c_out = kc_int(kc, 16, c % 8 ? 40 : 140);
        draw_axes(kc, c % 4, &g);
        lmn_conv_plan plan;
        g.threads = (int32_t)kc_int(kc, 0, 4);
        lmn_choice choice = {LMN_CHOICE_RULE, 0, 0, 0};
        if (c % 3 == 0) choice.path = kc_int(kc, 0, 1) ? LMN_CHOICE_WINO_U : LMN_CHOICE_WINO_V;
        if (c % 3 == 0 && kc_int(kc, 0, 1)) choice.nc = (int32_t)kc_int(kc, 1, 4);
        (void)lmn_conv_f32_plan_as(&set, &g, &choice, &plan);
        if (plan.tiles == 0) continue;
        const int64_t pixels = lmn_conv_volume(g.out), plane = lmn_conv_volume(g.in),
                      taps = g.c_in * lmn_conv_volume(g.kernel);
        const kc_mat x = kc_input(kc, KC_REAL, g.n * g.c_in, plane, plane),
                     w = kc_input(kc, KC_REAL, g.c_out, taps, taps);
        kc_mat y = kc_output(kc, g.n * g.c_out, pixels, pixels);
        double *want = kc_doubles(kc, y.rows * pixels), *bound = kc_doubles(kc, y.rows * pixels);
        kc_conv_reference(&g, &x, &w, want, bound);
        kc_wino_bounds(kc, &g, &x, &w, bound);
        lmn_conv_args args = {.x = x.p, .w = w.p, .y = y.p};
        KC_CALL(kc, kc_conv_run(kc, &plan, args, c % 2));
        kc_expect(kc, &y, want, bound, kc_conv_text(&g));
        kc_mat fused = kc_output(kc, y.rows, pixels, pixels),
               bias = kc_input(kc, KC_REAL, 1, g.c_out, g.c_out);
        lmn_epi epi = {.n_ops = 2,
                       .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias.p},
                              {.kind = LMN_EPI_RELU}}};
        args.y = fused.p, args.epi = &epi;
        KC_CALL(kc, kc_conv_run(kc, &plan, args, !(c % 2)));
        for (int64_t i = 0; i < y.rows * pixels; i++) {
            const float v = y.p[i] + bias.p[i / pixels % g.c_out];
            y.p[i] = v < 0 ? 0 : v;
        }
        kc_expect_bits(kc, &fused, &y, "bias and relu");
    }
}

const kc_driver kc_wino_transforms = {"wino", "transforms", check_transforms, NULL};
const kc_driver kc_wino_conv = {"wino", "conv", check_conv, NULL};
