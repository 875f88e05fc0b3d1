/*
 * The blocked driver for f32; see gemm_plan_tmpl.h.
 */
#include "kernels/gemm/gemm_plan.h"

#define GEMM_T(name) lmn_gemm_##name
#define GEMM_F(name) lmn_gemm_f32_##name
#define GEMM_REAL float

/* For the paths whose kernels do not apply it. */
static void run_epilogue(const lmn_gemm_plan *p, const lmn_gemm_args *args, const lmn_gemm_block *t)
{
    const lmn_epi_block e = {t->c, t->ldc, t->row, t->col, t->m, t->n, t->item};
    p->row->epi(args->epi, &e);
}

#include "kernels/gemm/gemm_plan_tmpl.h"
