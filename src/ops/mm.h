/*
 * The reference matrix product behind MatMul, Gemm, Einsum and their relatives: any strides, any
 * type, f64 (floats) or 64-bit wrapping (integers) accumulation in the order of k, one rounding at
 * the end. The grid of blocks depends on the shape only, so results do not depend on the threads.
 */
#ifndef LMN_OPS_MM_H
#define LMN_OPS_MM_H

#include "ops/op.h"

typedef struct lmn_mm {
    int64_t batch, m, n, k;
    lamina_dtype dt; /* of a, b and c: float or integer, 16 bits and more or u8/i8 */
    const void *a, *b;
    int64_t a_rs, a_cs, b_rs, b_cs; /* strides in elements: row, column */
    const int64_t *a_off, *b_off;   /* element offset of each batch entry; NULL = all 0 */
    const void *c;                  /* addend or NULL: out = alpha * a b + beta * c */
    int64_t c_rs, c_cs;             /* 0 broadcasts; the same c for every batch entry */
    double alpha, beta;
    lamina_dtype out_dt;
    void *out;   /* dense [batch, m, n] */
    bool narrow; /* operands of f64 hold numbers of f32: their products are exact */
} lmn_mm;

/* A device's way to the bits of lmn_mm_run, for narrow operands of f64; E_UNSUPPORTED, and nothing
   done, where it has none. */
typedef struct lmn_mm_hook {
    lamina_status (*run)(lmn_eval *ec, const lmn_mm *p, const void *row);
    const void *row;
} lmn_mm_hook;

/* Runs p on ec's threads. Extents may be zero (k == 0 gives beta * c or zeros). */
lamina_status lmn_mm_run(lmn_eval *ec, const lmn_mm *p);

#endif
