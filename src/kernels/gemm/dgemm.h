/*
 * GEMM family, f64: everything as gemm.h says, in doubles. Differences: there is no epilogue (epi
 * is NULL, the row's too), and the error class dot(n) has u = 2^-53; ref sums in long double.
 */
#ifndef LMN_KERNELS_DGEMM_H
#define LMN_KERNELS_DGEMM_H

#include "kernels/gemm/gemm.h"

#define GEMM_T(name) lmn_dgemm_##name
#define GEMM_REAL double
#include "kernels/gemm/gemm_types.h"
#undef GEMM_T
#undef GEMM_REAL

extern const lmn_dgemm_row lmn_dgemm_f64_rows[];
extern const int32_t lmn_dgemm_f64_n_rows;

#endif
