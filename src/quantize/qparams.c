/*
 * Ranges, scales and rounding. Rounding is half to even, as QuantizeLinear rounds; the integer that
 * stands for 0.0 exists in every range, so padding and ReLU stay exact.
 */
#include "quantize/qparams.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define HALF (LMN_QRANGE_BINS / 2)

static float weight_at(const uint8_t *p, int64_t i)
{
    float v;
    memcpy(&v, p + (size_t)i * sizeof v, sizeof v);
    return v;
}

static double clamp(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* ---- activations ------------------------------------------------------------------------------
 */

static void double_span(lmn_qrange *r)
{
    uint64_t *zero = r->bins + HALF; /* the bin that begins at 0 */
    for (int64_t i = 0; i < HALF; i++) {
        const uint64_t up = i < HALF / 2 ? zero[2 * i] + zero[2 * i + 1] : 0;
        const uint64_t down = i < HALF / 2 ? zero[-1 - 2 * i] + zero[-2 - 2 * i] : 0;
        zero[i] = up;
        zero[-1 - i] = down;
    }
    r->span *= 2;
}

static void count(lmn_qrange *r, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        const double at = r->span > 0 ? floor((double)x[i] / r->span * HALF) : 0.0;
        r->bins[(int64_t)clamp(at, -HALF, HALF - 1) + HALF]++;
    }
}

void lmn_qrange_add(lmn_qrange *r, const float *x, int64_t n)
{
    float lo = FLT_MAX, hi = -FLT_MAX;
    uint64_t seen = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        seen++;
    }
    if (!seen) return;
    r->lo = r->n && r->lo < lo ? r->lo : lo;
    r->hi = r->n && r->hi > hi ? r->hi : hi;
    r->n += seen;
    if (!r->bins) return;
    const double most = fmax(fabs((double)lo), fabs((double)hi));
    if (r->span == 0 && most > 0) {
        int e;
        (void)frexp(most, &e);
        r->span = ldexp(1.0, e); /* the zeros seen so far are in their bin */
    }
    while (r->span < most) double_span(r);
    count(r, x, n);
}

void lmn_qrange_cut(const lmn_qrange *r, double percentile, float *lo, float *hi)
{
    *lo = r->n ? r->lo : 0.0F;
    *hi = r->n ? r->hi : 0.0F;
    if (!r->bins || r->span == 0) return;
    const double tail = (100.0 - percentile) / 200.0 * (double)r->n, width = r->span / HALF;
    double below = 0, above = 0;
    int64_t first = 0, last = LMN_QRANGE_BINS - 1;
    while (first < last && (below += (double)r->bins[first]) <= tail) first++;
    while (last > first && (above += (double)r->bins[last]) <= tail) last--;
    const double a = (double)(first - HALF) * width, b = (double)(last + 1 - HALF) * width;
    *lo = (float)clamp(a, r->lo, r->hi);
    *hi = (float)clamp(b, r->lo, r->hi);
}

lmn_qscale lmn_qscale_of(float lo, float hi, bool i8)
{
    const double least = i8 ? -128 : 0;
    const double a = lo < 0 ? lo : 0, b = hi > 0 ? hi : 0;
    const float scale = (float)((b - a) / 255.0);
    if (!(scale >= FLT_MIN)) return (lmn_qscale){1.0F, (int32_t)least}; /* all 0, or as good as */
    return (lmn_qscale){scale, (int32_t)clamp(rint(least - a / (double)scale), least, least + 255)};
}

/* ---- weights ----------------------------------------------------------------------------------
 */

static float channel_scale(const lmn_qweights *w, int64_t c)
{
    double most = 0;
    for (int64_t o = 0; o < w->outer; o++)
        for (int64_t i = 0; i < w->inner; i++) {
            const double v = fabs((double)weight_at(w->p, (o * w->chans + c) * w->inner + i));
            most = v > most ? v : most;
        }
    double s = most * fabs((double)w->mul) / 127.0;
    if (w->floor && w->floor[c] > s) s = w->floor[c];
    return s >= FLT_MIN && s <= FLT_MAX ? (float)s : 1.0F;
}

void lmn_qweights_i8(const lmn_qweights *w, int8_t *q, float *scale, lmn_qloss *loss)
{
    for (int64_t c = 0; c < w->chans; c++) {
        scale[c] = channel_scale(w, c);
        for (int64_t o = 0; o < w->outer; o++)
            for (int64_t i = 0; i < w->inner; i++) {
                const int64_t at = (o * w->chans + c) * w->inner + i;
                const double v = (double)weight_at(w->p, at) * (double)w->mul;
                const double r = isnan(v) ? 0 : clamp(rint(v / (double)scale[c]), -127, 127);
                const double e = r * (double)scale[c] - v;
                q[at] = (int8_t)r;
                loss->err2 += e * e;
                loss->ref2 += v * v;
            }
    }
}

typedef struct grid {
    float scale;
    int32_t zero;
} grid;

/* With a zero point: 15 steps over the range with 0 in it. Without: the value farthest from 0 is
   -8 steps, so that the range is used to its longer end. */
static grid block_grid(const lmn_qmatrix *w, int64_t first, int64_t end, int64_t col, bool zeros)
{
    double lo = 0, hi = 0;
    for (int64_t k = first; k < end; k++) {
        const double v =
            (double)weight_at(w->p, k * w->k_stride + col * w->n_stride) * (double)w->mul;
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
    }
    const float scale = (float)(zeros ? (hi - lo) / 15.0 : (-lo > hi ? lo : hi) / -8.0);
    if (!(fabsf(scale) >= FLT_MIN)) return (grid){1.0F, 8};
    return (grid){scale, zeros ? (int32_t)clamp(rint(-lo / (double)scale), 0, 15) : 8};
}

void lmn_qweights_i4(const lmn_qmatrix *w, int64_t block, uint8_t *q, float *scale, uint8_t *zero,
                     lmn_qloss *loss)
{
    const int64_t blocks = lmn_qblocks(w->k, block), zero_row = (blocks + 1) / 2;
    if (zero) memset(zero, 0, (size_t)(w->n * zero_row));
    for (int64_t c = 0; c < w->n; c++)
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t first = b * block, end = lmn_min_i64(first + block, w->k);
            const grid g = block_grid(w, first, end, c, zero != NULL);
            uint8_t *row = q + (c * blocks + b) * (block / 2);
            memset(row, g.zero | g.zero << 4, (size_t)(block / 2));
            scale[c * blocks + b] = g.scale;
            if (zero) zero[c * zero_row + b / 2] |= (uint8_t)(g.zero << (b & 1) * 4);
            for (int64_t k = first; k < end; k++) {
                const int64_t at = (k - first) / 2, shift = ((k - first) & 1) * 4;
                const double v =
                    (double)weight_at(w->p, k * w->k_stride + c * w->n_stride) * (double)w->mul;
                const double r =
                    isnan(v) ? g.zero : clamp(rint(v / (double)g.scale) + g.zero, 0, 15);
                const double e = (r - g.zero) * (double)g.scale - v;
                row[at] = (uint8_t)((row[at] & ~(15 << shift)) | (int)r << shift);
                loss->err2 += e * e;
                loss->ref2 += v * v;
            }
        }
}

int32_t lmn_qbias(double b, double scale)
{
    const double r = rint(b / scale);
    return isnan(r) ? 0 : (int32_t)clamp(r, INT32_MIN, INT32_MAX);
}
