/*
 * kcheck drivers of im2col, dwconv, pool, and of the convolution driver that joins them with gemm.
 * The judge is a seven-deep loop in f64 that knows nothing of panels, strips or masks.
 */
#include "kcheck/kc_conv.h"

#include "kernels/conv/dwconv.h"
#include "kernels/conv/im2col.h"
#include "kernels/conv/pool.h"
#include "kernels/gemm/epi_ref.h"
#include "kernels/gemm/gemm.h"

/* Random geometry; flat = depth 1. The output extents follow the usual floor formula. */
static lmn_conv_geom random_geom(kc_ctx *kc, bool flat)
{
    lmn_conv_geom g = {.n = kc_int(kc, 1, 2), .c_in = kc_int(kc, 1, 5), .groups = 1};
    const bool square = kc_int(kc, 0, 1), wide = kc_int(kc, 0, 1);
    g.c_out = g.c_in;
    for (int i = 0; i < 3; i++) {
        g.kernel[i] = kc_int(kc, 1, 5), g.stride[i] = kc_int(kc, 1, 3);
        g.dilation[i] = kc_int(kc, 1, 2), g.in[i] = kc_int(kc, 1, i == 2 && wide ? 70 : 12);
        g.pad[i] = kc_int(kc, 0, g.kernel[i] - 1), g.pad_end[i] = kc_int(kc, 0, g.kernel[i] - 1);
        if (i == 0) g.in[i] = kc_int(kc, 1, 3), g.kernel[i] = kc_int(kc, 1, 2);
        if (i == 0 && flat) g.in[i] = g.kernel[i] = g.stride[i] = 1;
        if (i == 0) g.pad[i] = g.pad_end[i] = 0;
        if (i == 2 && square) {
            g.kernel[1] = g.kernel[2] = kc_int(kc, 0, 1) ? 3 : kc_int(kc, 0, 1) ? 5 : 7;
            g.stride[1] = g.stride[2] = kc_int(kc, 1, 2), g.dilation[1] = g.dilation[2] = 1;
        }
    }
    for (int i = 0; i < 3; i++) {
        int64_t reach = (g.kernel[i] - 1) * g.dilation[i] + 1;
        int64_t span = g.in[i] + g.pad[i] + g.pad_end[i];
        g.out[i] = span < reach ? 0 : (span - reach) / g.stride[i] + 1;
    }
    return g;
}

static float tap(const lmn_conv_geom *g, const float *plane, int64_t pixel, int64_t t, bool *inside)
{
    int64_t at = kc_conv_tap(g, pixel, t, inside);
    return *inside ? plane[at] : 0.0f;
}

static void check_im2col(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_im2col_row *row = (const lmn_im2col_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 250 : 4000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_conv_geom g = random_geom(kc, false);
        const int64_t pixels = lmn_conv_volume(g.out), kvol = lmn_conv_volume(g.kernel);
        if (pixels == 0) continue;
        lmn_im2col_block b = {.g = &g, .n_c = g.c_in, .nr = kc_int(kc, 0, 1) ? 16 : 48};
        if (c % 5 == 0) b.nr = 1; /* panels that are rows */
        b.p0 = kc_int(kc, 0, pixels - 1), b.n = kc_int(kc, 1, lmn_min_i64(pixels - b.p0, 110));
        kc_mat x = kc_input(kc, KC_SPECIAL, g.c_in, lmn_conv_volume(g.in), lmn_conv_volume(g.in));
        const int64_t panels = (b.n + b.nr - 1) / b.nr, rows = g.c_in * kvol;
        kc_mat got = kc_output(kc, panels * rows, b.nr, b.nr), want = kc_copy(kc, &got);
        b.x = x.p, b.packed = got.p;
        for (int64_t j = 0; j < b.n; j++) {
            for (int64_t r = 0; r < rows; r++) {
                bool inside;
                float v = tap(&g, x.p + r / kvol * x.ld, b.p0 + j, r % kvol, &inside);
                want.p[(j / b.nr * rows + r) * b.nr + j % b.nr] = v;
            }
        }
        KC_CALL(kc, row->pack(&b));
        for (int64_t j = b.n; j < panels * b.nr; j++) { /* unused columns may hold anything */
            for (int64_t r = 0; r < rows; r++) {
                int64_t at = (j / b.nr * rows + r) * b.nr + j % b.nr;
                want.p[at] = got.p[at];
            }
        }
        kc_expect_bits(kc, &got, &want, kc_conv_text(&g));
    }
}

