/*
 * f32 dwconv row for AVX2: the loops of dwconv_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/conv/dwconv_tmpl.h"

lmn_dwconv_fn lmn_dwconv_f32_avx2;
lmn_epi_fn lmn_gemm_f32_epi_avx2;

void lmn_dwconv_f32_avx2(const lmn_dwconv_block *b)
{
    dwconv_run(b, lmn_gemm_f32_epi_avx2, false);
}
