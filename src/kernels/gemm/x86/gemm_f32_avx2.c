/*
 * f32 gemm row for AVX2: 8 lanes, register tile 6 x 16 (12 accumulators, 2 of B, 1 broadcast of
 * 16).
 */
#include "kernels/simd/simd_avx2.h"
#include "kernels/gemm/gemm.h"

#define GEMM_MR 6
#define GEMM_NV 2
#define GEMM_SMALL_M 2
#define GEMM_DOT_M 3
#define GEMM_DOT_N 2
#define GEMM_HALF 0
#define GEMM_EPI 1
typedef lmn_gemm_block gemm_block;
typedef lmn_gemm_terms gemm_terms;
#include "kernels/gemm/gemm_tmpl.h"

GEMM_DEFINE(gemm, f32, float, avx2)
GEMM_DEFINE_EPI(avx2)
