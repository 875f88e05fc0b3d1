/*
 * f32 dwconv row for AVX512: the loops of dwconv_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/conv/dwconv_tmpl.h"

lmn_dwconv_fn lmn_dwconv_f32_avx512;

void lmn_dwconv_f32_avx512(const lmn_dwconv_block *b)
{
    dwconv_run(b);
}
