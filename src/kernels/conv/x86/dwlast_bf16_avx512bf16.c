/*
 * bf16 dwlast row on vdpbf16ps. Of 3 x 3 windows two taps are one step, for words of two rows
 * interleave into pairs; a column of pixels meets all windows that it is in at once. Of other
 * windows 32 channels are one load, of which a shift makes the even ones and a mask the odd ones.
 */
#include "kernels/conv/dwlast_words.h"

enum { DENORMAL = 0x20 };

/* What is the same for all lines of a block of channels. */
typedef struct lane {
    const lmn_dwlast_block *b;
    const float *w; /* of the block of channels */
    int64_t c, row; /* its first channel; elements of a line of input */
    both bias;
    __m512i deal; /* where the words of `both` stand in order */
    __mmask32 in; /* channels that are there */
} lane;

/* The first n of a block. */
VF_INLINE __mmask32 block_mask(int64_t n)
{
    return n >= BLOCK ? ~(__mmask32)0 : n <= 0 ? 0 : (__mmask32)((1u << n) - 1);
}

VF_INLINE both tap(both sum, __m512i words, vf w_even, vf w_odd)
{
    const both x = widen(words);
    return (both){vf_fma(w_even, x.low, sum.low), vf_fma(w_odd, x.high, sum.high)};
}

/* Clip, rounding. The instruction that rounds makes denormals 0. */
VF_INLINE void leave(const lane *l, uint16_t *y, both v, const bool full)
{
    const vf lo = vf_set1(l->b->lo), hi = vf_set1(l->b->hi);
    v.low = vf_min(hi, vf_max(lo, v.low));
    v.high = vf_min(hi, vf_max(lo, v.high));
    __m512i out;
    if (LMN_LIKELY(
            !(_mm512_fpclass_ps_mask(v.low, DENORMAL) | _mm512_fpclass_ps_mask(v.high, DENORMAL))))
        out = (__m512i)_mm512_cvtne2ps_pbh(v.high, v.low);
    else
        out = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(bf16_round(v.low))),
                                 _mm512_cvtepi32_epi16(bf16_round(v.high)), 1);
    out = _mm512_permutexvar_epi16(l->deal, out);
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
    sum.low = vf_add(sum.low, l->bias.low), sum.high = vf_add(sum.high, l->bias.high);
    leave(l, y, sum, false);
}

static void lines_any(const lane *l)
{
    const lmn_conv_geom *g = l->b->g;
    for (int64_t line = l->b->line; line < l->b->line + l->b->n_lines; line++) {
        const uint16_t *x = l->b->x + line / g->out[1] * g->in[1] * l->row + l->c;
        uint16_t *y = l->b->y + line * g->out[2] * g->c_in + l->c;
        for (int64_t ox = 0; ox < g->out[2]; ox++)
            pixel_any(l, x, line % g->out[1], ox, y + ox * g->c_in);
    }
}

/* ---- 3 x 3 -------------------------------------------------------------------------------------
 */

enum { PAIRS = 4 }; /* words of a column: those of two rows in pairs, the third beside 0 */

/* The rows under a line of outputs, at pixel 0; `in` is 0 of what is not there. */
typedef struct three {
    const uint16_t *x[SIDE];
    __mmask32 in[SIDE];
} three;

VF_INLINE void pair_up(__m512i x0, __m512i x1, __m512i x2, __m512i out[PAIRS])
{
    const __m512i none = _mm512_setzero_si512();
    out[0] = _mm512_unpacklo_epi16(x0, x1), out[1] = _mm512_unpackhi_epi16(x0, x1);
    out[2] = _mm512_unpacklo_epi16(x2, none), out[3] = _mm512_unpackhi_epi16(x2, none);
}

VF_INLINE void bring(const three *r, int64_t at, __m512i out[PAIRS], const bool full)
{
#define BRING(i) \
    (full ? _mm512_loadu_si512(r->x[i] + at) : _mm512_maskz_loadu_epi16(r->in[i], r->x[i] + at))
    pair_up(BRING(0), BRING(1), BRING(2), out);
}

VF_INLINE both meet(both sum, const __m512i x[PAIRS], const __m512i w[PAIRS])
{
#define MEET(sum, i) _mm512_dpbf16_ps(sum, (__m512bh)x[i], (__m512bh)w[i])
    sum.low = MEET(sum.low, 0), sum.high = MEET(sum.high, 1);
    sum.low = MEET(sum.low, 2), sum.high = MEET(sum.high, 3);
    return sum;
}

/* Weights by columns of the window; taps of rows that are not there count as 0. */
typedef struct square {
    __m512i w[SIDE][PAIRS];
} square;

