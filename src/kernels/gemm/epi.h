/*
 * The epilogue: a few operations on a finished f32 result, applied while it is still in the
 * cache. Each operation has one arithmetic definition (simd/simd_math.h; epi_ref.h states it in
 * f64), so a fused epilogue equals the separate elementwise kernels bit for bit.
 *
 * The result is a matrix of rows and columns. For a convolution a row is an output channel and a
 * column an output pixel; so a conv bias is a ROW operand, the bias of a linear layer a COL one.
 */
#ifndef LMN_KERNELS_EPI_H
#define LMN_KERNELS_EPI_H

#include "base/types.h"

typedef enum lmn_epi_kind {
    LMN_EPI_ADD = 0,     /* v + operand */
    LMN_EPI_MUL,         /* v * operand */
    LMN_EPI_RELU,        /* max(0, v) */
    LMN_EPI_CLIP,        /* min(p1, max(p0, v)) */
    LMN_EPI_SIGMOID,     /* 1 / (1 + e^-v) */
    LMN_EPI_TANH,        /* tanh v */
    LMN_EPI_SILU,        /* v sigmoid(v) */
    LMN_EPI_GELU,        /* v/2 (1 + erf(v / sqrt 2)) */
    LMN_EPI_GELU_TANH,   /* the tanh form of gelu */
    LMN_EPI_HARDSWISH,   /* v min(1, max(0, v/6 + 1/2)) */
    LMN_EPI_HARDSIGMOID, /* min(1, max(0, p0 v + p1)) */
    LMN_EPI_LEAKYRELU,   /* v < 0 ? p0 v : v */
    LMN_EPI_KIND_COUNT
} lmn_epi_kind;

/* How the operand of ADD and MUL is laid over the result. */
typedef enum lmn_epi_bcast {
    LMN_EPI_SCALAR = 0, /* p0 */
    LMN_EPI_ROW,        /* x[i] */
    LMN_EPI_COL,        /* x[j] */
    LMN_EPI_FULL        /* x[i * ld + j] */
} lmn_epi_bcast;

typedef struct lmn_epi_op {
    uint8_t kind, bcast; /* lmn_epi_kind, lmn_epi_bcast */
    float p0, p1;
    const float
        *x;     /* operand; may be the result itself (FULL, same ld): each element is read first */
    int64_t ld; /* FULL: elements from row to row */
    int64_t batch; /* elements from one batch item to the next; 0 = shared */
} lmn_epi_op;

/* Steps of a fused node; a kernel also takes what its base operator brings: alpha and a bias. */
enum { LMN_EPI_MAX = 4, LMN_EPI_OPS = LMN_EPI_MAX + 2 };
typedef struct lmn_epi {
    int32_t n_ops; /* 0 .. LMN_EPI_OPS, applied in order */
    lmn_epi_op op[LMN_EPI_OPS];
} lmn_epi;

/* One block of a row-major result and where it lies in the whole. */
typedef struct lmn_epi_block {
    float *c;
    int64_t ldc;
    int64_t row, col;   /* of c[0] in the whole result */
    int64_t m, n, item; /* extents; batch item */
} lmn_epi_block;

/* c[i][j] = ops(c[i][j]) for the whole block; touches nothing else. */
typedef void lmn_epi_fn(const lmn_epi *epi, const lmn_epi_block *block);

/* The operand of `op` for the block's element (0, 0); NULL for SCALAR and unary operations. */
static inline const float *lmn_epi_operand(const lmn_epi_op *op, const lmn_epi_block *b)
{
    if (op->kind > LMN_EPI_MUL || op->bcast == LMN_EPI_SCALAR) return NULL;
    const float *x = op->x + b->item * op->batch;
    if (op->bcast == LMN_EPI_ROW) return x + b->row;
    if (op->bcast == LMN_EPI_COL) return x + b->col;
    return x + b->row * op->ld + b->col;
}

#endif
