/*
 * Winograd's transforms on the vf_* words (include simd_<isa>.h first). A lane is a tile: a run of
 * VF_LANES tiles of one tile row is dealt from rows of pixels, transformed along both axes, and
 * stored as 36 vectors. Weights: a lane is a filter.
 */
#ifndef LMN_KERNELS_WINO_TMPL_H
#define LMN_KERNELS_WINO_TMPL_H

#include "kernels/conv/wino.h"

/* A pointer that the compiler cannot see through: it would keep those to all 36 planes, in memory,
   and move each of them on. */
#define WINO_HIDE(x) __asm__("" : "+r"(x))

/* One axis of B' d: v[i * s] from d0 .. d5. */
VF_INLINE void wino_in(const vf d[6], vf *v, const int s)
{
    const vf two = vf_set1(2.0f), four = vf_set1(4.0f), five = vf_set1(5.0f);
    const vf a = vf_fnma(four, d[2], d[4]), b = vf_fnma(four, d[1], d[3]);
    const vf c = vf_sub(d[4], d[2]), e = vf_mul(two, vf_sub(d[3], d[1]));
    v[0] = vf_fma(four, d[0], vf_fnma(five, d[2], d[4]));
    v[s] = vf_add(a, b), v[2 * s] = vf_sub(a, b);
    v[3 * s] = vf_add(c, e), v[4 * s] = vf_sub(c, e);
    v[5 * s] = vf_fma(four, d[1], vf_fnma(five, d[3], d[5]));
}

/* One axis of A' m: y[i * s] from m[0], m[t] .. m[5 t]. */
VF_INLINE void wino_out(const vf *m, const int t, vf *y, const int s)
{
    const vf two = vf_set1(2.0f), four = vf_set1(4.0f), eight = vf_set1(8.0f);
    const vf s1 = vf_add(m[t], m[2 * t]), d1 = vf_sub(m[t], m[2 * t]);
    const vf s2 = vf_add(m[3 * t], m[4 * t]), d2 = vf_sub(m[3 * t], m[4 * t]);
    y[0] = vf_add(vf_add(m[0], s1), s2);
    y[s] = vf_fma(two, d2, d1);
    y[2 * s] = vf_fma(four, s2, s1);
    y[3 * s] = vf_add(vf_fma(eight, d2, d1), m[5 * t]);
}

/* One axis of G g: u[i * s] from g[0], g[t], g[2 t]. */
VF_INLINE void wino_weight(const vf *g, const int t, vf *u, const int s)
{
    const vf quarter = vf_set1(0.25f), sixth = vf_set1(1.0f / 6), minus = vf_set1(-1.0f / 6);
    const vf small = vf_set1(1.0f / 24), mid = vf_mul(vf_set1(1.0f / 12), g[t]);
    const vf ends = vf_mul(minus, vf_add(g[0], g[2 * t])), inner = vf_mul(sixth, g[t]);
    const vf far = vf_fma(small, g[0], vf_mul(sixth, g[2 * t]));
    u[0] = vf_mul(quarter, g[0]);
    u[s] = vf_sub(ends, inner), u[2 * s] = vf_add(ends, inner);
    u[3 * s] = vf_add(far, mid), u[4 * s] = vf_sub(far, mid);
    u[5 * s] = g[2 * t];
}

/* Tile rows of one vector: few tiles are dealt from several rows of pixels at once. */
VF_INLINE int64_t wino_together(int64_t tiles)
{
    return 2 * tiles == VF_LANES ? 2 : 4 * tiles == VF_LANES ? 4 : 1;
}

/* Where the four vectors of pixels lie that are the first four of VF_LANES tiles, the same for all
   lines and channels: tile rows down, columns from the line's first, lanes that are there. */
typedef struct wino_view {
    int64_t down[4], at[4];
    vm near[4], far[4]; /* far: four columns on */
} wino_view;

VF_INLINE void wino_look(wino_view *w, int64_t x0, int64_t width, int64_t together)
{
    for (int64_t k = 0; k < 4; k++) {
        w->down[k] = together == 1 ? 0 : together == 2 ? k / 2 : k;
        w->at[k] = x0 + (together == 1 ? k : together == 2 ? k % 2 : 0) * VF_LANES;
        w->near[k] = vm_range(-w->at[k], width - w->at[k]);
        w->far[k] = vm_range(-w->at[k] - 4, width - w->at[k] - 4);
    }
}

/* Six pixels of VF_LANES tiles: those of lane t stand at columns 4 t .. 4 t + 5 of the view, in the
   line y of its tile's row, of which `left` are there. Zero outside the plane. */
VF_INLINE void wino_pixels(const lmn_wino_input *b, const wino_view *w, const float *plane,
                           int64_t y, int64_t left, vf d[6])
{
    vf near[4], far[4], next[4];
    for (int k = 0; k < 4; k++) {
        const int64_t line = y + 4 * w->down[k];
        near[k] = far[k] = vf_zero();
        if (w->down[k] >= left || line < 0 || line >= b->in_h) continue;
        const float *p = plane + line * b->in_w + w->at[k]; /* only lanes inside are read */
        near[k] = vf_loadm(p, w->near[k]);
        far[k] = vf_loadm(p + 4, w->far[k]);
    }
    vf_deal4(near, d);
    vf_deal4(far, next);
    d[4] = next[0], d[5] = next[1];
}

