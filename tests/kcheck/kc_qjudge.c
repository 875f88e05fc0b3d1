/*
 * Convolutions in 8 bits for kcheck: what they are given, and their sums in 64 bits.
 */
#include "kcheck/kc_qconv.h"

#include "kernels/qgemm/qgemm_end.h"

void kc_qconv_draw(kc_ctx *kc, const lmn_conv_geom *g, bool last, lmn_qconv_args *a)
{
    const int64_t taps = g->c_in / g->groups * lmn_conv_volume(g->kernel);
    const int64_t most = last ? 1200 : 1000;
    memset(a, 0, sizeof *a);
    a->x = kc_bytes(kc, g->n * g->c_in * lmn_conv_volume(g->in));
    a->w = kc_bytes(kc, g->c_out * taps);
    a->x_signed = kc_int(kc, 0, 1), a->w_signed = kc_int(kc, 0, 1);
    const int32_t x_lo = a->x_signed ? -128 : 0, w_lo = a->w_signed ? -128 : 0;
    a->x_zp = x_lo + (int32_t)kc_int(kc, 0, 255), a->w_zp = w_lo + (int32_t)kc_int(kc, 0, 255);
    if (kc_int(kc, 0, 1)) a->w_zp = w_lo + 128;
    if (kc_int(kc, 0, last ? 3 : 2) == 0) a->w_zps = kc_ints(kc, g->c_out, w_lo, w_lo + 255);
    if (kc_int(kc, 0, 1)) a->bias = kc_ints(kc, g->c_out, -100000, 100000);
    a->requant = kc_int(kc, 0, 1);
    const float unit = last && kc_int(kc, 0, 2) == 0 ? 1e-3f : 1e-6f;
    a->mul = (float)kc_int(kc, 1, most) * unit;
    a->lo = kc_int(kc, 0, 1) ? -128 : 0, a->hi = a->lo + 255;
    a->zp = a->lo + (int32_t)kc_int(kc, 0, 255);
    if (kc_int(kc, 0, 1)) return;
    float *muls = kc_buffer(kc, (size_t)g->c_out * sizeof *muls);
    for (int64_t c = 0; c < g->c_out; c++) muls[c] = (float)kc_int(kc, 1, most) * unit;
    a->muls = muls;
}

static int64_t element(const uint8_t *p, int64_t i, bool is_signed)
{
    return is_signed ? (int8_t)p[i] : p[i];
}

static int32_t expected(const lmn_conv_geom *g, const lmn_qconv_args *a, bool last, int64_t image,
                        int64_t co, int64_t pixel)
{
    const int64_t c_in = g->c_in / g->groups, from = co / (g->c_out / g->groups) * c_in;
    const int64_t kvol = lmn_conv_volume(g->kernel), plane = lmn_conv_volume(g->in);
    const int64_t zw = a->w_zps ? a->w_zps[co] : a->w_zp;
    int64_t sum = a->bias ? a->bias[co] : 0;
    for (int64_t tap = 0; tap < kvol; tap++) {
        bool inside;
        const int64_t at = kc_conv_tap(g, pixel, tap, &inside);
        for (int64_t c = 0; inside && c < c_in; c++) {
            const int64_t x = last ? (image * plane + at) * g->c_in + from + c
                                   : (image * g->c_in + from + c) * plane + at;
            sum += (element(a->x, x, a->x_signed) - a->x_zp) *
                   (element(a->w, (co * c_in + c) * kvol + tap, a->w_signed) - zw);
        }
    }
    const int32_t v = (int32_t)(uint32_t)(uint64_t)sum;
    if (!a->requant) return v;
    return (uint8_t)lmn_requant(v, a->muls ? a->muls[co] : a->mul, a->zp, a->lo, a->hi);
}

void kc_qconv_compare(kc_ctx *kc, const lmn_conv_geom *g, const lmn_qconv_args *a, bool last)
{
    const int64_t pixels = lmn_conv_volume(g->out);
    const uint8_t *y = a->y;
    for (int64_t e = 0; e < g->n * g->c_out * pixels; e++) {
        const int64_t p = last ? e / g->c_out % pixels : e % pixels;
        const int64_t co = last ? e % g->c_out : e / pixels % g->c_out;
        const int32_t want = expected(g, a, last, e / g->c_out / pixels, co, p);
        int32_t got = y[e];
        if (!a->requant) memcpy(&got, y + 4 * e, 4);
        if (got == want) continue;
        kc_fail(kc, "%s signs %d%d: channel %d pixel %d is %d, not %d", kc_conv_text(g),
                a->x_signed, a->w_signed, (int)co, (int)p, got, want);
        return;
    }
}
