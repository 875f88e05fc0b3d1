/*
 * bf16 dwlast row on AVX-512: 32 channels of a pixel are one load, of which a shift makes the even
 * ones and a mask the odd ones. Of 3 x 3 windows the weights of a block stay in registers for all
 * lines of the call.
 */
#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hgemm_bf16_avx512.h"

enum { BLOCK = LMN_DWLAST_BLOCK, DENORMAL = 0x20 };

/* A block of channels of an output: both halves. */
typedef struct both {
    vf even, odd;
} both;

/* What is the same for all lines of a block of channels. */
typedef struct lane {
    const lmn_dwlast_block *b;
    const float *w; /* of the block of channels */
    int64_t c, row; /* its first channel; elements of a line of input */
    both bias;
    __mmask32 in; /* channels that are there */
} lane;

VF_INLINE both tap(both sum, __m512i x, vf w_even, vf w_odd)
{
    const vf even = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
    const vf odd =
        _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int32_t)0xffff0000u)));
    return (both){vf_fma(w_even, even, sum.even), vf_fma(w_odd, odd, sum.odd)};
}

/* Bias, clip, rounding. The instruction that rounds makes denormals 0. */
VF_INLINE void leave(const lane *l, uint16_t *y, both v, const bool full)
{
    const vf lo = vf_set1(l->b->lo), hi = vf_set1(l->b->hi);
    v.even = vf_min(hi, vf_max(lo, vf_add(v.even, l->bias.even)));
    v.odd = vf_min(hi, vf_max(lo, vf_add(v.odd, l->bias.odd)));
    __m512i out;
    if (LMN_LIKELY(!(_mm512_fpclass_ps_mask(v.even, DENORMAL) |
                     _mm512_fpclass_ps_mask(v.odd, DENORMAL)))) {
        const __m512i lanes =
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i deal = _mm512_or_si512(
            lanes, _mm512_slli_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(VF_LANES)), 16));
        out = _mm512_permutexvar_epi16(deal, (__m512i)_mm512_cvtne2ps_pbh(v.odd, v.even));
    } else {
        out = _mm512_or_si512(bf16_round(v.even), _mm512_slli_epi32(bf16_round(v.odd), 16));
    }
    if (full)
        _mm512_storeu_si512(y, out);
    else
        _mm512_mask_storeu_epi16(y, l->in, out);
}

/* Any window: taps ky0 .. ky1 - 1 by those inside of the line. */
static void pixel_any(const lane *l, const uint16_t *x, int64_t oy, int64_t ox, uint16_t *y)
{
    const lmn_conv_geom *g = l->b->g;
    both sum = {vf_zero(), vf_zero()};
    for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
        const int64_t iy = lmn_conv_at(g, 1, oy, ky);
        if (iy < 0 || iy >= g->in[1]) continue;
        for (int64_t kx = 0; kx < g->kernel[2]; kx++) {
            const int64_t ix = lmn_conv_at(g, 2, ox, kx);
            if (ix < 0 || ix >= g->in[2]) continue;
            const float *w = l->w + (ky * g->kernel[2] + kx) * BLOCK;
            sum = tap(sum, _mm512_maskz_loadu_epi16(l->in, x + iy * l->row + ix * g->c_in),
                      vf_load(w), vf_load(w + VF_LANES));
        }
    }
    leave(l, y, sum, false);
}

/* Whole windows of 3 x 3, n of them; x is the first tap of the first. full: a whole block. */
VF_INLINE void pixels_3(const lane *l, const uint16_t *x, uint16_t *y, int64_t n, const vf w[18],
                        const bool full)
{
    const lmn_conv_geom *g = l->b->g;
    const int64_t c = g->c_in, row = l->row, step = g->stride[2] * c;
#define LOAD(p) (full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(l->in, p))
#define TAP(i) sum = tap(sum, LOAD(x + (i) / 3 * row + (i) % 3 * c), w[2 * (i)], w[2 * (i) + 1])
    for (int64_t i = 0; i < n; i++, x += step, y += c) {
        both sum = {vf_zero(), vf_zero()};
        TAP(0), TAP(1), TAP(2), TAP(3), TAP(4), TAP(5), TAP(6), TAP(7), TAP(8);
        leave(l, y, sum, full);
    }
}

VF_INLINE void run_lines(const lane *l, const bool square, const bool full)
{
    const lmn_conv_geom *g = l->b->g;
    const int64_t image = g->in[1] * l->row, s = g->stride[2];
    vf w[18];
#define WEIGHT(i) w[i] = square ? vf_load(l->w + (i)*VF_LANES) : vf_zero()
    WEIGHT(0), WEIGHT(1), WEIGHT(2), WEIGHT(3), WEIGHT(4), WEIGHT(5), WEIGHT(6), WEIGHT(7);
    WEIGHT(8), WEIGHT(9), WEIGHT(10), WEIGHT(11), WEIGHT(12), WEIGHT(13), WEIGHT(14);
    WEIGHT(15), WEIGHT(16), WEIGHT(17);
    /* Outputs from `first` to `end` - 1 have all taps of a line. */
    int64_t first, end, none;
    lmn_conv_inside(g, 0, g->out[2], 0, &first, &none);
    lmn_conv_inside(g, 0, g->out[2], g->kernel[2] - 1, &none, &end);
    end = lmn_max_i64(first, end);
    for (int64_t line = l->b->line; line < l->b->line + l->b->n_lines; line++) {
        const int64_t oy = line % g->out[1], iy = lmn_conv_at(g, 1, oy, 0);
        const uint16_t *x = l->b->x + line / g->out[1] * image + l->c;
        uint16_t *y = l->b->y + line * g->out[2] * g->c_in + l->c;
        const bool whole = square && iy >= 0 && iy + 2 < g->in[1] && first < end;
        const int64_t n = whole ? first : g->out[2];
        for (int64_t ox = 0; ox < n; ox++) pixel_any(l, x, oy, ox, y + ox * g->c_in);
        if (!whole) continue;
        pixels_3(l, x + iy * l->row + (first * s - g->pad[2]) * g->c_in, y + first * g->c_in,
                 end - first, w, full);
        for (int64_t ox = end; ox < g->out[2]; ox++) pixel_any(l, x, oy, ox, y + ox * g->c_in);
    }
}

