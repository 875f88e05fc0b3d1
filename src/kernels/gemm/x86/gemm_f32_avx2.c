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

lmn_gemm_block_fn lmn_gemm_f32_block_avx2, lmn_gemm_f32_small_nn_avx2, lmn_gemm_f32_small_nt_avx2;
lmn_gemm_pack_fn lmn_gemm_f32_pack_nn_avx2, lmn_gemm_f32_pack_nt_avx2;
lmn_epi_fn lmn_gemm_f32_epi_avx2;

void lmn_gemm_f32_block_avx2(const lmn_gemm_block *t)
{
    block_run(t);
}
void lmn_gemm_f32_small_nn_avx2(const lmn_gemm_block *t)
{
    small_nn_run(t);
}
void lmn_gemm_f32_small_nt_avx2(const lmn_gemm_block *t)
{
    small_nt_run(t);
}
void lmn_gemm_f32_pack_nn_avx2(float *restrict packed, const float *restrict b, int64_t ldb,
                               int64_t k, int64_t n)
{
    pack_nn_run(packed, b, ldb, k, n);
}
void lmn_gemm_f32_pack_nt_avx2(float *restrict packed, const float *restrict b, int64_t ldb,
                               int64_t k, int64_t n)
{
    pack_nt_run(packed, b, ldb, k, n);
}
void lmn_gemm_f32_epi_avx2(const lmn_epi *epi, const lmn_epi_block *block)
{
    epi_apply(epi, block);
}
