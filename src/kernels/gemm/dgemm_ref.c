/*
 * The portable gemm row in f64; see gemm_ref_tmpl.h.
 */
#include "kernels/gemm/dgemm.h"

lmn_dgemm_block_fn lmn_dgemm_f64_block_ref, lmn_dgemm_f64_small_nn_ref, lmn_dgemm_f64_small_nt_ref;
lmn_dgemm_pack_fn lmn_dgemm_f64_pack_nn_ref, lmn_dgemm_f64_pack_nt_ref;

static void end_block(const lmn_dgemm_block *t)
{
    (void)t;
    lmn_assert(!t->epi);
}

#define GEMM_T(name) lmn_dgemm_##name
#define GEMM_F(name) lmn_dgemm_f64_##name##_ref
#define GEMM_REAL double
#define GEMM_WIDE long double
#include "kernels/gemm/gemm_ref_tmpl.h"
