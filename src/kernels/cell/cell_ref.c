/*
 * The portable cell row: every gate in f64, rounded once. The judge of the vector rows.
 */
#include "kernels/cell/cell.h"

#include <math.h>

lmn_cell_fn lmn_cell_f32_ref;

void lmn_cell_f32_ref(const lmn_cell_block *b)
{
    const int64_t n = b->n;
    for (int64_t i = 0; i < n; i++) {
        double g[4] = {
            0}; /* sigmoids of all gates but the last that come with a function of theirs */
        const int32_t gates = b->kind == LMN_CELL_LSTM ? 4 : b->kind == LMN_CELL_RNN ? 1 : 3;
        for (int32_t k = 0; k < gates; k++) {
            const double v = (double)b->x[k * n + i] + b->r[k * n + i];
            g[k] = k == gates - 1 ? v : 1 / (1 + exp(-v));
        }
        if (b->kind == LMN_CELL_RNN) {
            b->y[i] = (float)tanh(g[0]);
        } else if (b->kind == LMN_CELL_RESET) {
            b->y[i] = (float)(g[1] * b->past[i]);
        } else if (b->kind == LMN_CELL_LSTM) {
            const double c = g[2] * b->c[i] + g[0] * tanh(g[3]);
            b->c[i] = (float)c;
            b->y[i] = (float)(g[1] * tanh(c));
        } else {
            const double reset = b->kind == LMN_CELL_GRU ? g[1] : 1;
            const double h = tanh(b->x[2 * n + i] + reset * b->r[2 * n + i]);
            b->y[i] = (float)(h + g[0] * (b->past[i] - h));
        }
    }
}
