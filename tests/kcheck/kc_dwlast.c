/*
 * kcheck driver of the dwlast family: any window, stride and dilation on small integers, whose sums
 * are exact, by weights that round to such, some pixels infinite or NaN; signed zeros, denormals
 * and NaN behind a window of one; maxima of any bits. Class exact.
 */
#include "kcheck/kcheck.h"

#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hgemm_half.h"

#include <math.h>

static lmn_conv_geom some_geom(kc_ctx *kc)
{
    lmn_conv_geom g = {.n = kc_int(kc, 1, 2)};
    const bool square = kc_int(kc, 0, 2) > 0;
    g.c_in = g.c_out = g.groups = lmn_max_i64(1, kc_extent(kc, 32, 100));
    for (int i = 0; i < 3; i++) {
        g.kernel[i] = i == 0 ? 1 : square ? 3 : kc_int(kc, 1, 5);
        g.stride[i] = i == 0 ? 1 : kc_int(kc, 1, 2);
        g.dilation[i] = i == 0 || kc_int(kc, 0, 3) ? 1 : 2;
        g.pad[i] = i == 0 ? 0 : kc_int(kc, 0, 3), g.pad_end[i] = i == 0 ? 0 : kc_int(kc, 0, 3);
        const int64_t reach = (g.kernel[i] - 1) * g.dilation[i] + 1;
        g.in[i] = i == 0 ? 1 : kc_int(kc, 0, 12);
        g.in[i] = lmn_max_i64(g.in[i], reach - g.pad[i] - g.pad_end[i]);
        g.out[i] = (g.in[i] + g.pad[i] + g.pad_end[i] - reach) / g.stride[i] + 1;
    }
    return g;
}

static float *floats_of(kc_ctx *kc, int64_t n, int64_t most)
{
    float *p = kc_buffer(kc, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = (float)kc_int(kc, -most, most);
    return p;
}

/* A small integer, seldom an infinity or NaN. */
static uint16_t some_pixel(kc_ctx *kc)
{
    static const uint16_t odd[3] = {0x7f80, 0xff80, 0x7fc1};
    if (kc_int(kc, 0, 60) == 0) return odd[kc_int(kc, 0, 2)];
    return hgemm_to_bf16((float)kc_int(kc, -9, 9));
}

static uint16_t expected(const lmn_dwlast_block *b, const float *w, int64_t e)
{
    const lmn_conv_geom *g = b->g;
    const int64_t c = e % g->c_in, ox = e / g->c_in % g->out[2], line = e / g->c_in / g->out[2];
    const int64_t taps = g->kernel[1] * g->kernel[2];
    double sum = 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t iy = lmn_conv_at(g, 1, line % g->out[1], t / g->kernel[2]);
        const int64_t ix = lmn_conv_at(g, 2, ox, t % g->kernel[2]);
        if (iy < 0 || iy >= g->in[1] || ix < 0 || ix >= g->in[2]) continue;
        const int64_t at = ((line / g->out[1] * g->in[1] + iy) * g->in[2] + ix) * g->c_in + c;
        const float by = hgemm_from_bf16(hgemm_to_bf16(w[c * taps + t]));
        sum += (double)by * (double)hgemm_from_bf16(b->x[at]);
    }
    if (b->bias) sum += (double)b->bias[c];
    if (!isnan(sum)) sum = fmin((double)b->hi, fmax((double)b->lo, sum));
    return hgemm_to_bf16((float)sum);
}

/* Zeros of either sign are one value, and so are NaN. */
static bool same(uint16_t a, uint16_t b)
{
    const bool nan_a = (a & 0x7fff) > 0x7f80, nan_b = (b & 0x7fff) > 0x7f80;
    return a == b || (((a | b) & 0x7fff) == 0) || (nan_a && nan_b);
}

