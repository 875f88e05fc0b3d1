/*
 * bf16 dwlast row of CPUs with AMX, on which vdpbf16ps takes as long as four products of f32: 3 x 3
 * windows in f32, the even channels by a shift and the odd ones by a mask. A column of pixels meets
 * all windows that it is in at once. Others are those of the row on vdpbf16ps.
 */
#include "kernels/conv/dwlast_words.h"

enum { TAPS = SIDE * SIDE };

/* The rows under a line of outputs at pixel 0, and elements from pixel to pixel: none of a row of
   zeros, that stands for what is not there. */
typedef struct three {
    const uint16_t *x[SIDE];
    int64_t step[SIDE];
} three;

/* What is the same for all lines of a block of channels. */
typedef struct lane {
    const lmn_dwlast_block *b;
    both w[SIDE][SIDE]; /* [kx][ky] */
    both bias;
    vf lo, hi;
    __m512i deal; /* where the words of `both` stand in order */
    __mmask16 in; /* pairs of channels that are there */
} lane;

/* full: are all channels of the block there; a constant at every call, as below. */
VF_INLINE void leave(const lane *l, uint16_t *y, both v, const bool full)
{
    v.low = vf_min(l->hi, vf_max(l->lo, v.low));
    v.high = vf_min(l->hi, vf_max(l->lo, v.high));
    const __m512i out = (__m512i)_mm512_cvtne2ps_pbh(v.high, v.low);
    if (full)
        _mm512_storeu_si512(y, _mm512_permutexvar_epi16(l->deal, out));
    else
        _mm512_mask_storeu_epi32(y, l->in, _mm512_permutexvar_epi16(l->deal, out));
}

VF_INLINE void meet(both *sum, const both *w, const both *x)
{
    vf_fma_to(&sum->low, w->low, x->low), vf_fma_to(&sum->high, w->high, x->high);
}

VF_INLINE both pixel(const lane *l, const three *r, int ky, int64_t ix, const bool full)
{
    const uint16_t *x = r->x[ky] + ix * r->step[ky];
    return widen(full ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi32(l->in, x));
}

/* Column ix meets the three windows it is in, if there is such a column. */
VF_INLINE void column(const lane *l, const three *r, int64_t ix, int64_t width, both *oldest,
                      both *older, both *fresh, const bool full)
{
    *fresh = l->bias;
    if (ix < 0 || ix >= width) return;
    for (int ky = 0; ky < SIDE; ky++) {
        const both x = pixel(l, r, ky, ix, full);
        meet(oldest, &l->w[2][ky], &x), meet(older, &l->w[1][ky], &x);
        meet(fresh, &l->w[0][ky], &x);
    }
}

/* A line of outputs, one column of input after the other; sums change places by turns. */
VF_INLINE void line_1(const lane *l, const three *r, const lmn_conv_geom *g, uint16_t *y,
                      const bool full)
{
    const int64_t width = g->in[2], pitch = g->c_in, end = g->out[2];
    int64_t ix = -g->pad[2];
    both a = l->bias, b = l->bias, c;
    column(l, r, ix++, width, &a, &b, &c, full);
    column(l, r, ix++, width, &b, &c, &a, full);
    for (int64_t i = 0; i < end;) {
        column(l, r, ix++, width, &c, &a, &b, full);
        leave(l, y + i * pitch, c, full);
        if (++i == end) break;
        column(l, r, ix++, width, &a, &b, &c, full);
        leave(l, y + i * pitch, a, full);
        if (++i == end) break;
        column(l, r, ix++, width, &b, &c, &a, full);
        leave(l, y + i * pitch, b, full), i++;
    }
}

