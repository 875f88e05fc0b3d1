/*
 * kcheck driver of the hgemm family under convolutions with the channels last: any geometry on
 * small integers, whose sums are exact, residuals of any bits under sums of zero, and sums that a
 * bias makes denormal. Class exact; behind SiLU half a unit of bf16 more.
 */
#include "kcheck/kc_conv.h"

#include "kernels/hgemm/hgemm_half.h"
#include "kernels/hgemm/hlast_plan.h"

#include <math.h>

typedef struct draw {
    lmn_conv_geom g;
    float *w; /* [c_out][c_in][taps] */
    lmn_hlast_args a;
} draw;

static lmn_conv_geom some_geom(kc_ctx *kc)
{
    lmn_conv_geom g = {.n = kc_int(kc, 1, 2), .groups = 1, .threads = (int32_t)kc_int(kc, 0, 2)};
    const bool flat = kc_int(kc, 0, 3), pointwise = kc_int(kc, 0, 3) == 0;
    g.c_in = lmn_max_i64(1, kc_extent(kc, 16, 40));
    g.c_out = lmn_max_i64(1, kc_extent(kc, 48, 250));
    const bool deep = kc_int(kc, 0, 20) == 0; /* k is cut */
    if (deep) g.c_in = kc_int(kc, 1000, 2200), g.c_out = kc_int(kc, 1, 60);
    const bool lines = !deep && kc_int(kc, 0, 3) == 0; /* windows may be read where they lie */
    if (lines) {
        g.c_in = kc_int(kc, 0, 1) ? 32 * kc_int(kc, 1, 2) : kc_int(kc, 1, 80);
        g.c_out = kc_int(kc, 1, 70);
    }
    if (pointwise && !deep && !lines && kc_int(kc, 0, 1)) g.c_in = 8 * kc_int(kc, 1, 30);
    const kc_conv_sizes sizes = {pointwise && !lines,      flat || lines, lines ? 3 : 7, 3, 3,
                                 deep ? 3 : lines ? 40 : 9};
    kc_conv_axes(kc, &sizes, &g);
    if (lines && kc_int(kc, 0, 5) == 0) {
        g.n = 1, g.c_in = kc_int(kc, 1, 4), g.c_out = kc_int(kc, 1, 4);
        kc_conv_long(kc, &g);
    } else if (lines && kc_int(kc, 0, 3) == 0) {
        g.c_in = 32, g.c_out = kc_int(kc, 32, 100);
        kc_conv_short(kc, &g);
        if (kc_int(kc, 0, 2) == 0) g.n = 0, g.threads = 2;
    }
    return g;
}

