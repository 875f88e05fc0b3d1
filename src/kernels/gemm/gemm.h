/*
 * GEMM family, f32: the one matrix primitive. A block kernel multiplies row-major A by B that lies
 * in panels; packers bring any B into panels; two streaming kernels serve few rows without packing.
 *
 *   C[i][j] = epi( beta * C[i][j]  +  sum over k < K of  A[i][k] * B[k][j] )
 *
 * B in panels NR columns wide, k-major inside a panel. With NR = 4, K = 2, N = 6, packed:
 *
 *      B, row-major, ldb >= N          panel 0 (j = 0..3)     panel 1 (j = 4..5)
 *   k = 0   a  b  c  d | e  f          a  b  c  d             e  f  .  .
 *   k = 1   g  h  i  j | k  l          g  h  i  j             k  l  .  .     . = +0, never used
 *
 *   B[k][j] lies at element  (j / NR) * b_panel  +  k * ldb  +  j % NR.
 *   Packed: ldb = NR, b_panel = K * NR. A row-major B needs no packing: ldb as it is, b_panel = NR.
 *   With b_from the first rows of C read B where it lies and leave it packed for the rows below.
 *
 * Edges      any m and n; the kernel masks. C outside m x n is neither read nor written; of B only
 *            the n columns are read.
 * beta       0 or 1. With 0, C is not read: it may hold NaN or be uninitialised.
 * Empty      K = 0 gives epi(beta * C). m = 0 or n = 0 does nothing.
 * Alignment  every pointer only to its element; packed panels best at 64 bytes.
 * Aliasing   C overlaps neither A nor B.
 * Terms      with `terms` the block sums a list of products into C, each k long (batch-reduce gemm,
 *            for convolutions by taps): the same chain as one product with the terms end to end.
 * Order      block, tiny and small_nn: one chain of fused multiply-adds over k = 0 .. K-1 starting
 *            from beta * C (from +0), rounded to f32 at each step: the same at edges, for any split
 *            of K, any tile and any thread.
 *            small_nt: one partial sum for each 64 bytes of k (16 floats, 8 doubles), then a fixed
 *            tree that halves them, whatever m and n are.
 *            Both are the same in every row but ref: avx2 == avx512 bit for bit. ref: f64 sum,
 *            rounded once. gemm_plan.h says which path takes which kernel.
 * Error      class dot(n), n = K + 1, before epi: |got - exact| <= n u / (1 - n u) * S with
 *            u = 2^-24, S = |beta C| + sum |a| |b|.
 */
#ifndef LMN_KERNELS_GEMM_H
#define LMN_KERNELS_GEMM_H

#include "kernels/gemm/epi.h"
#include "kernels/krow.h"

#define GEMM_T(name) lmn_gemm_##name
#define GEMM_REAL float
#include "kernels/gemm/gemm_types.h"
#undef GEMM_T
#undef GEMM_REAL

extern const lmn_gemm_row lmn_gemm_f32_rows[];
extern const int32_t lmn_gemm_f32_n_rows;

#endif
