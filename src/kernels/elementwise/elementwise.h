/*
 * elementwise family, f32: one unary or binary operation over a run of elements. The arithmetic is
 * that of simd/simd_math.h, which the epilogue uses too: fused equals separate bit for bit, and so
 * does avx2 with avx512. ref: f64, rounded once.
 *
 * NaN goes through everywhere, MAX and MIN included. y may be one of the operands (same address),
 * else overlaps nothing. Class: exact for + - * / max min abs neg sqrt floor ceil rint relu clip
 * leaky, 1e-6 relative and 1e-7 absolute for the others. SILU and HARDSWISH of -inf are -0, of
 * GELU 0 of either sign.
 */
#ifndef LMN_KERNELS_ELEMENTWISE_H
#define LMN_KERNELS_ELEMENTWISE_H

#include "base/types.h"
#include "kernels/krow.h"

typedef enum lmn_unary_kind {
    LMN_UN_RELU,
    LMN_UN_CLIP,        /* min(p1, max(p0, x)) */
    LMN_UN_LEAKYRELU,   /* x < 0 ? p0 x : x */
    LMN_UN_HARDSIGMOID, /* min(1, max(0, p0 x + p1)) */
    LMN_UN_HARDSWISH,
    LMN_UN_SIGMOID,
    LMN_UN_SILU,
    LMN_UN_TANH,
    LMN_UN_ERF,
    LMN_UN_GELU,
    LMN_UN_GELU_TANH,
    LMN_UN_EXP,
    LMN_UN_SQRT,
    LMN_UN_NEG,
    LMN_UN_ABS,
    LMN_UN_RECIPROCAL,
    LMN_UN_FLOOR,
    LMN_UN_CEIL,
    LMN_UN_RINT, /* ties to even */
    LMN_UN_SQUARE,
    LMN_UN_CUBE, /* (x x) x */
    LMN_UN_LOG,
    LMN_UN_SIN,
    LMN_UN_COS,
    LMN_UN_KIND_COUNT
} lmn_unary_kind;

typedef enum lmn_binary_kind {
    LMN_BIN_ADD,
    LMN_BIN_SUB,
    LMN_BIN_MUL,
    LMN_BIN_DIV,
    LMN_BIN_MAX,
    LMN_BIN_MIN,
    LMN_BIN_KIND_COUNT
} lmn_binary_kind;

typedef struct lmn_unary_block {
    lmn_unary_kind kind;
    float p0, p1;
    const float *x;
    float *y;
    int64_t n;
} lmn_unary_block;

typedef struct lmn_binary_block {
    lmn_binary_kind kind;
    const float *a, *b;
    bool a_one, b_one; /* the operand is one element for all; not both */
    float *y;
    int64_t n;
} lmn_binary_block;

typedef void lmn_unary_fn(const lmn_unary_block *b);
typedef void lmn_binary_fn(const lmn_binary_block *b);

typedef struct lmn_elementwise_row {
    lmn_krow head;
    lmn_unary_fn *unary;
    lmn_binary_fn *binary;
} lmn_elementwise_row;

extern const lmn_elementwise_row lmn_elementwise_f32_rows[];
extern const int32_t lmn_elementwise_f32_n_rows;

#endif