static square square_of(const lane *l)
{
    square s;
    __m512i words[SIDE];
    for (int kx = 0; kx < SIDE; kx++) {
        for (int ky = 0; ky < SIDE; ky++) {
            const float *w = l->w + (ky * SIDE + kx) * BLOCK;
            words[ky] = _mm512_or_si512(_mm512_srli_epi32(_mm512_loadu_si512(w), 16),
                                        _mm512_loadu_si512(w + VF_LANES));
        }
        pair_up(words[0], words[1], words[2], s.w[kx]);
    }
    return s;
}

VF_INLINE square those_in(const square *s, const three *r)
{
    square out;
    const __m512i two = _mm512_set1_epi32((r->in[0] ? 0xffff : 0) | (r->in[1] ? ~0xffff : 0));
    const __m512i one = _mm512_set1_epi32(r->in[2] ? ~0 : 0);
#define THOSE(kx)                                      \
    out.w[kx][0] = _mm512_and_si512(s->w[kx][0], two); \
    out.w[kx][1] = _mm512_and_si512(s->w[kx][1], two); \
    out.w[kx][2] = _mm512_and_si512(s->w[kx][2], one); \
    out.w[kx][3] = _mm512_and_si512(s->w[kx][3], one);
    THOSE(0) THOSE(1) THOSE(2) return out;
}

/* A line of outputs, one column of input after the other. */
VF_INLINE void line_1(const lane *l, const square *all, const three *r, uint16_t *y,
                      const bool full)
{
    const lmn_conv_geom *g = l->b->g;
    const square s = those_in(all, r);
    both oldest = l->bias, older = l->bias;
    int64_t ix = -g->pad[2];
    for (int64_t i = 0; i < g->out[2] + SIDE - 1; i++, ix++) {
        both fresh = l->bias;
        if (ix >= 0 && ix < g->in[2]) {
            __m512i x[PAIRS];
            bring(r, ix * g->c_in, x, full);
            oldest = meet(oldest, x, s.w[2]), older = meet(older, x, s.w[1]);
            fresh = meet(fresh, x, s.w[0]);
        }
        if (i >= SIDE - 1) leave(l, y + (i - SIDE + 1) * g->c_in, oldest, full);
        oldest = older, older = fresh;
    }
}

/* The same at a stride of two, where every other column is in two windows. */
VF_INLINE void line_2(const lane *l, const square *all, const three *r, uint16_t *y,
                      const bool full)
{
    const lmn_conv_geom *g = l->b->g;
    const square s = those_in(all, r);
    both sum = l->bias;
    __m512i x[PAIRS];
    int64_t ix = -g->pad[2];
    if (ix >= 0 && ix < g->in[2]) {
        bring(r, ix * g->c_in, x, full);
        sum = meet(sum, x, s.w[0]);
    }
    for (int64_t i = 0; i < g->out[2]; i++, y += g->c_in) {
        both fresh = l->bias;
        if (++ix >= 0 && ix < g->in[2]) {
            bring(r, ix * g->c_in, x, full);
            sum = meet(sum, x, s.w[1]);
        }
        if (++ix >= 0 && ix < g->in[2]) {
            bring(r, ix * g->c_in, x, full);
            sum = meet(sum, x, s.w[2]), fresh = meet(fresh, x, s.w[0]);
        }
        leave(l, y, sum, full);
        sum = fresh;
    }
}

#define LINE(stride, name, full)                                                              \
    static __attribute__((noinline)) void line_##stride##name(const lane *l, const square *s, \
                                                              const three *r, uint16_t *y)    \
    {                                                                                         \
        line_##stride(l, s, r, y, full);                                                      \
    }
LINE(1, _full, true)
LINE(1, _part, false)
LINE(2, _full, true)
LINE(2, _part, false)

static void lines_3(const lane *l)
{
    const lmn_conv_geom *g = l->b->g;
    const square s = square_of(l);
    for (int64_t line = l->b->line; line < l->b->line + l->b->n_lines; line++) {
        const uint16_t *x = l->b->x + line / g->out[1] * g->in[1] * l->row + l->c;
        uint16_t *y = l->b->y + line * g->out[2] * g->c_in + l->c;
        three r;
        bool whole = l->in == ~(__mmask32)0;
        for (int i = 0; i < SIDE; i++) {
            const int64_t iy = lmn_conv_at(g, 1, line % g->out[1], i);
            const bool there = iy >= 0 && iy < g->in[1];
            r.x[i] = x + (there ? iy : 0) * l->row, r.in[i] = there ? l->in : 0;
            whole = whole && there;
        }
        if (g->stride[2] == 1)
            (whole ? line_1_full : line_1_part)(l, &s, &r, y);
        else
            (whole ? line_2_full : line_2_part)(l, &s, &r, y);
    }
}

lmn_dwlast_fn lmn_dwlast_bf16_avx512bf16;

