/*
 * Tiny f32 products for AVX512: tiles of up to 12 x 32 or 8 x 48; half a vector where that is
 * enough. See gemm_tiny_tmpl.h.
 */
#include "kernels/simd/simd_avx512.h"
#include "kernels/gemm/gemm.h"

#define LEAN_WIDE 1
typedef lmn_gemm_tiny gemm_tiny;
#include "kernels/gemm/gemm_tiny_tmpl.h"

lmn_gemm_tiny_fn lmn_gemm_f32_tiny_avx512;

void lmn_gemm_f32_tiny_avx512(const lmn_gemm_tiny *t)
{
    tiny_run(t);
}
