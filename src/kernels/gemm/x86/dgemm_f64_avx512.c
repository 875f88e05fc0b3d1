/*
 * f64 gemm row for AVX512: 8 lanes, register tile 8 x 24, as in f32.
 */
#include "kernels/simd/simd_f64_avx512.h"
#include "kernels/gemm/dgemm.h"

#define GEMM_MR 8
#define GEMM_NV 3
#define GEMM_SMALL_M 4
#define GEMM_DOT_M 6
#define GEMM_DOT_N 4
#define GEMM_HALF 0
#define GEMM_EPI 0
typedef lmn_dgemm_block gemm_block;
typedef lmn_dgemm_terms gemm_terms;
#include "kernels/gemm/gemm_tmpl.h"

GEMM_DEFINE(dgemm, f64, double, avx512)
