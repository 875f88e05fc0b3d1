/*
 * cell family, f32: the gates of one step of a recurrent layer for one row of the batch, from what
 * the two products gave. x is X W' and r is H R', each [gates][n] with their biases in.
 *
 *   LSTM   gates i o f c:  c = f c + i c',  y = o tanh(c)
 *   GRU    gates z r h:    h' = tanh(x_h + s r_h), s = sigmoid(x_r + r_r),  y = h' + z (past - h')
 *   RESET  of a GRU that resets before the product: y = sigmoid(x_r + r_r) past
 *   UPDATE the rest of such a GRU: as GRU with s = 1
 *   RNN    y = tanh(x + r)
 *
 * The functions are those of simd/simd_math.h, so avx2 equals avx512 bit for bit; ref: f64, rounded
 * once. Class: 2e-6 of the largest operand. y may be `past`, and overlaps nothing else.
 */
#ifndef LMN_KERNELS_CELL_H
#define LMN_KERNELS_CELL_H

#include "base/types.h"
#include "kernels/krow.h"

typedef enum lmn_cell_kind {
    LMN_CELL_LSTM,
    LMN_CELL_GRU,
    LMN_CELL_RESET,
    LMN_CELL_UPDATE,
    LMN_CELL_RNN,
    LMN_CELL_KIND_COUNT
} lmn_cell_kind;

typedef struct lmn_cell_block {
    lmn_cell_kind kind;
    int64_t n; /* units */
    const float *x, *r;
    const float *past; /* [n] the state before; not of LSTM and RNN */
    float *c;          /* [n] of LSTM, updated */
    float *y;          /* [n] */
} lmn_cell_block;

typedef void lmn_cell_fn(const lmn_cell_block *b);

typedef struct lmn_cell_row {
    lmn_krow head;
    lmn_cell_fn *step;
} lmn_cell_row;

extern const lmn_cell_row lmn_cell_f32_rows[];
extern const int32_t lmn_cell_f32_n_rows;

#endif