void kc_conv_reference(const lmn_conv_geom *g, const kc_mat *x, const kc_mat *w, double *want,
                       double *bound)
{
    const int64_t pixels = lmn_conv_volume(g->out), kvol = lmn_conv_volume(g->kernel);
    const int64_t c_in = g->c_in / g->groups, m = g->c_out / g->groups;
    int64_t *at = malloc((size_t)kvol * sizeof *at); /* of the taps of a pixel; -1: outside */
    if (!at) abort();
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t t = 0; t < kvol; t++) {
            bool inside;
            at[t] = kc_conv_tap(g, p, t, &inside);
            if (!inside) at[t] = -1;
        }
        for (int64_t r = 0; r < g->n * g->c_out; r++) {
            const int64_t co = r % g->c_out, first = r / g->c_out * g->c_in + co / m * c_in;
            const float *wr = w->p + co * w->ld;
            double sum = 0, mag = 0;
            for (int64_t c = 0; c < c_in; c++) {
                const float *plane = x->p + (first + c) * x->ld;
                for (int64_t t = 0; t < kvol; t++) {
                    if (at[t] < 0) continue;
                    const double v = (double)wr[c * kvol + t] * plane[at[t]];
                    sum += v, mag += fabs(v);
                }
            }
            want[r * pixels + p] = sum, bound[r * pixels + p] = kc_dot_bound(c_in * kvol + 1, mag);
        }
    }
    free(at);
}

/* Several small planes of 3 x 3 windows, which rows may take two at a time. */
static lmn_conv_geom small_planes(kc_ctx *kc)
{
    const int64_t s = kc_int(kc, 1, 2);
    lmn_conv_geom g = {.n = 1, .c_in = kc_int(kc, 3, 8), .in = {1}, .out = {1}};
    for (int i = 0; i < 3; i++) {
        g.dilation[i] = 1, g.kernel[i] = i ? 3 : 1, g.stride[i] = i ? s : 1;
        if (i == 0) continue;
        g.in[i] = kc_int(kc, 2, 8 * s + 1), g.pad[i] = kc_int(kc, 0, 3) > 0;
        g.pad_end[i] = kc_int(kc, 0, 1), g.out[i] = 0;
        const int64_t span = g.in[i] + g.pad[i] + g.pad_end[i];
        if (span >= 3) g.out[i] = (span - 3) / s + 1;
    }
    return g;
}

/* Planes of 3 x 3 windows with lines of several vectors, which rows may take side by side, and
   those that are wider yet some lines at a time. */
static lmn_conv_geom wide_planes(kc_ctx *kc)
{
    const int64_t s = kc_int(kc, 1, 2);
    lmn_conv_geom g = {.n = 1, .c_in = kc_int(kc, 1, 3), .in = {1}, .out = {1}};
    for (int i = 0; i < 3; i++) {
        g.dilation[i] = 1, g.kernel[i] = i ? 3 : 1, g.stride[i] = i ? s : 1;
        if (i == 0) continue;
        const int64_t most = kc_int(kc, 0, 3) ? 1 : 4;
        g.pad[i] = kc_int(kc, 0, most), g.pad_end[i] = kc_int(kc, 0, most);
        g.in[i] = i == 1 ? kc_int(kc, 3, 16 * s) : s * kc_int(kc, 15, kc_int(kc, 0, 2) ? 70 : 140);
        g.out[i] = (g.in[i] + g.pad[i] + g.pad_end[i] - 3) / s + 1;
    }
    return g;
}

