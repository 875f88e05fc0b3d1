/*
 * Depthwise 3 x 3 windows of stride 1 or 2 on AVX-512, line by line of the input down a plane: up
 * to ROLL_VECS vectors of output columns side by side, and the one to three lines of outputs that
 * are open. Every number is loaded once, and its neighbours come out of the registers beside it.
 * For CPUs that shift whole vectors beside two products a cycle (Zen 5). Included by
 * dwconv_f32_avx512.c; the chain of an element is that of dwconv_tmpl.h.
 */
#ifndef LMN_KERNELS_DWCONV_ROLL_TMPL_H
#define LMN_KERNELS_DWCONV_ROLL_TMPL_H

enum { ROLL_VECS = 4, ROLL_LINES = 14 }; /* of a plane wider than ROLL_VECS, at a time */
enum { ROLL_AHEAD = 8 };                 /* lines that are fetched before they are read */

/* Columns that are made at once: n_v vectors from output column ox on. */
typedef struct roll {
    int64_t ox, ix;            /* and the input column of the first tap */
    vm in[2 * ROLL_VECS], out; /* lanes of the input from ix + 1 on; of the last vector */
    bool before, behind;       /* is there a column before the first vector, behind the last? */
} roll;

VF_INLINE roll roll_at(const lmn_conv_geom *g, int64_t ox, const int n_v, const int s)
{
    const int64_t w = g->in[2], ix = ox * s - g->pad[2], end = ix + 1 + n_v * s * VF_LANES;
    roll t = {.ox = ox, .ix = ix, .before = ix >= 0 && ix < w, .behind = end >= 0 && end < w};
    for (int v = 0; v < n_v * s; v++) {
        const int64_t from = ix + 1 + v * VF_LANES;
        t.in[v] = vm_range(-from, w - from);
    }
    t.out = vm_first(g->out[2] - ox - (n_v - 1) * VF_LANES);
    return t;
}

/* `x` behind `before`, shifted by a lane: its last lane, then x but for the last one of it. */
VF_INLINE __m512 roll_up(__m512 before, __m512 x)
{
    return _mm512_castsi512_ps(
        _mm512_alignr_epi32(_mm512_castps_si512(x), _mm512_castps_si512(before), 15));
}
VF_INLINE __m512 roll_down(__m512 x, __m512 behind)
{
    return _mm512_castsi512_ps(
        _mm512_alignr_epi32(_mm512_castps_si512(behind), _mm512_castps_si512(x), 1));
}

/* What a line of the input is to the outputs that are open: sum[i] += w[3 i + kx] * x[kx]. */
VF_INLINE void roll_line(__m512 sum[][ROLL_VECS], const __m512 *w, const __m512 x[3], const int v,
                         const int n)
{
    DW_UNROLL
    for (int kx = 0; kx < 3; kx++) DW_UNROLL
    for (int i = 0; i < n; i++) sum[i][v] = _mm512_fmadd_ps(w[3 * i + kx], x[kx], sum[i][v]);
}

/* Even and odd columns are dealt where they lie, 128 bits by 128, at a quarter of a cycle, so that
   pairs of outputs stand in the order 0 4 1 5 2 6 3 7: of those the ones before, in which the first
   is the last of the other vector, and the way back. */
#define ROLL_BEFORE _mm512_setr_epi32(31, 0, 13, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14)
#define ROLL_BACK _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7)

typedef struct roll_end {
    __m512 bias, lo, hi;
    bool fused, clip;
    int64_t oy, end; /* lines of outputs */
} roll_end;

VF_INLINE void roll_store(const roll_end *e, float *y, const __m512 *sum, const int n_v, vm out,
                          const int s)
{
    DW_UNROLL
    for (int v = 0; v < n_v; v++) {
        __m512 x = sum[v];
        if (s == 2) x = _mm512_castpd_ps(_mm512_permutexvar_pd(ROLL_BACK, _mm512_castps_pd(x)));
        if (e->fused) x = _mm512_add_ps(x, e->bias);
        if (e->clip) x = _mm512_min_ps(e->hi, _mm512_max_ps(e->lo, x));
        if (v + 1 < n_v)
            _mm512_storeu_ps(y + v * VF_LANES, x);
        else
            _mm512_mask_storeu_ps(y + v * VF_LANES, out, x);
    }
}

