/*
 * The blocked GEMM driver for f64: gemm_plan.h with doubles, and without an epilogue.
 */
#ifndef LMN_KERNELS_DGEMM_PLAN_H
#define LMN_KERNELS_DGEMM_PLAN_H

#include "kernels/gemm/dgemm.h"
#include "kernels/gemm/gemm_plan.h"

#define GEMM_T(name) lmn_dgemm_##name
#define GEMM_F(name) lmn_dgemm_f64_##name
#define GEMM_REAL double
#include "kernels/gemm/gemm_plan_types.h"
#undef GEMM_T
#undef GEMM_F
#undef GEMM_REAL

#endif