/* The same at a stride of two, where every other column is in two windows. */
VF_INLINE void line_2(const lane *l, const three *r, const lmn_conv_geom *g, uint16_t *y,
                      const bool full)
{
    const int64_t width = g->in[2], pitch = g->c_in;
    int64_t ix = -g->pad[2];
    both sum = l->bias;
    for (int ky = 0; ix >= 0 && ix < width && ky < SIDE; ky++) {
        const both x = pixel(l, r, ky, ix, full);
        meet(&sum, &l->w[0][ky], &x);
    }
    for (int64_t i = 0; i < g->out[2]; i++) {
        both fresh = l->bias;
        ix++;
        for (int ky = 0; ix >= 0 && ix < width && ky < SIDE; ky++) {
            const both x = pixel(l, r, ky, ix, full);
            meet(&sum, &l->w[1][ky], &x);
        }
        ix++;
        for (int ky = 0; ix >= 0 && ix < width && ky < SIDE; ky++) {
            const both x = pixel(l, r, ky, ix, full);
            meet(&sum, &l->w[2][ky], &x), meet(&fresh, &l->w[0][ky], &x);
        }
        leave(l, y + i * pitch, sum, full);
        sum = fresh;
    }
}

/* Weights of rows that are not there count as 0. */
VF_INLINE lane those_in(const lane *all, const three *r)
{
    lane l;
    l.b = all->b, l.bias = all->bias, l.lo = all->lo, l.hi = all->hi;
    l.deal = all->deal, l.in = all->in;
    for (int ky = 0; ky < SIDE; ky++) {
        const vf in = _mm512_castsi512_ps(_mm512_set1_epi32(r->step[ky] ? -1 : 0));
        for (int kx = 0; kx < SIDE; kx++) {
            l.w[kx][ky].low = _mm512_and_ps(all->w[kx][ky].low, in);
            l.w[kx][ky].high = _mm512_and_ps(all->w[kx][ky].high, in);
        }
    }
    return l;
}

#define LINE(stride, name, full)                                                              \
    static __attribute__((noinline)) void any_##stride##name(const lane *all, const three *r, \
                                                             uint16_t *y)                     \
    {                                                                                         \
        const lane l = those_in(all, r);                                                      \
        const three rows = *r;                                                                \
        line_##stride(&l, &rows, l.b->g, y, full);                                            \
    }
LINE(1, _full, true)
LINE(1, _part, false)
LINE(2, _full, true)
LINE(2, _part, false)

static void lines(const lane *l, int64_t c)
{
    static const uint16_t nothing[BLOCK];
    const lmn_conv_geom *g = l->b->g;
    const int64_t row = g->in[2] * g->c_in;
    for (int64_t line = l->b->line; line < l->b->line + l->b->n_lines; line++) {
        const uint16_t *x = l->b->x + line / g->out[1] * g->in[1] * row + c;
        uint16_t *y = l->b->y + line * g->out[2] * g->c_in + c;
        three r;
        for (int i = 0; i < SIDE; i++) {
            const int64_t iy = lmn_conv_at(g, 1, line % g->out[1], i);
            const bool there = iy >= 0 && iy < g->in[1];
            r.x[i] = there ? x + iy * row : nothing, r.step[i] = there ? g->c_in : 0;
        }
        if (l->in == 0xffff)
            (g->stride[2] == 1 ? any_1_full : any_2_full)(l, &r, y);
        else
            (g->stride[2] == 1 ? any_1_part : any_2_part)(l, &r, y);
    }
}

lmn_dwlast_fn lmn_dwlast_bf16_amx, lmn_dwlast_bf16_avx512bf16;

void lmn_dwlast_bf16_amx(const lmn_dwlast_block *b)
{
    const lmn_conv_geom *g = b->g;
    if (!is_square(g) || g->c_in % 2) {
        lmn_dwlast_bf16_avx512bf16(b);
        return;
    }
    lane l = {.b = b, .lo = vf_set1(b->lo), .hi = vf_set1(b->hi), .deal = deal_of(false)};
    for (int64_t c = 0; c < g->c_in; c += BLOCK) {
        for (int t = 0; t < TAPS; t++) {
            const float *w = b->w + c * TAPS + t * BLOCK;
            l.w[t % SIDE][t / SIDE] = (both){vf_load(w), vf_load(w + VF_LANES)};
        }
        l.bias = bias_of(b->bias ? b->bias + c : NULL, g->c_in - c, false);
        l.in = vm_first((g->c_in - c) / 2);
        lines(&l, c);
    }
}