/* What of a line of the input comes from beside the vectors: a number and its distance from line to
   line; a zero and no distance where nothing is there. */
typedef struct roll_side {
    const float *x;
    int64_t step;
} roll_side;

VF_INLINE roll_side roll_beside(const float *x, bool there, int64_t step)
{
    static const float none[1];
    return (roll_side){there ? x : none, there ? step : 0};
}

/* Output lines [oy, end) of a plane of stride 1 from lines iy of the input on; sum[0] is the line
   that ends first. */
VF_INLINE void roll_lines_1(const plane *p, const roll *t, const __m512 w[9], const roll_end *e,
                            const float *x0, float *y, const int n_v)
{
    const int64_t oy = e->oy, end = e->end, h_in = p->g->in[1], w_in = p->g->in[2],
                  w_out = p->g->out[2];
    const roll_side before = roll_beside(x0 - 1, t->before, w_in),
                    behind = roll_beside(x0 + n_v * VF_LANES, t->behind, w_in);
    __m512 sum[3][ROLL_VECS];
    DW_UNROLL
    for (int i = 0; i < 3 * n_v; i++) sum[i / n_v][i % n_v] = _mm512_setzero_ps();
    int64_t iy = oy - p->g->pad[1];
    for (int64_t o = oy - 2; o < end; o++, iy++) {
        if (iy >= 0 && iy < h_in) {
            const float *row = x0 + iy * w_in;
            __m512 last = _mm512_set1_ps(before.x[iy * before.step]);
            __m512 now = _mm512_maskz_loadu_ps(t->in[0], row);
            DW_UNROLL
            for (int v = 0; v < n_v; v++) {
                const __m512 next = v + 1 < n_v
                                        ? _mm512_maskz_loadu_ps(t->in[v + 1], row + (v + 1) * 16)
                                        : _mm512_set1_ps(behind.x[iy * behind.step]);
                __builtin_prefetch(row + ROLL_AHEAD * w_in + v * 16);
                const __m512 x[3] = {roll_up(last, now), now, roll_down(now, next)};
                roll_line(sum, w, x, v, 3);
                last = now, now = next;
            }
        }
        if (o >= oy) roll_store(e, y + o * w_out, sum[0], n_v, t->out, 1);
        DW_UNROLL
        for (int v = 0; v < n_v; v++)
            sum[0][v] = sum[1][v], sum[1][v] = sum[2][v], sum[2][v] = _mm512_setzero_ps();
    }
}

/* So of stride 2: a line of the input is the last one of an output and the first one of the next,
   or in the middle of that. */