void lmn_dwlast_bf16_avx512bf16(const lmn_dwlast_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t taps = g->kernel[1] * g->kernel[2];
    const bool square = is_square(g);
    for (int64_t c = 0; c < g->c_in; c += BLOCK) {
        const int64_t left = g->c_in - c;
        const lane l = {.b = b,
                        .w = b->w + c * taps,
                        .c = c,
                        .row = g->in[2] * g->c_in,
                        .bias = bias_of(b->bias ? b->bias + c : NULL, left, square),
                        .deal = deal_of(square),
                        .in = block_mask(left)};
        if (square)
            lines_3(&l);
        else
            lines_any(&l);
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
                const __mmask32 in = block_mask(g->c_in - c);
                const __m512i v = window_max(g, b->x + from + c, in, ky, kx);
                _mm512_mask_storeu_epi16(y + c, in, v);
            }
        }
    }
}

/* ---- planes to pixels --------------------------------------------------------------------------
 */

/* 32 pixels of a plane, of which `in` are there. */
VF_INLINE __m512i narrow_32(const float *x, __mmask32 in)
{
    const vf low = vf_loadm(x, (vm)in), high = vf_loadm(x + VF_LANES, (vm)(in >> VF_LANES));
    if (LMN_LIKELY(
            !(_mm512_fpclass_ps_mask(low, DENORMAL) | _mm512_fpclass_ps_mask(high, DENORMAL))))
        return (__m512i)_mm512_cvtne2ps_pbh(high, low);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(bf16_round(low))),
                              _mm512_cvtepi32_epi16(bf16_round(high)), 1);
}

/* Where the words of three vectors of 32 pixels stand that are the block of three `v`: in the first
   two, and in those and the third. */
static void thirds_of(int v, __m512i at[2])
{
    uint16_t words[2][BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        const int pixel = (v * BLOCK + i) / 3, c = (v * BLOCK + i) % 3;
        words[0][i] = (uint16_t)(c == 1 ? BLOCK + pixel : pixel);
        words[1][i] = (uint16_t)(c == 2 ? BLOCK + pixel : i);
    }
    at[0] = _mm512_loadu_si512(words[0]), at[1] = _mm512_loadu_si512(words[1]);
}

static void planes_of_three(const lmn_dwlast_planes *p)
{
    __m512i at[3][2];
    for (int v = 0; v < 3; v++) thirds_of(v, at[v]);
    for (int64_t i = 0; i < p->n_pixels; i += BLOCK) {
        const __mmask32 in = block_mask(p->n_pixels - i);
        const float *x = p->x + i;
        const __m512i r = narrow_32(x, in), g = narrow_32(x + p->plane, in),
                      b = narrow_32(x + 2 * p->plane, in);
        for (int v = 0; v < 3; v++) {
            const __m512i two = _mm512_permutex2var_epi16(r, at[v][0], g);
            _mm512_mask_storeu_epi16(p->y + 3 * i + v * BLOCK,
                                     block_mask(3 * (p->n_pixels - i) - v * BLOCK),
                                     _mm512_permutex2var_epi16(two, at[v][1], b));
        }
    }
}

lmn_dwlast_planes_fn lmn_dwlast_bf16_planes_avx512bf16;

void lmn_dwlast_bf16_planes_avx512bf16(const lmn_dwlast_planes *p)
{
    if (p->channels == 3) {
        planes_of_three(p);
        return;
    }
    uint16_t words[BLOCK];
    for (int64_t i = 0; i < p->n_pixels; i += BLOCK) {
        const int64_t n = lmn_min_i64(BLOCK, p->n_pixels - i);
        for (int64_t c = 0; c < p->channels; c++) {
            uint16_t *y = p->y + i * p->channels + c;
            _mm512_storeu_si512(words, narrow_32(p->x + c * p->plane + i, block_mask(n)));
            for (int64_t k = 0; k < n; k++) y[k * p->channels] = words[k];
        }
    }
}

/* ---- the mean ----------------------------------------------------------------------------------
 */

lmn_dwlast_mean_fn lmn_dwlast_bf16_mean_avx512bf16;

void lmn_dwlast_bf16_mean_avx512bf16(const lmn_dwlast_mean *m)
{
    const __m512i lanes = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i above = _mm512_add_epi32(lanes, _mm512_set1_epi32(8));
    const vf one = vf_set1(1.0f), n = vf_set1((float)m->n_pixels);
    for (int64_t c = 0; c < m->channels; c += BLOCK) {
        const int64_t left = m->channels - c;
        both sum = {vf_zero(), vf_zero()};
        for (int64_t i = 0; i < m->n_pixels; i++)
            sum = tap(sum, _mm512_maskz_loadu_epi16(block_mask(left), m->x + i * m->channels + c),
                      one, one);
        const vf low = vf_div(sum.low, n), high = vf_div(sum.high, n);
        vf_storem(m->y + c, vm_first(left), _mm512_permutex2var_ps(low, lanes, high));
        vf_storem(m->y + c + VF_LANES, vm_first(left - VF_LANES),
                  _mm512_permutex2var_ps(low, above, high));
    }
}