/* Lines of several vectors under windows of no loops of their own, of stride 1 or 2 across: single
   lines by up to 40 taps, or some lines by any step down, with lines above and below them. */
static lmn_conv_geom long_windows(kc_ctx *kc)
{
    lmn_conv_geom g = {.n = 1, .c_in = kc_int(kc, 1, 3), .in = {1, 1}, .out = {1, 1}};
    const bool single = kc_int(kc, 0, 1);
    for (int i = 0; i < 3; i++) g.kernel[i] = g.stride[i] = g.dilation[i] = 1;
    g.kernel[2] = kc_int(kc, 2, single ? 40 : 9), g.stride[2] = kc_int(kc, 1, 2);
    g.dilation[2] = kc_int(kc, 1, 2), g.in[2] = kc_int(kc, 80, single ? 400 : 200);
    g.pad[2] = kc_int(kc, 0, 20), g.pad_end[2] = kc_int(kc, 0, 20);
    if (!single) {
        g.kernel[1] = kc_int(kc, 1, 5), g.stride[1] = kc_int(kc, 1, 3);
        g.dilation[1] = kc_int(kc, 1, 2), g.in[1] = kc_int(kc, 9, 14);
        g.pad[1] = kc_int(kc, 0, 4), g.pad_end[1] = kc_int(kc, 0, 4);
    }
    for (int i = 1; i < 3; i++) {
        const int64_t span = g.in[i] + g.pad[i] + g.pad_end[i];
        g.out[i] = (span - (g.kernel[i] - 1) * g.dilation[i] - 1) / g.stride[i] + 1;
    }
    return g;
}

/* Every other row but ref has the bits of this one. */
static void expect_planes(kc_ctx *kc, const lmn_krow *head, const lmn_dwconv_block *b,
                          const kc_mat *want)
{
    if (head->isa == LMN_ISA_REF) return;
    for (int32_t i = 0; i < lmn_dwconv_f32_n_rows; i++) {
        const lmn_dwconv_row *row = &lmn_dwconv_f32_rows[i];
        const bool other = row->head.isa != LMN_ISA_REF && &row->head != head;
        if (!other || row->head.isa & ~kc_cpu(kc)->isa) continue;
        const kc_mat got = kc_output(kc, want->rows, want->cols, want->ld);
        lmn_dwconv_block again = *b;
        again.y = got.p;
        KC_CALL(kc, row->run(&again));
        kc_expect_bits(kc, &got, want, row->head.variant);
    }
}

static void check_dwconv(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dwconv_row *row = (const lmn_dwconv_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 250 : 4000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_conv_geom g = c % 4 == 1   ? small_planes(kc)
                          : c % 8 == 3 ? wide_planes(kc)
                          : c % 8 == 7 ? long_windows(kc)
                                       : random_geom(kc, true);
        g.n = 1, g.groups = g.c_in, g.c_out = g.c_in * kc_int(kc, 1, 2);
        lmn_conv_geom grouped = g;
        grouped.c_in *= kc_int(kc, 2, 4);
        if (c % 3 == 0 && lmn_dwconv_takes(&grouped)) g = grouped;
        const int64_t n_c = g.c_in / g.groups;
        const int64_t pixels = lmn_conv_volume(g.out), kvol = lmn_conv_volume(g.kernel);
        kc_style style = (kc_style)kc_int(kc, KC_EXACT, KC_REAL);
        kc_mat x = kc_input(kc, style, g.c_in, lmn_conv_volume(g.in), lmn_conv_volume(g.in));
        kc_mat w = kc_input(kc, style, g.c_out, n_c * kvol, n_c * kvol);
        kc_mat y = kc_output(kc, g.c_out, pixels, pixels),
               fused = kc_output(kc, g.c_out, pixels, pixels);
        double *want = kc_doubles(kc, g.c_out * pixels), *bound = kc_doubles(kc, g.c_out * pixels);
        kc_conv_reference(&g, &x, &w, want, bound);
        lmn_dwconv_block b = {.g = &g, .x = x.p, .w = w.p, .y = y.p, .n_c = g.c_out};
        KC_CALL(kc, row->run(&b));
        kc_expect(kc, &y, want, bound, kc_conv_text(&g));
        expect_planes(kc, head, &b, &y);
        kc_mat bias = kc_input(kc, KC_REAL, 1, g.c_out, g.c_out);
        lmn_epi epi = {.n_ops = 2,
                       .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias.p},
                              {.kind = LMN_EPI_CLIP, .p0 = 0, .p1 = 6}}};
        b.y = fused.p, b.epi = &epi;
        KC_CALL(kc, row->run(&b));
        for (int64_t i = 0; i < g.c_out; i++) {
            for (int64_t j = 0; j < pixels; j++) {
                float *v = y.p + i * pixels + j;
                *v += bias.p[i];
                *v = *v < 0 ? 0 : *v > 6 ? 6 : *v;
            }
        }
        kc_expect_bits(kc, &fused, &y, "bias and clip");
    }
}