/* Bias of n channels; none is -0, which adding does not see. */
static both bias_of(const float *bias, int64_t n)
{
    const vf none = vf_set1(-0.0f);
    if (!bias) return (both){none, none};
    const __m512i lanes =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const vf low = vf_loadm(bias, vm_first(n)),
             high = vf_loadm(bias + VF_LANES, vm_first(n - VF_LANES));
    return (both){_mm512_permutex2var_ps(low, lanes, high),
                  _mm512_permutex2var_ps(low, _mm512_add_epi32(lanes, _mm512_set1_epi32(1)), high)};
}

lmn_dwlast_fn lmn_dwlast_bf16_avx512bf16;

void lmn_dwlast_bf16_avx512bf16(const lmn_dwlast_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t taps = g->kernel[1] * g->kernel[2];
    const bool square =
        g->kernel[1] == 3 && g->kernel[2] == 3 && g->dilation[1] == 1 && g->dilation[2] == 1;
    for (int64_t c = 0; c < g->c_in; c += BLOCK) {
        const int64_t left = g->c_in - c;
        const lane l = {.b = b,
                        .w = b->w + c * taps,
                        .c = c,
                        .row = g->in[2] * g->c_in,
                        .bias = bias_of(b->bias ? b->bias + c : NULL, left),
                        .in = left >= BLOCK ? ~(__mmask32)0 : (__mmask32)((1u << left) - 1)};
        if (square && left >= BLOCK)
            run_lines(&l, true, true);
        else if (square)
            run_lines(&l, true, false);
        else
            run_lines(&l, false, false);
    }
}

/* ---- maxima ------------------------------------------------------------------------------------
 */

/* As integers with a sign that are in the order of the numbers, and back. */
VF_INLINE __m512i as_ordered(__m512i x)
{
    const __m512i low = _mm512_set1_epi16(0x7fff);
    return _mm512_xor_si512(x, _mm512_and_si512(_mm512_srai_epi16(x, 15), low));
}

/* The taps ky0 .. ky1 - 1 by kx0 .. kx1 - 1 of 32 channels; x is the first of the window. */
VF_INLINE __m512i window_max(const lmn_conv_geom *g, const uint16_t *x, __mmask32 in,
                             const int64_t ky[2], const int64_t kx[2])
{
    const int64_t down = g->dilation[1] * g->in[2] * g->c_in, along = g->dilation[2] * g->c_in;
    const __m512i size = _mm512_set1_epi16(0x7fff), inf = _mm512_set1_epi16(0x7f80);
    __m512i most = as_ordered(_mm512_set1_epi16((int16_t)0xff80)), largest = inf;
    for (int64_t y = ky[0]; y < ky[1]; y++)
        for (int64_t i = kx[0]; i < kx[1]; i++) {
            const __m512i v = _mm512_maskz_loadu_epi16(in, x + y * down + i * along);
            most = _mm512_max_epi16(most, as_ordered(v));
            largest = _mm512_max_epu16(largest, _mm512_and_si512(v, size));
        }
    const __mmask32 nan = _mm512_cmpneq_epi16_mask(largest, inf);
    return _mm512_mask_mov_epi16(as_ordered(most), nan, _mm512_set1_epi16(0x7fc0));
}

/* The taps of axis i that output o has inside of the input. */
static void taps_inside(const lmn_conv_geom *g, int i, int64_t o, int64_t k[2])
{
    k[0] = 0, k[1] = g->kernel[i];
    while (k[0] < k[1] && lmn_conv_at(g, i, o, k[0]) < 0) k[0]++;
    while (k[0] < k[1] && lmn_conv_at(g, i, o, k[1] - 1) >= g->in[i]) k[1]--;
}

lmn_dwlast_fn lmn_dwlast_bf16_max_avx512bf16;

void lmn_dwlast_bf16_max_avx512bf16(const lmn_dwlast_block *b)
{
    const lmn_conv_geom *g = b->g;
    for (int64_t line = b->line; line < b->line + b->n_lines; line++) {
        const int64_t oy = line % g->out[1], image = line / g->out[1] * g->in[1];
        int64_t ky[2], kx[2];
        taps_inside(g, 1, oy, ky);
        for (int64_t ox = 0; ox < g->out[2]; ox++) {
            taps_inside(g, 2, ox, kx);
            const int64_t at = (image + lmn_conv_at(g, 1, oy, 0)) * g->in[2];
            const int64_t from = (at + lmn_conv_at(g, 2, ox, 0)) * g->c_in;
            uint16_t *y = b->y + (line * g->out[2] + ox) * g->c_in;
            for (int64_t c = 0; c < g->c_in; c += BLOCK) {
                const int64_t left = g->c_in - c;
                const __mmask32 in = left >= BLOCK ? ~(__mmask32)0 : (__mmask32)((1u << left) - 1);
                const __m512i v = window_max(g, b->x + from + c, in, ky, kx);
                _mm512_mask_storeu_epi16(y + c, in, v);
            }
        }
    }
}
