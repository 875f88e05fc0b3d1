/*
 * kcheck driver of the hgemm family under convolutions with the channels last: any geometry on
 * small integers, whose sums are exact, and residuals of any bits under sums of zero. Class exact.
 */
#include "kcheck/kcheck.h"

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
    for (int i = 0; i < 3; i++) {
        const bool one = pointwise || (i == 0 && flat);
        g.kernel[i] = one ? 1 : kc_int(kc, 1, i == 2 ? 7 : 3);
        g.stride[i] = one ? 1 : kc_int(kc, 1, 3);
        g.dilation[i] = one || kc_int(kc, 0, 2) ? 1 : 2;
        g.pad[i] = one ? 0 : kc_int(kc, 0, 4), g.pad_end[i] = one ? 0 : kc_int(kc, 0, 4);
        const int64_t reach = (g.kernel[i] - 1) * g.dilation[i] + 1;
        g.in[i] = i == 0 && flat ? 1 : kc_int(kc, 1, i == 0 ? 3 : deep ? 3 : 9);
        g.in[i] = lmn_max_i64(g.in[i], reach - g.pad[i] - g.pad_end[i]);
        g.out[i] = (g.in[i] + g.pad[i] + g.pad_end[i] - reach) / g.stride[i] + 1;
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

/* zero: nothing but the residual, of any bits. */
static void make(kc_ctx *kc, bool zero, draw *d)
{
    const lmn_conv_geom *g = &d->g;
    const int64_t n_y = g->n * g->c_out * lmn_conv_volume(g->out);
    d->a.x = halves_of(kc, g->n * g->c_in * lmn_conv_volume(g->in), zero ? 0 : 4);
    d->w = floats_of(kc, g->c_out * g->c_in * lmn_conv_volume(g->kernel), 4);
    if (zero || kc_int(kc, 0, 1)) d->a.add = halves_of(kc, n_y, 200);
    for (int64_t i = 0; zero && i < n_y; i++)
        ((uint16_t *)(uintptr_t)d->a.add)[i] = (uint16_t)kc_int(kc, 1, 0xffff);
    if (zero) return;
    if (kc_int(kc, 0, 1)) d->a.bias = floats_of(kc, g->c_out, 1000);
    d->a.clipped = kc_int(kc, 0, 1);
    d->a.lo = kc_int(kc, 0, 3) ? 0 : -INFINITY, d->a.hi = kc_int(kc, 0, 1) ? 60 : INFINITY;
}

static uint16_t expected(const draw *d, int64_t e)
{
    const lmn_conv_geom *g = &d->g;
    const int64_t kvol = lmn_conv_volume(g->kernel), pixels = lmn_conv_volume(g->out);
    const int64_t co = e % g->c_out, p = e / g->c_out % pixels, image = e / g->c_out / pixels;
    const int64_t o[3] = {p / (g->out[1] * g->out[2]), p / g->out[2] % g->out[1], p % g->out[2]};
    double sum = d->a.bias ? (double)d->a.bias[co] : 0;
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
            sum += (double)hgemm_from_bf16(d->a.x[at * g->c_in + c]) *
                   (double)d->w[(co * g->c_in + c) * kvol + tap];
    }
    if (d->a.add) sum += (double)hgemm_from_bf16(d->a.add[e]);
    if (d->a.clipped) sum = fmin((double)d->a.hi, fmax((double)d->a.lo, sum));
    return hgemm_to_bf16((float)sum);
}

static void compare(kc_ctx *kc, const draw *d, const char *what)
{
    for (int64_t e = 0; e < d->g.n * lmn_conv_volume(d->g.out) * d->g.c_out; e++) {
        const uint16_t want = expected(d, e), got = d->a.y[e];
        if (got == want || (got << 1 == 0 && want << 1 == 0)) continue; /* zeros of either sign */
        kc_fail(kc, "%s: element %d is %04x, not %04x", what, (int)e, got, want);
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
        make(kc, c % 10 == 0, &d);
        lmn_hlast_plan_make(row, g, d.a.add != NULL, &plan);
        const lmn_hlast_weights w = {d.w, g->c_out, g->c_in, lmn_conv_volume(g->kernel)};
        void *packed = kc_buffer(kc, (size_t)lmn_hlast_packed_elems(row, &w) * 2);
        KC_CALL(kc, lmn_hlast_prepack(row, &w, packed));
        d.a.w = packed;
        d.a.y = kc_buffer(kc, (size_t)(g->n * g->c_out * lmn_conv_volume(g->out)) * 2);
        void *scratch = kc_buffer(kc, lmn_align_up(plan.scratch_bytes, 64));
        for (int64_t i = plan.n_chunks - 1; i >= 0; i--) {
            memset(scratch, 0xff, plan.scratch_bytes);
            KC_CALL(kc, lmn_hlast_chunk(&plan, &d.a, i, scratch));
        }
        char what[128];
        snprintf(what, sizeof what, "in %dx%dx%d kernel %dx%dx%d stride %d,%d,%d channels %d to %d",
                 (int)g->in[0], (int)g->in[1], (int)g->in[2], (int)g->kernel[0], (int)g->kernel[1],
                 (int)g->kernel[2], (int)g->stride[0], (int)g->stride[1], (int)g->stride[2],
                 (int)g->c_in, (int)g->c_out);
        compare(kc, &d, what);
    }
}

const kc_driver kc_hgemm_last = {"hgemm", "last", check_last, NULL};