/* Taps of an output pixel that lie in the input or its padding. */
static double padded_taps(const lmn_conv_geom *g, int64_t pixel)
{
    lmn_conv_geom wide = *g; /* the padding as if it were input */
    double n = 0;
    for (int a = 0; a < 3; a++) wide.in[a] += g->pad[a] + g->pad_end[a], wide.pad[a] = 0;
    for (int64_t t = 0; t < lmn_conv_volume(g->kernel); t++) {
        bool inside;
        kc_conv_tap(&wide, pixel, t, &inside);
        n += inside;
    }
    return n;
}

static void check_pool(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_pool_row *row = (const lmn_pool_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 300 : 4000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_conv_geom g = random_geom(kc, false);
        lmn_pool_block b = {.g = &g, .kind = (lmn_pool_kind)(c % 3), .n_planes = g.c_in};
        bool global = kc_int(kc, 0, 5) == 0;
        for (int i = 0; global && i < 3; i++) {
            g.kernel[i] = g.in[i], g.pad[i] = g.pad_end[i] = 0, g.out[i] = g.dilation[i] = 1;
        }
        if (c % 50 == 7) { /* rows and windows longer than a row keeps at a time */
            g = (lmn_conv_geom){.n = 1, .c_in = 1, .c_out = 1, .groups = 1, .in = {1, 2, 0}};
            for (int i = 0; i < 3; i++) g.kernel[i] = g.stride[i] = g.dilation[i] = g.out[i] = 1;
            g.kernel[2] = kc_int(kc, 1, 1300), g.stride[2] = kc_int(kc, 1, 3);
            g.dilation[2] = kc_int(kc, 1, 2), g.out[1] = 2, g.out[2] = kc_int(kc, 1, 1300);
            g.pad[2] = kc_int(kc, 0, g.kernel[2] - 1);
            g.in[2] = (g.out[2] - 1) * g.stride[2] + (g.kernel[2] - 1) * g.dilation[2] + 1;
            g.in[2] -= lmn_min_i64(g.in[2] - 1, g.pad[2]), b.n_planes = 1;
        }
        const int64_t pixels = lmn_conv_volume(g.out), kvol = lmn_conv_volume(g.kernel);
        kc_style style = b.kind == LMN_POOL_MAX ? KC_SPECIAL : KC_REAL;
        kc_mat x = kc_input(kc, style, g.c_in, lmn_conv_volume(g.in), lmn_conv_volume(g.in));
        kc_mat y = kc_output(kc, g.c_in, pixels, pixels);
        double *want = kc_doubles(kc, g.c_in * pixels), *bound = kc_doubles(kc, g.c_in * pixels);
        for (int64_t i = 0; i < g.c_in * pixels; i++) {
            double sum = 0, mag = 0, most = -INFINITY, n = 0;
            for (int64_t t = 0; t < kvol; t++) {
                bool inside;
                double v = tap(&g, x.p + i / pixels * x.ld, i % pixels, t, &inside);
                if (!inside) continue;
                n++, sum += v, mag += fabs(v);
                if (v > most || isnan(v)) most = v;
            }
            if (b.kind == LMN_POOL_AVG_PAD) {
                n = padded_taps(&g, i % pixels);
            }
            want[i] = b.kind == LMN_POOL_MAX ? most : sum / n;
            bound[i] = b.kind == LMN_POOL_MAX ? 0 : kc_dot_bound(kvol + 1, mag / n);
        }
        b.x = x.p, b.y = y.p;
        KC_CALL(kc, row->run(&b));
        kc_expect(kc, &y, want, bound, kc_conv_text(&g));
    }
}