static uint16_t *halves_of(kc_ctx *kc, int64_t n, int64_t most)
{
    uint16_t *p = kc_buffer(kc, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = hgemm_to_bf16((float)kc_int(kc, -most, most));
    return p;
}

static float *floats_of(kc_ctx *kc, int64_t n, int64_t most)
{
    float *p = kc_buffer(kc, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = (float)kc_int(kc, -most, most);
    return p;
}

/* zero: nothing but the residual, of any bits; wild: a value of x is no number, which only its own
   windows may meet. */
static void make(kc_ctx *kc, bool zero, bool wild, draw *d)
{
    const lmn_conv_geom *g = &d->g;
    const int64_t n_y = g->n * g->c_out * lmn_conv_volume(g->out);
    d->a.x = halves_of(kc, g->n * g->c_in * lmn_conv_volume(g->in), zero ? 0 : 4);
    d->w = floats_of(kc, g->c_out * g->c_in * lmn_conv_volume(g->kernel), 4);
    if (zero || kc_int(kc, 0, 1)) d->a.add = halves_of(kc, n_y, 200);
    for (int64_t i = 0; zero && i < n_y; i++)
        ((uint16_t *)(uintptr_t)d->a.add)[i] = (uint16_t)kc_int(kc, 1, 0xffff);
    if (wild && g->n > 0) {
        const int64_t n_x = g->n * g->c_in * lmn_conv_volume(g->in);
        ((uint16_t *)(uintptr_t)d->a.x)[kc_int(kc, 0, n_x - 1)] =
            hgemm_to_bf16(kc_int(kc, 0, 1) ? NAN : -INFINITY);
    }
    if (zero || wild) return;
    if (kc_int(kc, 0, 1)) d->a.bias = floats_of(kc, g->c_out, 1000);
    d->a.silu = kc_int(kc, 0, 3) == 0;
    d->a.clipped = kc_int(kc, 0, 1);
    d->a.lo = kc_int(kc, 0, 3) ? 0 : -INFINITY, d->a.hi = kc_int(kc, 0, 1) ? 60 : INFINITY;
}

/* Sums of whole windows that a bias leaves but denormals of, or nothing. */
static void make_tiny(kc_ctx *kc, draw *d)
{
    const lmn_conv_geom *g = &d->g;
    const int64_t n_x = g->n * g->c_in * lmn_conv_volume(g->in);
    const int64_t products = g->c_in * lmn_conv_volume(g->kernel);
    float *bias = floats_of(kc, g->c_out, 8);
    d->a = (lmn_hlast_args){.x = halves_of(kc, n_x, 4), .bias = bias, .hi = INFINITY};
    d->a.clipped = kc_int(kc, 0, 1);
    for (int64_t i = 0; i < n_x; i++) ((uint16_t *)(uintptr_t)d->a.x)[i] = hgemm_to_bf16(0x1p-60f);
    for (int64_t i = 0; i < g->c_out * products; i++) d->w[i] = 0x1p-60f;
    for (int64_t i = 0; i < g->c_out; i++)
        bias[i] = bias[i] * 0x1p-133f - (kc_int(kc, 0, 3) ? (float)products * 0x1p-120f : 0);
}

static uint16_t expected(const draw *d, int64_t e)
{
    const lmn_conv_geom *g = &d->g;
    const int64_t kvol = lmn_conv_volume(g->kernel), pixels = lmn_conv_volume(g->out);
    const int64_t co = e % g->c_out, p = e / g->c_out % pixels, image = e / g->c_out / pixels;
    double sum = d->a.bias ? (double)d->a.bias[co] : 0;
    for (int64_t tap = 0; tap < kvol; tap++) {
        bool inside;
        const int64_t at = image * lmn_conv_volume(g->in) + kc_conv_tap(g, p, tap, &inside);
        for (int64_t c = 0; inside && c < g->c_in; c++)
            sum += (double)hgemm_from_bf16(d->a.x[at * g->c_in + c]) *
                   (double)d->w[(co * g->c_in + c) * kvol + tap];
    }
    if (d->a.silu) sum /= 1 + exp(-sum);
    if (d->a.add) sum += (double)hgemm_from_bf16(d->a.add[e]);
    if (d->a.clipped) sum = fmin((double)d->a.hi, fmax((double)d->a.lo, sum));
    return hgemm_to_bf16((float)sum);
}

static void compare(kc_ctx *kc, const draw *d)
{
    for (int64_t e = 0; e < d->g.n * lmn_conv_volume(d->g.out) * d->g.c_out; e++) {
        const uint16_t want = expected(d, e), got = d->a.y[e];
        if (got == want || (got << 1 == 0 && want << 1 == 0)) continue; /* zeros of either sign */
        const float g = hgemm_from_bf16(got), w = hgemm_from_bf16(want);
        if (isnan(g) && isnan(w)) continue;
        if (d->a.silu && fabsf(g - w) <= 0x1p-8f * fabsf(w) + 1e-3f) continue; /* f32 behind it */
        kc_fail(kc, "%s: element %d is %04x, not %04x", kc_conv_text(&d->g), (int)e, got, want);
        return;
    }
}

static void check_last(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_hgemm_row *row = (const lmn_hgemm_row *)(const void *)head;
    const int n_cases = !row->rows_f32 ? 0 : kc_quick(kc) ? 150 : 1500;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        draw d = {.g = some_geom(kc)};
        const lmn_conv_geom *g = &d.g;
        lmn_hlast_plan plan;
        make(kc, c % 10 == 0, c % 10 == 1, &d);
        if (c % 10 == 2) make_tiny(kc, &d);
        lmn_hlast_plan_make(row, g, d.a.add != NULL, &plan);
        const lmn_hlast_weights w = {d.w, g->c_out, g->c_in, lmn_conv_volume(g->kernel),
                                     g->kernel[2]};
        void *packed = kc_buffer(kc, (size_t)lmn_hlast_packed_elems(row, &w) * 2);
        KC_CALL(kc, lmn_hlast_prepack(row, &w, packed));
        d.a.w = packed;
        const size_t y_bytes = (size_t)(g->n * g->c_out * lmn_conv_volume(g->out)) * 2;
        d.a.y = kc_buffer(kc, y_bytes);
        lmn_hlast_args args = d.a;
        if (d.a.add && c % 2) { /* in its place */
            memcpy(d.a.y, d.a.add, y_bytes);
            args.add = d.a.y;
        }
        void *scratch = kc_buffer(kc, lmn_align_up(plan.scratch_bytes, 64));
        for (int64_t i = plan.n_chunks - 1; i >= 0; i--) {
            memset(scratch, 0xff, plan.scratch_bytes);
            KC_CALL(kc, lmn_hlast_chunk(&plan, &args, i, scratch));
        }
        compare(kc, &d);
    }
}

const kc_driver kc_hgemm_last = {"hgemm", "last", check_last, NULL};
