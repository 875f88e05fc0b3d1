/*
 * kcheck driver of the qgemm family under convolutions: any geometry, groups, depthwise, both signs
 * and all zero points, against 64-bit integer sums. Class exact.
 */
#include "kcheck/kc_qconv.h"

static const lmn_qgemm_row *qgemm_row(const lmn_krow *row)
{
    return (const lmn_qgemm_row *)(const void *)row;
}

static lmn_conv_geom random_geom(kc_ctx *kc)
{
    lmn_conv_geom g = {.n = kc_int(kc, 1, 2), .groups = kc_int(kc, 1, 3)};
    const bool depthwise = kc_int(kc, 0, 2) == 0, flat = depthwise || kc_int(kc, 0, 3);
    g.c_in = g.groups * (depthwise ? 1 : kc_int(kc, 1, 9));
    g.c_out = g.groups * kc_int(kc, 1, depthwise ? 2 : 20);
    const bool pointwise = !depthwise && kc_int(kc, 0, 3) == 0;
    kc_conv_axes(kc, &(kc_conv_sizes){pointwise, flat, 9, 4, 4, 24}, &g);
    return g;
}

static void run_plan(const lmn_qconv_plan *plan, const lmn_qconv_args *a, void *scratch)
{
    for (int64_t i = plan->n_chunks - 1; i >= 0; i--) {
        memset(scratch, 0xff, plan->scratch_bytes);
        lmn_qconv_chunk(plan, a, i, scratch);
    }
}

static void check_conv(kc_ctx *kc, const lmn_krow *head)
{
    const int n_cases = kc_quick(kc) ? 250 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const lmn_conv_geom g = random_geom(kc);
        lmn_qconv_args a;
        lmn_qconv_plan plan;
        kc_qconv_draw(kc, &g, false, &a);
        lmn_qconv_plan_make(qgemm_row(head), &g, &plan);
        const int64_t n = g.n * g.c_out * lmn_conv_volume(g.out);
        a.y = kc_buffer(kc, (size_t)n * (a.requant ? 1 : 4));
        void *scratch = kc_buffer(kc, lmn_align_up(plan.scratch_bytes, 64));
        KC_CALL(kc, run_plan(&plan, &a, scratch));
        kc_qconv_compare(kc, &g, &a, false);
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct qconv_bench {
    lmn_qconv_plan plan;
    lmn_qconv_args args;
    void *scratch;
} qconv_bench;

static void bench_run(void *arg)
{
    const qconv_bench *b = arg;
    for (int64_t i = 0; i < b->plan.n_chunks; i++)
        lmn_qconv_chunk(&b->plan, &b->args, i, b->scratch);
}

static const struct {
    int64_t c, m, size, kernel, stride, groups;
} bench_shapes[] = {
    {3, 64, 224, 7, 2, 1},    {64, 64, 56, 1, 1, 1},     {64, 64, 56, 3, 1, 1},
    {64, 256, 56, 1, 1, 1},   {256, 128, 56, 1, 2, 1},   {128, 128, 28, 3, 1, 1},
    {256, 256, 14, 3, 1, 1},  {1024, 256, 14, 1, 1, 1},  {512, 512, 7, 3, 1, 1},
    {96, 96, 112, 3, 2, 96},  {32, 32, 112, 3, 1, 32},   {576, 576, 14, 3, 1, 576},
    {960, 960, 7, 3, 1, 960}, {240, 240, 28, 5, 1, 240},
};

static void bench_conv(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t k = bench_shapes[i].kernel, s = bench_shapes[i].size;
        lmn_conv_geom g = kc_conv_square(s, k, bench_shapes[i].stride);
        g.c_in = bench_shapes[i].c, g.c_out = bench_shapes[i].m;
        g.groups = bench_shapes[i].groups;
        qconv_bench b = {.args = {.w_signed = true, .x_zp = 7, .requant = true, .mul = 1e-4f}};
        b.args.zp = 128, b.args.hi = 255;
        lmn_qconv_plan_make(qgemm_row(head), &g, &b.plan);
        const int64_t taps = g.c_in / g.groups * k * k, pixels = lmn_conv_volume(g.out);
        b.args.x = (uint8_t *)kc_bench_floats(kc, g.c_in * s * s / 4 + 1);
        b.args.w = (uint8_t *)kc_bench_floats(kc, g.c_out * taps / 4 + 1);
        b.args.y = kc_bench_floats(kc, g.c_out * pixels / 4 + 1);
        b.scratch = kc_bench_floats(kc, (int64_t)b.plan.scratch_bytes / 4 + 16);
        char what[64];
        snprintf(what, sizeof what, "%dx%d->%d %dx%d s%d g%d", (int)g.c_in, (int)s, (int)g.c_out,
                 (int)k, (int)k, (int)g.stride[1], (int)g.groups);
        const double madds = (double)(g.c_out * taps) * (double)pixels;
        kc_time(kc, head, what, 2 * madds, 0, bench_run, &b);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_qgemm_conv = {"qgemm", "conv", check_conv, bench_conv};
