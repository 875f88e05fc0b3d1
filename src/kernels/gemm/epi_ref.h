/*
 * The epilogue in f64: the definition the vector forms are judged by, and the body of the reference
 * rows. Static, so that every object may have its own copy.
 */
#ifndef LMN_KERNELS_EPI_REF_H
#define LMN_KERNELS_EPI_REF_H

#include <math.h>

#include "kernels/gemm/epi.h"

/* NaN in v goes through, as in the vector forms. */
static inline double epi_ref_clip(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static inline double epi_ref_unary(const lmn_epi_op *op, double v)
{
    double floor_v = v < -3e38 ? -3e38 : v; /* -inf times 0 is -0 here */
    switch (op->kind) {
    case LMN_EPI_RELU: return v < 0 ? 0 : v;
    case LMN_EPI_CLIP: return epi_ref_clip(v, op->p0, op->p1);
    case LMN_EPI_SIGMOID: return 1 / (1 + exp(-v));
    case LMN_EPI_TANH: return tanh(v);
    case LMN_EPI_SILU: return floor_v / (1 + exp(-v));
    case LMN_EPI_GELU: return 0.5 * floor_v * erfc(-v * 0.70710678118654752440);
    case LMN_EPI_GELU_TANH:
        return 0.5 * floor_v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
    case LMN_EPI_HARDSWISH: return floor_v * epi_ref_clip(v / 6 + 0.5, 0, 1);
    case LMN_EPI_HARDSIGMOID: return epi_ref_clip((double)op->p0 * v + op->p1, 0, 1);
    case LMN_EPI_LEAKYRELU: return v < 0 ? op->p0 * v : v;
    default: return v;
    }
}

/* Operation `op` on element (i, j) of the block. */
static inline double epi_ref_at(const lmn_epi_op *op, const lmn_epi_block *b, int64_t i, int64_t j,
                                double v)
{
    if (op->kind > LMN_EPI_MUL) return epi_ref_unary(op, v);
    const float *x = lmn_epi_operand(op, b);
    double w = op->bcast == LMN_EPI_SCALAR ? op->p0
               : op->bcast == LMN_EPI_ROW  ? x[i]
               : op->bcast == LMN_EPI_COL  ? x[j]
                                           : x[i * op->ld + j];
    return op->kind == LMN_EPI_ADD ? v + w : v * w;
}

#endif
