/*
 * Winograd's transforms on the vf_* words (include simd_<isa>.h first). A lane is a tile: a run of
 * VF_LANES tiles of one tile row is dealt from rows of pixels, transformed along both axes, and
 * stored as 36 vectors. Weights: a lane is a filter.
 */
#ifndef LMN_KERNELS_WINO_TMPL_H
#define LMN_KERNELS_WINO_TMPL_H

#include "kernels/conv/wino.h"

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

/* Six pixels of VF_LANES tiles: those of lane t stand at columns x0 + 4 t .. x0 + 4 t + 5 of the
   row, zero outside [0, width). row NULL = all zero. */
VF_INLINE void wino_pixels(const float *row, int64_t x0, int64_t width, vf d[6])
{
    vf near[4], far[4];
    if (!row) {
        for (int i = 0; i < 6; i++) d[i] = vf_zero();
        return;
    }
    const float *p = row + x0; /* only lanes inside the row are read */
    if (x0 >= 0 && x0 + 4 * VF_LANES + 4 <= width) {
        for (int i = 0; i < 4; i++) near[i] = vf_load(p + i * VF_LANES);
        for (int i = 0; i < 4; i++) far[i] = vf_load(p + 4 + i * VF_LANES);
    } else {
        for (int i = 0; i < 4; i++) {
            const int64_t at = x0 + i * VF_LANES;
            near[i] = vf_loadm(p + i * VF_LANES, vm_range(-at, width - at));
            far[i] = vf_loadm(p + 4 + i * VF_LANES, vm_range(-at - 4, width - at - 4));
        }
    }
    vf next[4];
    vf_deal4(near, d);
    vf_deal4(far, next);
    d[4] = next[0], d[5] = next[1];
}

/* Tile rows of one vector: few tiles are dealt from several rows of pixels at once. */
VF_INLINE int64_t wino_together(int64_t tiles)
{
    return 2 * tiles == VF_LANES ? 2 : 4 * tiles == VF_LANES ? 4 : 1;
}

/* As wino_pixels, of `together` tile rows side by side; `y` is the row of pixels of the first, the
   next one's lies 4 below, and `left` of them are there. */
VF_INLINE void wino_pixels_of(const lmn_wino_input *b, const float *plane, int64_t y, int64_t left,
                              int64_t together, vf d[6])
{
    vf near[4], far[4], next[4];
    const int64_t each = 4 / together;
    for (int64_t k = 0; k < 4; k++) {
        const int64_t r = k / each, at = k % each * VF_LANES - b->pad_x, line = y + 4 * r;
        near[k] = far[k] = vf_zero();
        if (r >= left || line < 0 || line >= b->in_h) continue;
        const float *p = plane + line * b->in_w + at; /* only lanes inside the row are read */
        near[k] = vf_loadm(p, vm_range(-at, b->in_w - at));
        far[k] = vf_loadm(p + 4, vm_range(-at - 4, b->in_w - at - 4));
    }
    vf_deal4(near, d);
    vf_deal4(far, next);
    d[4] = next[0], d[5] = next[1];
}

static void wino_input_run(const lmn_wino_input *b)
{
    const int64_t together = wino_together(b->tiles);
    for (int64_t c = 0; c < b->n_c; c++) {
        const float *plane = b->x + c * b->x_step;
        for (int64_t r = 0; r < b->n_rows; r += together) {
            const int64_t y0 = (b->row + r) * 4 - b->pad_y;
            for (int64_t t = 0; t < b->tiles; t += VF_LANES) {
                vf h[36], d[6];
                for (int i = 0; i < 6; i++) {
                    const int64_t y = y0 + i;
                    const float *row = y >= 0 && y < b->in_h ? plane + y * b->in_w : 0;
                    if (together == 1)
                        wino_pixels(row, 4 * t - b->pad_x, b->in_w, d);
                    else
                        wino_pixels_of(b, plane, y, b->n_rows - r, together, d);
                    wino_in(d, h + 6 * i, 1);
                }
                float *to = b->v + c * b->ld + r * b->tiles + t;
                for (int j = 0; j < 6; j++) {
                    vf v[6];
                    for (int i = 0; i < 6; i++) d[i] = h[6 * i + j];
                    wino_in(d, v, 1);
                    for (int i = 0; i < 6; i++) vf_store(to + (6 * i + j) * b->step, v[i]);
                }
            }
        }
    }
}

/* Rows i of pixels, 0 .. 3, of `together` tile rows from r on. */
VF_INLINE void wino_store_of(const lmn_wino_output *b, int64_t r, int64_t i, int64_t together,
                             const vf line[4])
{
    const int64_t each = 4 / together;
    for (int64_t k = 0; k < 4; k++) {
        const int64_t row = r + k / each, at = k % each * VF_LANES, len = b->w - at;
        if (row >= b->n_rows || 4 * row + i >= b->h || len <= 0) continue;
        vf_storem(b->y + (4 * row + i) * b->w + at, vm_first(len), line[k]);
    }
}

static void wino_output_run(const lmn_wino_output *b)
{
    const int64_t together = wino_together(b->tiles);
    for (int64_t r = 0; r < b->n_rows; r += together) {
        const int64_t rows = together > 1 ? 4 : lmn_min_i64(4, b->h - 4 * r);
        for (int64_t t = 0; t < b->tiles; t += VF_LANES) {
            const float *from = b->m + r * b->tiles + t;
            const int64_t len = b->w - 4 * t;
            float *to = b->y + 4 * r * b->w + 4 * t;
            vf half[24], y[16];
            for (int j = 0; j < 6; j++) {
                vf m[6];
                for (int i = 0; i < 6; i++) m[i] = vf_load(from + (6 * i + j) * b->step);
                wino_out(m, 1, half + j, 6);
            }
            for (int i = 0; i < 4; i++) wino_out(half + 6 * i, 1, y + 4 * i, 1);
            for (int64_t i = 0; i < rows; i++, to += b->w) {
                vf line[4];
                vf_join4(y + 4 * i, line);
                if (together > 1) {
                    wino_store_of(b, r, i, together, line);
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
        vf g[9], half[18], t[36];
        if (f + VF_LANES <= n)
            vf_deal9(w + f * 9, g);
        else
            for (int q = 0; q < 9; q++) g[q] = vf_load_step(w + f * 9 + q, 9, lanes);
        for (int j = 0; j < 3; j++) wino_weight(g + j, 3, half + j, 3);
        for (int i = 0; i < 6; i++) wino_weight(half + 3 * i, 1, t + 6 * i, 1);
        if (f + VF_LANES <= n)
            for (int q = 0; q < 36; q++) vf_store(u + q * step + f, t[q]);
        else
            for (int q = 0; q < 36; q++) vf_storem(u + q * step + f, lanes, t[q]);
    }
}

#endif
