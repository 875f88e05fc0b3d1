/*
 * Tiny f32 products for NEON: tiles of up to 8 x 8, 6 x 16 or 4 x 24.
 * See gemm_tiny_tmpl.h.
 */
#include "kernels/simd/simd_neon.h"
#include "kernels/gemm/gemm.h"

#define LEAN_WIDE 0
typedef lmn_gemm_tiny gemm_tiny;
#include "kernels/gemm/gemm_tiny_tmpl.h"

lmn_gemm_tiny_fn lmn_gemm_f32_tiny_neon;

void lmn_gemm_f32_tiny_neon(const lmn_gemm_tiny *t)
{
    tiny_run(t);
}
