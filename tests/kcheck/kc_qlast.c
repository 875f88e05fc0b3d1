/*
 * kcheck driver of the qgemm family under convolutions with the channels last: any geometry, both
 * signs and all zero points, against 64-bit integer sums. Class exact.
 */
#include "kcheck/kc_qconv.h"

#include "kernels/qgemm/qlast_plan.h"

static lmn_conv_geom some_geom(kc_ctx *kc)
{
    lmn_conv_geom g = {.n = kc_int(kc, 1, 2), .groups = 1, .threads = (int32_t)kc_int(kc, 0, 2)};
    const bool flat = kc_int(kc, 0, 3), pointwise = kc_int(kc, 0, 3) == 0;
    g.c_in = kc_extent(kc, 16, 40), g.c_out = kc_extent(kc, 16, 60);
    g.c_in = lmn_max_i64(1, g.c_in), g.c_out = lmn_max_i64(1, g.c_out);
    const bool deep = kc_int(kc, 0, 30) == 0; /* k is cut */
    if (deep) g.c_in = kc_int(kc, 1000, 3000), g.c_out = kc_int(kc, 1, 5);
    const bool lines = !deep && kc_int(kc, 0, 3) == 0; /* windows may be read where they lie */
    if (lines) g.c_in = 64 * kc_int(kc, 1, 2), g.c_out = kc_int(kc, 1, 70);
    const kc_conv_sizes sizes = {pointwise && !lines,       flat || lines, lines ? 3 : 7, 3, 4,
                                 deep ? 3 : lines ? 40 : 12};
    kc_conv_axes(kc, &sizes, &g);
    if (lines && kc_int(kc, 0, 5) == 0) {
        g.n = 1, g.c_in = 64, g.c_out = kc_int(kc, 1, 2);
        kc_conv_long(kc, &g);
    } else if (lines && kc_int(kc, 0, 3) == 0) {
        g.c_in = 64, g.c_out = kc_int(kc, 32, 100);
        kc_conv_short(kc, &g);
        if (kc_int(kc, 0, 2) == 0) g.n = 0, g.threads = 2;
    }
    return g;
}

static void run_plan(const lmn_qlast_plan *plan, const lmn_qconv_args *a, void *scratch)
{
    for (int64_t i = plan->n_chunks - 1; i >= 0; i--) {
        memset(scratch, 0xff, plan->scratch_bytes);
        lmn_qlast_chunk(plan, a, i, scratch);
    }
}

static void *prepacked(kc_ctx *kc, const lmn_qgemm_row *row, const lmn_conv_geom *g,
                       const lmn_qconv_args *a)
{
    const lmn_qlast_weights w = {a->w, a->w_signed, g->c_out, g->c_in, lmn_conv_volume(g->kernel)};
    void *packed = kc_buffer(kc, (size_t)lmn_align_up((size_t)lmn_qlast_packed_bytes(row, &w), 64));
    KC_CALL(kc, lmn_qlast_prepack(row, &w, packed));
    return packed;
}

static void check_last(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_qgemm_row *row = (const lmn_qgemm_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 250 : 2500;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const lmn_conv_geom g = some_geom(kc);
        lmn_qconv_args a;
        lmn_qlast_plan plan;
        kc_qconv_draw(kc, &g, true, &a);
        if (kc_int(kc, 0, 1)) a.w_signed = a.requant = true, a.w_zp = 0, a.w_zps = NULL;
        lmn_qlast_plan_make(row, &g, lmn_qlast_plain(&a), &plan);
        a.y = kc_buffer(kc, (size_t)(g.n * g.c_out * lmn_conv_volume(g.out) * (a.requant ? 1 : 4)));
        void *scratch = kc_buffer(kc, lmn_align_up(plan.scratch_bytes, 64));
        lmn_qconv_args run = a;
        run.w = prepacked(kc, row, &g, &a);
        KC_CALL(kc, run_plan(&plan, &run, scratch));
        kc_qconv_compare(kc, &g, &a, true);
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct last_bench {
    lmn_qlast_plan plan;
    lmn_qconv_args args;
    void *scratch;
} last_bench;

static void bench_run(void *arg)
{
    const last_bench *b = arg;
    for (int64_t i = 0; i < b->plan.n_chunks; i++)
        lmn_qlast_chunk(&b->plan, &b->args, i, b->scratch);
}

static const struct {
    int64_t c, m, size, kernel, stride;
} bench_shapes[] = {
    {3, 64, 224, 7, 2},    {64, 64, 56, 1, 1},    {64, 64, 56, 3, 1},   {64, 256, 56, 1, 1},
    {256, 128, 56, 1, 2},  {128, 128, 28, 3, 1},  {128, 512, 28, 1, 1}, {256, 256, 14, 3, 1},
    {256, 1024, 14, 1, 1}, {1024, 256, 14, 1, 1}, {512, 512, 7, 3, 1},  {512, 2048, 7, 1, 1},
};

static void bench_last(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_qgemm_row *row = (const lmn_qgemm_row *)(const void *)head;
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t k = bench_shapes[i].kernel, s = bench_shapes[i].size;
        lmn_conv_geom g = kc_conv_square(s, k, bench_shapes[i].stride);
        g.c_in = bench_shapes[i].c, g.c_out = bench_shapes[i].m;
        last_bench b = {.args = {.w_signed = true, .x_zp = 7, .requant = true, .mul = 1e-4f}};
        b.args.zp = 128, b.args.hi = 255;
        lmn_qlast_plan_make(row, &g, true, &b.plan);
        const int64_t pixels = lmn_conv_volume(g.out);
        const uint8_t *w = (uint8_t *)kc_bench_floats(kc, g.c_out * g.c_in * k * k / 4 + 1);
        const lmn_qlast_weights weights = {w, true, g.c_out, g.c_in, k * k};
        void *packed = kc_bench_floats(kc, lmn_qlast_packed_bytes(row, &weights) / 4 + 16);
        lmn_qlast_prepack(row, &weights, packed);
        b.args.w = packed;
        b.args.x = (uint8_t *)kc_bench_floats(kc, g.c_in * s * s / 4 + 1);
        b.args.y = kc_bench_floats(kc, g.c_out * pixels / 4 + 1);
        b.scratch = kc_bench_floats(kc, (int64_t)b.plan.scratch_bytes / 4 + 16);
        char what[64];
        snprintf(what, sizeof what, "last %dx%d->%d %dx%d s%d", (int)g.c_in, (int)s, (int)g.c_out,
                 (int)k, (int)k, (int)g.stride[1]);
        const double madds = (double)(g.c_out * g.c_in * k * k) * (double)pixels;
        kc_time(kc, head, what, 2 * madds, 0, bench_run, &b);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_qgemm_last = {"qgemm", "last", check_last, bench_last};