/* As that, of one tile row all of whose pixels are inside. */
VF_INLINE void wino_pixels_inside(const float *p, vf d[6])
{
    vf near[4], far[4], next[4];
    for (int i = 0; i < 4; i++) near[i] = vf_load(p + i * VF_LANES);
    for (int i = 0; i < 4; i++) far[i] = vf_load(p + 4 + i * VF_LANES);
    vf_deal4(near, d);
    vf_deal4(far, next);
    d[4] = next[0], d[5] = next[1];
}

static void wino_input_run(const lmn_wino_input *b)
{
    const int64_t together = wino_together(b->tiles);
    wino_view w;
    wino_look(&w, -b->pad_x, b->in_w, together);
    for (int64_t c = 0; c < b->n_c; c++) {
        const float *plane = b->x + c * b->x_step;
        for (int64_t r = 0; r < b->n_rows; r += together) {
            const int64_t y0 = (b->row + r) * 4 - b->pad_y;
            for (int64_t t = 0; t < b->tiles; t += VF_LANES) {
                const int64_t x0 = 4 * t - b->pad_x;
                const bool across = together == 1 && x0 >= 0 && x0 + 4 * VF_LANES + 4 <= b->in_w;
                if (b->tiles > VF_LANES) wino_look(&w, x0, b->in_w, 1);
                vf h[36], d[6];
                for (int i = 0; i < 6; i++) {
                    const int64_t y = y0 + i;
                    if (across && y >= 0 && y < b->in_h)
                        wino_pixels_inside(plane + y * b->in_w + x0, d);
                    else
                        wino_pixels(b, &w, plane, y, b->n_rows - r, d);
                    wino_in(d, h + 6 * i, 1);
                }
                float *to = b->v + c * b->ld + r * b->tiles + t;
                for (int j = 0; j < 6; j++, to += b->step) {
                    vf v[6];
                    for (int i = 0; i < 6; i++) d[i] = h[6 * i + j];
                    wino_in(d, v, 1);
                    WINO_HIDE(to);
                    for (int i = 0; i < 6; i++) vf_store(to + 6 * i * b->step, v[i]);
                }
            }
        }
    }
}

/* Rows i of pixels, 0 .. 3, of `together` tile rows from r on. */
VF_INLINE void wino_store_of(const lmn_wino_output *b, const wino_view *w, int64_t r, int64_t i,
                             const vf line[4])
{
    for (int k = 0; k < 4; k++) {
        const int64_t row = r + w->down[k], y = 4 * row + i;
        if (row >= b->n_rows || y >= b->h || w->at[k] >= b->w) continue;
        vf_storem(b->y + y * b->w + w->at[k], w->near[k], line[k]);
    }
}

static void wino_output_run(const lmn_wino_output *b)
{
    const int64_t together = wino_together(b->tiles);
    wino_view w;
    if (together > 1) wino_look(&w, 0, b->w, together);
    for (int64_t r = 0; r < b->n_rows; r += together) {
        const int64_t rows = together > 1 ? 4 : lmn_min_i64(4, b->h - 4 * r);
        for (int64_t t = 0; t < b->tiles; t += VF_LANES) {
            const float *from = b->m + r * b->tiles + t;
            const int64_t len = b->w - 4 * t;
            float *to = b->y + 4 * r * b->w + 4 * t;
            vf half[24], y[16];
            for (int j = 0; j < 6; j++, from += b->step) {
                vf m[6];
                WINO_HIDE(from);
                for (int i = 0; i < 6; i++) m[i] = vf_load(from + 6 * i * b->step);
                wino_out(m, 1, half + j, 6);
            }
            for (int i = 0; i < 4; i++) wino_out(half + 6 * i, 1, y + 4 * i, 1);
            for (int64_t i = 0; i < rows; i++, to += b->w) {
                vf line[4];
                vf_join4(y + 4 * i, line);
                if (together > 1) {
                    wino_store_of(b, &w, r, i, line);
                    continue;
                }
                for (int64_t k = 0; k < 4 && k * VF_LANES < len; k++) {
                    if ((k + 1) * VF_LANES <= len)
                        vf_store(to + k * VF_LANES, line[k]);
                    else
                        vf_storem(to + k * VF_LANES, vm_first(len - k * VF_LANES), line[k]);
                }
            }
        }
    }
}

static void wino_weights_run(float *u, int64_t step, const float *w, int64_t n)
{
    for (int64_t f = 0; f < n; f += VF_LANES) {
        const vm lanes = vm_first(n - f);
        vf g[9], half[18];
        if (f + VF_LANES <= n)
            vf_deal9(w + f * 9, g);
        else
            for (int q = 0; q < 9; q++) g[q] = vf_load_step(w + f * 9 + q, 9, lanes);
        for (int j = 0; j < 3; j++) wino_weight(g + j, 3, half + j, 3);
        float *to = u + f;
        for (int i = 0; i < 6; i++, to += 6 * step) {
            vf t[6];
            WINO_HIDE(to);
            wino_weight(half + 3 * i, 1, t, 1);
            if (f + VF_LANES <= n)
                for (int q = 0; q < 6; q++) vf_store(to + q * step, t[q]);
            else
                for (int q = 0; q < 6; q++) vf_storem(to + q * step, lanes, t[q]);
        }
    }
}

#endif
