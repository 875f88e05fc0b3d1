/*
 * kcheck driver of the qgemm family under convolutions with the channels last: any geometry, both
 * signs and all zero points, against 64-bit integer sums. Class exact.
 */
#include "kcheck/kcheck.h"

#include "kernels/qgemm/qgemm_end.h"
#include "kernels/qgemm/qlast_plan.h"

static uint8_t *bytes_of(kc_ctx *kc, int64_t n)
{
    uint8_t *p = kc_buffer(kc, (size_t)n);
    for (int64_t i = 0; i < n; i++) p[i] = (uint8_t)kc_int(kc, 0, 255);
    return p;
}

static int32_t *ints_of(kc_ctx *kc, int64_t n, int64_t lo, int64_t hi)
{
    int32_t *p = kc_buffer(kc, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = (int32_t)kc_int(kc, lo, hi);
    return p;
}

static lmn_conv_geom some_geom(kc_ctx *kc)
{
    lmn_conv_geom g = {.n = kc_int(kc, 1, 2), .groups = 1, .threads = (int32_t)kc_int(kc, 0, 2)};
    const bool flat = kc_int(kc, 0, 3), pointwise = kc_int(kc, 0, 3) == 0;
    g.c_in = kc_extent(kc, 16, 40), g.c_out = kc_extent(kc, 16, 60);
    g.c_in = lmn_max_i64(1, g.c_in), g.c_out = lmn_max_i64(1, g.c_out);
    const bool deep = kc_int(kc, 0, 30) == 0; /* k is cut */
    if (deep) g.c_in = kc_int(kc, 1000, 3000), g.c_out = kc_int(kc, 1, 5);
    for (int i = 0; i < 3; i++) {
        const bool one = pointwise || (i == 0 && flat);
        g.kernel[i] = one ? 1 : kc_int(kc, 1, i == 2 ? 7 : 3);
        g.stride[i] = one ? 1 : kc_int(kc, 1, 3);
        g.dilation[i] = one || kc_int(kc, 0, 2) ? 1 : 2;
        g.pad[i] = one ? 0 : kc_int(kc, 0, 4), g.pad_end[i] = one ? 0 : kc_int(kc, 0, 4);
        const int64_t reach = (g.kernel[i] - 1) * g.dilation[i] + 1;
        g.in[i] = i == 0 && flat ? 1 : kc_int(kc, 1, i == 0 ? 4 : deep ? 3 : 12);
        g.in[i] = lmn_max_i64(g.in[i], reach - g.pad[i] - g.pad_end[i]);
        g.out[i] = (g.in[i] + g.pad[i] + g.pad_end[i] - reach) / g.stride[i] + 1;
    }
    return g;
}

static void draw(kc_ctx *kc, const lmn_conv_geom *g, lmn_qconv_args *a)
{
    memset(a, 0, sizeof *a);
    a->x = bytes_of(kc, g->n * g->c_in * lmn_conv_volume(g->in));
    a->w = bytes_of(kc, g->c_out * g->c_in * lmn_conv_volume(g->kernel));
    a->x_signed = kc_int(kc, 0, 1), a->w_signed = kc_int(kc, 0, 1);
    const int32_t x_lo = a->x_signed ? -128 : 0, w_lo = a->w_signed ? -128 : 0;
    a->x_zp = x_lo + (int32_t)kc_int(kc, 0, 255), a->w_zp = w_lo + (int32_t)kc_int(kc, 0, 255);
    if (kc_int(kc, 0, 1)) a->w_zp = a->w_signed ? 0 : 128;
    if (kc_int(kc, 0, 3) == 0) a->w_zps = ints_of(kc, g->c_out, w_lo, w_lo + 255);
    if (kc_int(kc, 0, 1)) a->bias = ints_of(kc, g->c_out, -100000, 100000);
    a->requant = kc_int(kc, 0, 1);
    const float unit = kc_int(kc, 0, 2) ? 1e-6f : 1e-3f; /* factors below 1, or around */
    a->mul = (float)kc_int(kc, 1, 1200) * unit;
    a->lo = kc_int(kc, 0, 1) ? -128 : 0, a->hi = a->lo + 255;
    a->zp = a->lo + (int32_t)kc_int(kc, 0, 255);
    if (kc_int(kc, 0, 1)) return;
    float *muls = kc_buffer(kc, (size_t)g->c_out * sizeof *muls);
    for (int64_t c = 0; c < g->c_out; c++) muls[c] = (float)kc_int(kc, 1, 1200) * unit;
    a->muls = muls;
}

static int64_t at_of(const uint8_t *p, int64_t i, bool is_signed)
{
    return is_signed ? (int8_t)p[i] : p[i];
}

/* Output channel co of the pixel o of an image. */
static int32_t expected(const lmn_conv_geom *g, const lmn_qconv_args *a, int64_t image,
                        const int64_t o[3], int64_t co)
{
    const int64_t kvol = lmn_conv_volume(g->kernel), zw = a->w_zps ? a->w_zps[co] : a->w_zp;
    int64_t sum = a->bias ? a->bias[co] : 0;
    for (int64_t tap = 0; tap < kvol; tap++) {
        const int64_t t[3] = {tap / (g->kernel[1] * g->kernel[2]),
                              tap / g->kernel[2] % g->kernel[1], tap % g->kernel[2]};
        int64_t at = image;
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            const int64_t x = lmn_conv_at(g, i, o[i], t[i]);
            inside = inside && x >= 0 && x < g->in[i];
            at = at * g->in[i] + x;
        }
        for (int64_t c = 0; inside && c < g->c_in; c++)
            sum += (at_of(a->x, at * g->c_in + c, a->x_signed) - a->x_zp) *
                   (at_of(a->w, (co * g->c_in + c) * kvol + tap, a->w_signed) - zw);
    }
    const int32_t v = (int32_t)(uint32_t)(uint64_t)sum;
    if (!a->requant) return v;
    return (uint8_t)lmn_requant(v, a->muls ? a->muls[co] : a->mul, a->zp, a->lo, a->hi);
}