lmn_kset kc_conv_set(kc_ctx *kc, const lmn_krow *head)
{
    char pins[128];
    lmn_kset set;
    snprintf(pins, sizeof pins, "im2col.f32:%s,gemm.f32:%s,dwconv.f32:%s", head->variant,
             head->variant, head->variant);
    lmn_kset_choose(kc_cpu(kc), pins, &set);
    return set;
}

void kc_conv_run(kc_ctx *kc, const lmn_conv_plan *plan, lmn_conv_args args, bool down)
{
    void *scratch = plan->scratch_bytes ? kc_buffer(kc, plan->scratch_bytes) : NULL;
    if (scratch) memset(scratch, 0xff, plan->scratch_bytes);
    args.shared = plan->shared_bytes ? kc_buffer(kc, plan->shared_bytes) : NULL;
    for (int64_t i = 0; i < plan->n_prepare; i++) lmn_conv_f32_prepare(plan, &args, i);
    for (int64_t i = 0; i < plan->n_chunks; i++)
        lmn_conv_f32_chunk(plan, &args, down ? plan->n_chunks - 1 - i : i, scratch);
}

/* A wide core may read what others pack: the same bits. */
static void expect_wide(kc_ctx *kc, const lmn_kset *set, const lmn_conv_geom *g,
                        const lmn_conv_args *args, const kc_mat *want)
{
    lmn_gemm_row row = *set->gemm_f32;
    lmn_kset as = *set;
    lmn_conv_plan plan;
    lmn_conv_args again = *args;
    if (row.head.isa == LMN_ISA_REF) return;
    as.gemm_f32 = &row, row.wide = !row.wide;
    const kc_mat got = kc_output(kc, want->rows, want->cols, want->ld);
    again.y = got.p;
    lmn_conv_f32_plan(&as, g, &plan);
    KC_CALL(kc, kc_conv_run(kc, &plan, again, true));
    kc_expect_bits(kc, &got, want, row.wide ? "wide" : "not wide");
}

void kc_conv_whole(kc_ctx *kc, const lmn_kset *set, const lmn_conv_geom *g)
{
    const int64_t pixels = lmn_conv_volume(g->out);
    const int64_t k = g->c_in / g->groups * lmn_conv_volume(g->kernel);
    kc_style style = (kc_style)kc_int(kc, KC_EXACT, KC_REAL);
    const int64_t in_plane = lmn_conv_volume(g->in), n_rows = g->n * g->c_out;
    kc_mat x = kc_input(kc, style, g->n * g->c_in, in_plane, in_plane);
    kc_mat w = kc_input(kc, style, g->c_out, k, k);
    kc_mat y = kc_output(kc, n_rows, pixels, pixels), fused = kc_output(kc, n_rows, pixels, pixels);
    double *want = kc_doubles(kc, n_rows * pixels), *bound = kc_doubles(kc, n_rows * pixels);
    kc_conv_reference(g, &x, &w, want, bound);
    lmn_conv_plan plan;
    lmn_conv_f32_plan(set, g, &plan);
    if (plan.tiles) kc_wino_bounds(kc, g, &x, &w, bound);
    lmn_conv_args args = {.x = x.p, .w = w.p, .y = y.p};
    KC_CALL(kc, kc_conv_run(kc, &plan, args, false));
    kc_expect(kc, &y, want, bound, kc_conv_text(g));
    expect_wide(kc, set, g, &args, &y);
    kc_mat bias = kc_input(kc, KC_REAL, 1, g->c_out, g->c_out);
    kc_mat skip = kc_input(kc, KC_REAL, n_rows, pixels, pixels);
    lmn_epi epi = {.n_ops = 3};
    epi.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias.p};
    epi.op[1] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_FULL, .x = skip.p};
    epi.op[1].ld = pixels, epi.op[1].batch = g->c_out * pixels;
    epi.op[2] = (lmn_epi_op){.kind = LMN_EPI_RELU};
    args.y = fused.p, args.epi = &epi;
    lmn_conv_geom cut = *g; /* other chunks, same bits */
    cut.threads = (int32_t)kc_int(kc, 1, 9);
    lmn_conv_f32_plan(set, &cut, &plan);
    KC_CALL(kc, kc_conv_run(kc, &plan, args, true));
    for (int64_t i = 0; i < n_rows * pixels; i++) {
        float v = y.p[i] + bias.p[i / pixels % g->c_out];
        v += skip.p[i];
        y.p[i] = v < 0 ? 0 : v;
    }
    kc_expect_bits(kc, &fused, &y, "bias, residual and relu");
}

