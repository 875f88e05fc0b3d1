/*
 * f64 gemm row for NEON: 4 lanes, register tile 6 x 8, as in f32.
 */
#include "kernels/simd/simd_f64_neon.h"
#include "kernels/gemm/dgemm.h"

#define GEMM_MR 6
#define GEMM_NV 2
#define GEMM_SMALL_M 2
#define GEMM_DOT_M 3
#define GEMM_DOT_N 2
#define GEMM_HALF 0
#define GEMM_EPI 0
typedef lmn_dgemm_block gemm_block;
typedef lmn_dgemm_terms gemm_terms;
#include "kernels/gemm/gemm_tmpl.h"

lmn_dgemm_block_fn lmn_dgemm_f64_block_neon, lmn_dgemm_f64_small_nn_neon,
    lmn_dgemm_f64_small_nt_neon;
lmn_dgemm_pack_fn lmn_dgemm_f64_pack_nn_neon, lmn_dgemm_f64_pack_nt_neon;

void lmn_dgemm_f64_block_neon(const lmn_dgemm_block *t)
{
    block_run(t);
}
void lmn_dgemm_f64_small_nn_neon(const lmn_dgemm_block *t)
{
    small_nn_run(t);
}
void lmn_dgemm_f64_small_nt_neon(const lmn_dgemm_block *t)
{
    small_nt_run(t);
}
void lmn_dgemm_f64_pack_nn_neon(double *restrict packed, const double *restrict b, int64_t ldb,
                                int64_t k, int64_t n)
{
    pack_nn_run(packed, b, ldb, k, n);
}
void lmn_dgemm_f64_pack_nt_neon(double *restrict packed, const double *restrict b, int64_t ldb,
                                int64_t k, int64_t n)
{
    pack_nt_run(packed, b, ldb, k, n);
}
