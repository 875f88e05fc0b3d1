/*
 * f32 dwconv row for NEON: the loops of dwconv_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/conv/dwconv_tmpl.h"

lmn_dwconv_fn lmn_dwconv_f32_neon;
lmn_epi_fn lmn_gemm_f32_epi_neon;

void lmn_dwconv_f32_neon(const lmn_dwconv_block *b)
{
    dwconv_run(b, lmn_gemm_f32_epi_neon, false);
}