static void check_plan(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_kset same = kc_conv_set(kc, head);
    lmn_kset best; /* of what the CPU has, among them rows that im2col has none beside */
    lmn_kset_choose(kc_cpu(kc), NULL, &best);
    best.im2col_f32 = same.im2col_f32;
    const int n_cases = kc_quick(kc) ? 160 : 2000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_conv_geom g = random_geom(kc, kc_int(kc, 0, 3) != 0);
        g.groups = kc_int(kc, 0, 2) ? 1 : kc_int(kc, 2, 3);
        bool deep = kc_int(kc, 0, 7) == 0; /* more than one block of input channels */
        g.c_in = g.groups * (deep ? kc_int(kc, 30, 60) : kc_int(kc, 1, 6));
        g.c_out = g.groups * kc_int(kc, 1, 21);
        if (kc_int(kc, 0, 4) == 0) {
            for (int i = 0; i < 3; i++) g.kernel[i] = g.stride[i] = g.dilation[i] = 1, g.pad[i] = 0;
            if (kc_int(kc, 0, 1)) g.in[2] = 16 * kc_int(kc, 1, 7); /* lines of the caches */
            if (kc_int(kc, 0, 3) == 0) g.c_in = g.groups * kc_int(kc, 380, 1100), g.in[0] = 1;
            for (int i = 0; i < 3; i++) g.out[i] = g.in[i];
        }
        const int64_t pixels = lmn_conv_volume(g.out),
                      k = g.c_in / g.groups * lmn_conv_volume(g.kernel);
        if (pixels * k * g.c_out > 4000000) continue;
        kc_conv_whole(kc, c % 2 ? &best : &same, &g);
    }
}

/* Small images with many channels: the last pixel alone, and packing once for all chunks. */
static void check_odd(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_kset set = kc_conv_set(kc, head);
    const int n_cases = kc_quick(kc) ? 8 : 60;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const bool once = c % 8 == 0; /* output channels for two chunks */
        lmn_conv_geom g = {.n = kc_int(kc, 1, once ? 1 : 2), .groups = once ? 1 : kc_int(kc, 1, 2)};
        g.c_in = once ? 40 : g.groups * kc_int(kc, 4, 60);
        g.c_out = once ? kc_int(kc, 256, 270) : g.groups * kc_int(kc, 30, 50);
        const int64_t taps = once || kc_int(kc, 0, 1) ? 3 : 1, s = kc_int(kc, 1, 2);
        for (int i = 0; i < 3; i++) {
            g.kernel[i] = i ? taps : 1, g.dilation[i] = 1, g.stride[i] = i && once ? 2 : i ? s : 1;
            g.out[i] = i ? 7 : 1, g.pad[i] = i && taps == 3 ? 1 : 0;
            g.in[i] = i ? 6 * g.stride[i] + taps - 2 * g.pad[i] : 1;
        }
        kc_conv_whole(kc, &set, &g);
    }
}