VF_INLINE void roll_lines_2(const plane *p, const roll *t, const __m512 w[9], const roll_end *e,
                            const float *x0, float *y, const int n_v)
{
    const int64_t oy = e->oy, end = e->end, h_in = p->g->in[1], w_in = p->g->in[2],
                  w_out = p->g->out[2];
    const roll_side before = roll_beside(x0 - 1, t->before, w_in);
    __m512 sum[2][ROLL_VECS];
    DW_UNROLL
    for (int i = 0; i < 2 * n_v; i++) sum[i / n_v][i % n_v] = _mm512_setzero_ps();
    int64_t iy = oy * 2 - p->g->pad[1];
    for (int64_t o = oy - 1; o < end; o++) {
        DW_UNROLL
        for (int i = 0; i < 2; i++, iy++) {
            if (iy >= 0 && iy < h_in && (i == 0 || o + 1 < end)) {
                const float *row = x0 + iy * w_in;
                __m512 last = _mm512_set1_ps(before.x[iy * before.step]);
                DW_UNROLL
                for (int v = 0; v < n_v; v++) {
                    const __m512 low = _mm512_maskz_loadu_ps(t->in[2 * v], row + v * 32);
                    const __m512 high = _mm512_maskz_loadu_ps(t->in[2 * v + 1], row + v * 32 + 16);
                    __builtin_prefetch(row + ROLL_AHEAD * w_in + v * 32);
                    __builtin_prefetch(row + ROLL_AHEAD * w_in + v * 32 + 16);
                    const __m512 odds = _mm512_shuffle_ps(low, high, 0xdd);
                    const __m512 x[3] = {_mm512_permutex2var_ps(odds, ROLL_BEFORE, last),
                                         _mm512_shuffle_ps(low, high, 0x88), odds};
                    if (i == 0) roll_line(sum, w, x, v, 1);
                    roll_line(sum + (i == 0), w + (i == 0 ? 6 : 3), x, v, 1);
                    last = odds;
                }
            }
            if (i == 0 && o >= oy) roll_store(e, y + o * w_out, sum[0], n_v, t->out, 2);
            if (i > 0) continue;
            DW_UNROLL
            for (int v = 0; v < n_v; v++) sum[0][v] = sum[1][v], sum[1][v] = _mm512_setzero_ps();
        }
    }
}

/* n_v vectors of output columns from ox on, lines [oy, end); n_v and s are constants. */
VF_INLINE void roll_block(const plane *p, int64_t ox, int64_t oy, int64_t end, const int n_v,
                          const int s)
{
    const roll t = roll_at(p->g, ox, n_v, s);
    for (int64_t c = 0; c < p->n_planes; c++) {
        const float *weights = p->w + c * 9, *x0 = p->x + c * p->n_in + t.ix + 1;
        const roll_end e = {_mm512_set1_ps(p->bias[p->fused ? c : 0]),
                            _mm512_set1_ps(p->clip_lo),
                            _mm512_set1_ps(p->clip_hi),
                            p->fused,
                            p->clip,
                            oy,
                            end};
        __m512 w[9]; /* the last line of a window first: it is that of the output that ends */
        DW_UNROLL
        for (int i = 0; i < 9; i++) w[i] = _mm512_set1_ps(weights[(2 - i / 3) * 3 + i % 3]);
        float *y = p->y + c * p->n_out + ox;
        if (s == 1)
            roll_lines_1(p, &t, w, &e, x0, y, n_v);
        else
            roll_lines_2(p, &t, w, &e, x0, y, n_v);
    }
}

#define ROLL(n_v, s)                                                                               \
    static __attribute__((noinline)) void roll_##n_v##_##s(const plane *p, int64_t ox, int64_t oy, \
                                                           int64_t end)                            \
    {                                                                                              \
        roll_block(p, ox, oy, end, n_v, s);                                                        \
    }
ROLL(1, 1)
ROLL(2, 1)
ROLL(3, 1)
ROLL(4, 1)
ROLL(1, 2)
ROLL(2, 2)
ROLL(3, 2)
ROLL(4, 2)
#undef ROLL

static void roll_planes(const plane *p, const int s)
{
    typedef void part(const plane *p, int64_t ox, int64_t oy, int64_t end);
    static part *const parts[2][ROLL_VECS] = {{roll_1_1, roll_2_1, roll_3_1, roll_4_1},
                                              {roll_1_2, roll_2_2, roll_3_2, roll_4_2}};
    const int64_t w_out = p->g->out[2], h_out = p->g->out[1], most = ROLL_VECS * VF_LANES;
    const int64_t lines = w_out <= most ? h_out : ROLL_LINES;
    for (int64_t oy = 0; oy < h_out; oy += lines)
        for (int64_t ox = 0; ox < w_out; ox += most) {
            const int64_t n_v = lmn_ceil_div_i64(lmn_min_i64(most, w_out - ox), VF_LANES);
            parts[s - 1][n_v - 1](p, ox, oy, lmn_min_i64(oy + lines, h_out));
        }
}

#endif