static void check_run(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dwlast_row *row = (const lmn_dwlast_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 200 : 2000;
    for (int i = 0; i < n_cases; i++) {
        kc_case(kc);
        const bool any = i % 8 == 0; /* any bits, clipped nowhere: ones alone touch them */
        lmn_conv_geom g = some_geom(kc);
        if (any) g.kernel[1] = g.kernel[2] = 1, g.out[1] = 1, g.out[2] = 1;
        const int64_t taps = g.kernel[1] * g.kernel[2];
        const int64_t n_x = g.n * g.in[1] * g.in[2] * g.c_in;
        const int64_t n_y = g.n * g.out[1] * g.out[2] * g.c_in;
        uint16_t *x = kc_buffer(kc, (size_t)n_x * 2);
        for (int64_t e = 0; e < n_x; e++)
            x[e] = any ? (uint16_t)kc_int(kc, 0, 0xffff) : some_pixel(kc);
        float *w = floats_of(kc, g.c_in * taps, 20);
        for (int64_t e = 0; e < g.c_in * taps; e++) w[e] = any ? 1.0f : w[e] * 1.001f;
        float *packed =
            kc_buffer(kc, (size_t)lmn_dwlast_packed_elems(g.c_in, taps) * sizeof *packed);
        KC_CALL(kc, lmn_dwlast_prepack(w, g.c_in, taps, packed));
        lmn_dwlast_block b = {.g = &g, .x = x, .w = packed, .lo = -INFINITY, .hi = INFINITY};
        if (!any && kc_int(kc, 0, 1)) b.bias = floats_of(kc, g.c_in, 300);
        if (!any && kc_int(kc, 0, 1)) b.lo = 0, b.hi = 200;
        b.y = kc_buffer(kc, (size_t)n_y * 2);
        const int64_t lines = g.n * g.out[1], cut = kc_int(kc, 0, lines);
        b.line = cut, b.n_lines = lines - cut;
        KC_CALL(kc, row->run(&b));
        b.line = 0, b.n_lines = cut;
        KC_CALL(kc, row->run(&b));
        for (int64_t e = 0; e < n_y; e++) {
            const uint16_t want = expected(&b, w, e);
            if (same(b.y[e], want)) continue;
            kc_fail(kc, "in %dx%d kernel %dx%d channels %d: element %d is %04x, not %04x",
                    (int)g.in[1], (int)g.in[2], (int)g.kernel[1], (int)g.kernel[2], (int)g.c_in,
                    (int)e, b.y[e], want);
            break;
        }
    }
}

static uint16_t expected_max(const lmn_dwlast_block *b, int64_t e)
{
    const lmn_conv_geom *g = b->g;
    const int64_t c = e % g->c_in, ox = e / g->c_in % g->out[2], line = e / g->c_in / g->out[2];
    uint16_t most = 0xff80;
    for (int64_t t = 0; t < g->kernel[1] * g->kernel[2]; t++) {
        const int64_t iy = lmn_conv_at(g, 1, line % g->out[1], t / g->kernel[2]);
        const int64_t ix = lmn_conv_at(g, 2, ox, t % g->kernel[2]);
        if (iy < 0 || iy >= g->in[1] || ix < 0 || ix >= g->in[2]) continue;
        const int64_t at = ((line / g->out[1] * g->in[1] + iy) * g->in[2] + ix) * g->c_in + c;
        if (isnan(hgemm_from_bf16(b->x[at]))) return b->x[at];
        if (hgemm_from_bf16(b->x[at]) > hgemm_from_bf16(most)) most = b->x[at];
    }
    return most;
}

static void check_max(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dwlast_row *row = (const lmn_dwlast_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 200 : 2000;
    for (int i = 0; i < n_cases; i++) {
        kc_case(kc);
        lmn_conv_geom g = some_geom(kc);
        const int64_t n_x = g.n * g.in[1] * g.in[2] * g.c_in;
        const int64_t n_y = g.n * g.out[1] * g.out[2] * g.c_in;
        uint16_t *x = kc_buffer(kc, (size_t)n_x * 2);
        for (int64_t e = 0; e < n_x; e++) /* any bits, or no NaN */
            x[e] = (uint16_t)kc_int(kc, 0, 0xffff) & (i % 2 ? 0xffff : 0xbfff);
        lmn_dwlast_block b = {.g = &g, .x = x};
        b.y = kc_buffer(kc, (size_t)n_y * 2);
        const int64_t lines = g.n * g.out[1], cut = kc_int(kc, 0, lines);
        b.line = cut, b.n_lines = lines - cut;
        KC_CALL(kc, row->max(&b));
        b.line = 0, b.n_lines = cut;
        KC_CALL(kc, row->max(&b));
        for (int64_t e = 0; e < n_y; e++) {
            const uint16_t want = expected_max(&b, e);
            if (same(b.y[e], want)) continue;
            kc_fail(kc, "in %dx%d kernel %dx%d channels %d: maximum %d is %04x, not %04x",
                    (int)g.in[1], (int)g.in[2], (int)g.kernel[1], (int)g.kernel[2], (int)g.c_in,
                    (int)e, b.y[e], want);
            break;
        }
    }
}

/* Any bits, planes apart; two cuts of the pixels. */
static void check_planes(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dwlast_row *row = (const lmn_dwlast_row *)(const void *)head;
    for (int i = 0; i < (kc_quick(kc) ? 200 : 2000); i++) {
        kc_case(kc);
        const int64_t n = kc_extent(kc, 32, 150), c = kc_int(kc, 0, 1) ? 3 : kc_int(kc, 1, 9);
        const int64_t plane = n + kc_int(kc, 0, 5), cut = kc_int(kc, 0, (int)n);
        const int64_t n_x = n ? (c - 1) * plane + n : 0;
        float *from = kc_buffer(kc, (size_t)n_x * sizeof *from);
        for (int64_t e = 0; e < n_x; e++) { /* any bits, or a tie or its neighbour */
            const uint32_t u = (uint32_t)kc_int(kc, 0, UINT32_MAX);
            const uint32_t tie = ((u & 0xffff0000u) | 0x8000u) + (uint32_t)kc_int(kc, 0, 2) - 1;
            from[e] = hgemm_float(e % 2 ? u : tie);
            if (i % 2 && fabsf(from[e]) < 0x1p-126f) from[e] = 1; /* all by the instruction */
        }
        uint16_t *y = kc_buffer(kc, (size_t)(n * c) * 2);
        KC_CALL(kc, row->planes(&(lmn_dwlast_planes){from, plane, cut, c, y}));
        KC_CALL(kc, row->planes(&(lmn_dwlast_planes){from + cut, plane, n - cut, c, y + cut * c}));
        for (int64_t e = 0; e < n * c; e++) {
            const uint16_t want = hgemm_to_bf16(from[e % c * plane + e / c]);
            if (same(y[e], want)) continue;
            kc_fail(kc, "%d pixels of %d channels: element %d is %04x, not %04x", (int)n, (int)c,
                    (int)e, y[e], want);
            break;
        }
    }
}

static void check_mean(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_dwlast_row *row = (const lmn_dwlast_row *)(const void *)head;
    for (int i = 0; i < (kc_quick(kc) ? 100 : 1000); i++) {
        kc_case(kc);
        const int64_t n = kc_int(kc, 1, 60), c = kc_extent(kc, 32, 100);
        uint16_t *x = kc_buffer(kc, (size_t)(n * c) * 2);
        float *y = kc_buffer(kc, (size_t)c * sizeof *y);
        for (int64_t e = 0; e < n * c; e++) x[e] = some_pixel(kc);
        KC_CALL(kc, row->mean(&(lmn_dwlast_mean){x, n, c, y}));
        for (int64_t e = 0; e < c; e++) {
            double sum = 0;
            for (int64_t p = 0; p < n; p++) sum += (double)hgemm_from_bf16(x[p * c + e]);
            const float want = (float)(sum / (double)n);
            if (y[e] == want || (isnan(y[e]) && isnan(want))) continue;
            kc_fail(kc, "mean of %d pixels, channel %d of %d: %a, not %a", (int)n, (int)e, (int)c,
                    (double)y[e], (double)want);
            break;
        }
    }
}

const kc_driver kc_dwlast_planes = {"dwlast", "planes", check_planes, NULL};
const kc_driver kc_dwlast_mean = {"dwlast", "mean", check_mean, NULL};
const kc_driver kc_dwlast_max = {"dwlast", "max", check_max, NULL};
const kc_driver kc_dwlast_run = {"dwlast", "run", check_run, NULL};