static void compare(kc_ctx *kc, const lmn_conv_geom *g, const lmn_qconv_args *a, const char *what)
{
    const int64_t pixels = lmn_conv_volume(g->out);
    const uint8_t *y = a->y;
    for (int64_t e = 0; e < g->n * pixels * g->c_out; e++) {
        const int64_t co = e % g->c_out, p = e / g->c_out % pixels;
        const int64_t o[3] = {p / (g->out[1] * g->out[2]), p / g->out[2] % g->out[1],
                              p % g->out[2]};
        const int32_t want = expected(g, a, e / g->c_out / pixels, o, co);
        int32_t got = y[e];
        if (!a->requant) memcpy(&got, y + 4 * e, 4);
        if (got == want) continue;
        kc_fail(kc, "%s: pixel %d channel %d is %d, not %d", what, (int)p, (int)co, got, want);
        return;
    }
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
        draw(kc, &g, &a);
        lmn_qlast_plan_make(row, &g, &plan);
        a.y = kc_buffer(kc, (size_t)(g.n * g.c_out * lmn_conv_volume(g.out) * (a.requant ? 1 : 4)));
        void *scratch = kc_buffer(kc, lmn_align_up(plan.scratch_bytes, 64));
        lmn_qconv_args run = a;
        run.w = prepacked(kc, row, &g, &a);
        char what[128];
        snprintf(what, sizeof what,
                 "in %dx%dx%d kernel %dx%dx%d stride %d,%d,%d channels %d to %d signs %d%d",
                 (int)g.in[0], (int)g.in[1], (int)g.in[2], (int)g.kernel[0], (int)g.kernel[1],
                 (int)g.kernel[2], (int)g.stride[0], (int)g.stride[1], (int)g.stride[2],
                 (int)g.c_in, (int)g.c_out, a.x_signed, a.w_signed);
        KC_CALL(kc, run_plan(&plan, &run, scratch));
        compare(kc, &g, &a, what);
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
        lmn_conv_geom g = {
            .n = 1, .c_in = bench_shapes[i].c, .c_out = bench_shapes[i].m, .groups = 1};
        g.in[0] = g.out[0] = g.kernel[0] = g.stride[0] = g.dilation[0] = 1;
        for (int a = 1; a < 3; a++) {
            g.in[a] = s, g.kernel[a] = k, g.stride[a] = bench_shapes[i].stride, g.dilation[a] = 1;
            g.pad[a] = k / 2, g.out[a] = (s + 2 * (k / 2) - k) / g.stride[a] + 1;
        }
        last_bench b = {.args = {.w_signed = true, .x_zp = 7, .requant = true, .mul = 1e-4f}};
        b.args.zp = 128, b.args.hi = 255;
        lmn_qlast_plan_make(row, &g, &b.plan);
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
