/*
 * The portable wino row: the three transforms as matrix products in f64, rounded once.
 */
#include "kernels/conv/wino.h"

lmn_wino_input_fn lmn_wino_f32_input_ref;
lmn_wino_output_fn lmn_wino_f32_output_ref;
lmn_wino_weights_fn lmn_wino_f32_weights_ref;

static const double BT[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const double G[6][3] = {{1 / 4., 0, 0},
                               {-1 / 6., -1 / 6., -1 / 6.},
                               {-1 / 6., 1 / 6., -1 / 6.},
                               {1 / 24., 1 / 12., 1 / 6.},
                               {1 / 24., -1 / 12., 1 / 6.},
                               {0, 0, 1}};
static const double AT[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

/* out (n x n) = T in T' where T is n x k and in is k x k. */
static void both_sides(const double *t, int n, int k, const double *in, double *out)
{
    double half[36];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < k; j++) {
            half[i * k + j] = 0;
            for (int p = 0; p < k; p++) half[i * k + j] += t[i * k + p] * in[p * k + j];
        }
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            out[i * n + j] = 0;
            for (int p = 0; p < k; p++) out[i * n + j] += half[i * k + p] * t[j * k + p];
        }
    }
}

void lmn_wino_f32_input_ref(const lmn_wino_input *b)
{
    for (int64_t i = 0; i < b->n_c * b->n_rows * b->tiles; i++) {
        const int64_t tile = i % (b->n_rows * b->tiles), c = i / (b->n_rows * b->tiles);
        const int64_t y0 = (b->row + tile / b->tiles) * 4 - b->pad_y;
        const int64_t x0 = tile % b->tiles * 4 - b->pad_x;
        double d[36], v[36];
        for (int64_t q = 0; q < 36; q++) {
            const int64_t y = y0 + q / 6, x = x0 + q % 6;
            bool inside = y >= 0 && y < b->in_h && x >= 0 && x < b->in_w;
            d[q] = inside ? b->x[c * b->x_step + y * b->in_w + x] : 0;
        }
        both_sides(&BT[0][0], 6, 6, d, v);
        for (int64_t q = 0; q < 36; q++) b->v[q * b->step + c * b->ld + tile] = (float)v[q];
    }
}

void lmn_wino_f32_output_ref(const lmn_wino_output *b)
{
    for (int64_t tile = 0; tile < b->n_rows * b->tiles; tile++) {
        double m[36], y[16];
        for (int64_t q = 0; q < 36; q++) m[q] = b->m[q * b->step + tile];
        both_sides(&AT[0][0], 4, 6, m, y);
        for (int64_t q = 0; q < 16; q++) {
            const int64_t py = tile / b->tiles * 4 + q / 4, px = tile % b->tiles * 4 + q % 4;
            if (py < b->h && px < b->w) b->y[py * b->w + px] = (float)y[q];
        }
    }
}

void lmn_wino_f32_weights_ref(float *u, int64_t step, const float *w, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double g[9], t[36];
        for (int q = 0; q < 9; q++) g[q] = w[i * 9 + q];
        both_sides(&G[0][0], 6, 3, g, t);
        for (int64_t q = 0; q < 36; q++) u[q * step + i] = (float)t[q];
    }
}