/* --- bench ---------------------------------------------------------------------------------- */

typedef struct conv_bench {
    lmn_conv_plan plan;
    lmn_conv_args args;
    float *scratch;
} conv_bench;

static void bench_run(void *arg)
{
    conv_bench *b = arg;
    for (int64_t i = 0; i < b->plan.n_prepare; i++) lmn_conv_f32_prepare(&b->plan, &b->args, i);
    for (int64_t i = 0; i < b->plan.n_chunks; i++)
        lmn_conv_f32_chunk(&b->plan, &b->args, i, b->scratch);
}

static const struct {
    int64_t c_in, c_out, groups, size, kernel, stride;
} bench_shapes[] = {
    {64, 64, 1, 56, 3, 1},     {128, 128, 1, 28, 3, 1},   {256, 256, 1, 14, 3, 1},
    {512, 512, 1, 7, 3, 1},    {128, 128, 1, 56, 3, 2},   {256, 64, 1, 56, 1, 1},
    {64, 256, 1, 56, 1, 1},    {1024, 256, 1, 14, 1, 1},  {512, 2048, 1, 7, 1, 1},
    {256, 512, 1, 56, 1, 2},   {3, 64, 1, 224, 7, 2},     {16, 96, 1, 112, 1, 1},
    {144, 24, 1, 56, 1, 1},    {24, 144, 1, 56, 1, 1},    {96, 24, 1, 56, 1, 1},
    {32, 32, 1, 80, 3, 1},     {144, 144, 144, 56, 3, 1}, {144, 144, 144, 56, 3, 2},
    {384, 384, 384, 14, 3, 1}, {960, 960, 960, 7, 3, 1},  {32, 32, 32, 112, 3, 1},
};

static void bench_conv(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_kset set = kc_conv_set(kc, head);
    for (size_t i = 0; i < LMN_COUNT(bench_shapes); i++) {
        const int64_t k = bench_shapes[i].kernel, s = bench_shapes[i].stride,
                      d = bench_shapes[i].size;
        lmn_conv_geom g = kc_conv_square(d, k, s);
        g.c_in = bench_shapes[i].c_in, g.c_out = bench_shapes[i].c_out;
        g.groups = bench_shapes[i].groups;
        conv_bench b;
        lmn_conv_f32_plan(&set, &g, &b.plan);
        const int64_t pixels = lmn_conv_volume(g.out), taps = g.c_in / g.groups * k * k;
        b.args = (lmn_conv_args){.x = kc_bench_floats(kc, g.c_in * d * d),
                                 .w = kc_bench_floats(kc, g.c_out * taps),
                                 .y = kc_bench_floats(kc, g.c_out * pixels)};
        float *bias = kc_bench_floats(kc, g.c_out);
        lmn_epi epi = {
            .n_ops = 2,
            .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias}, {.kind = LMN_EPI_RELU}}};
        b.args.epi = &epi;
        b.scratch = kc_bench_floats(kc, (int64_t)b.plan.scratch_bytes / 4 + 16);
        b.args.shared = kc_bench_floats(kc, (int64_t)b.plan.shared_bytes / 4 + 16);
        char what[64];
        snprintf(what, sizeof what, "conv %d->%d %dx%d s%d %dx%d%s", (int)g.c_in, (int)g.c_out,
                 (int)k, (int)k, (int)s, (int)d, (int)d, g.groups > 1 ? " dw" : "");
        kc_time(kc, head, what, 2.0 * (double)(pixels * taps * g.c_out), 0, bench_run, &b);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_im2col_pack = {"im2col", "pack", check_im2col, NULL};
const kc_driver kc_dwconv_run = {"dwconv", "run", check_dwconv, NULL};
const kc_driver kc_pool_run = {"pool", "run", check_pool, NULL};
const kc_driver kc_im2col_odd = {"im2col", "odd", check_odd, NULL};
const kc_driver kc_im2col_conv = {"im2col", "conv", check_plan, bench_conv};
