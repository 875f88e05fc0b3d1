/*
 * The blocked driver for f64; see gemm_plan_tmpl.h.
 */
#include "kernels/gemm/dgemm_plan.h"

#define GEMM_T(name) lmn_dgemm_##name
#define GEMM_F(name) lmn_dgemm_f64_##name
#define GEMM_REAL double

/* There are no epilogues in f64 (dgemm.h). */
static void run_epilogue(const lmn_dgemm_plan *p, const lmn_dgemm_args *args,
                         const lmn_dgemm_block *t)
{
    (void)p, (void)args, (void)t;
    lmn_assert(!args->epi);
}

#include "kernels/gemm/gemm_plan_tmpl.h"
