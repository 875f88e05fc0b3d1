/*
 * f32 gemm row for AVX512: 16 lanes, register tile 8 x 48 (24 accumulators, 3 of B of 32): it
 * divides the usual channel and hidden sizes, and with A unpacked it measured 99 % of the FMA peak.
 * Up to eight columns use 256-bit vectors, which run two an issue: 196 columns (14 x 14) are 4
 * panels and 4.
 */
#include "kernels/simd/simd_avx512.h"
#include "kernels/gemm/gemm.h"

#define GEMM_MR 8
#define GEMM_NV 3
#define GEMM_SMALL_M 4
#define GEMM_DOT_M 6
#define GEMM_DOT_N 4
#define GEMM_HALF 1
#define GEMM_EPI 1
typedef lmn_gemm_block gemm_block;
typedef lmn_gemm_terms gemm_terms;
#include "kernels/gemm/gemm_tmpl.h"

lmn_gemm_block_fn lmn_gemm_f32_block_avx512, lmn_gemm_f32_small_nn_avx512,
    lmn_gemm_f32_small_nt_avx512;
lmn_gemm_pack_fn lmn_gemm_f32_pack_nn_avx512, lmn_gemm_f32_pack_nt_avx512;
lmn_epi_fn lmn_gemm_f32_epi_avx512;

void lmn_gemm_f32_block_avx512(const lmn_gemm_block *t)
{
    block_run(t);
}
void lmn_gemm_f32_small_nn_avx512(const lmn_gemm_block *t)
{
    small_nn_run(t);
}
void lmn_gemm_f32_small_nt_avx512(const lmn_gemm_block *t)
{
    small_nt_run(t);
}
void lmn_gemm_f32_pack_nn_avx512(float *restrict packed, const float *restrict b, int64_t ldb,
                                 int64_t k, int64_t n)
{
    pack_nn_run(packed, b, ldb, k, n);
}
void lmn_gemm_f32_pack_nt_avx512(float *restrict packed, const float *restrict b, int64_t ldb,
                                 int64_t k, int64_t n)
{
    pack_nt_run(packed, b, ldb, k, n);
}
void lmn_gemm_f32_epi_avx512(const lmn_epi *epi, const lmn_epi_block *block)
{
    epi_apply(epi, block);
}
