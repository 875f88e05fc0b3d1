/*
 * f32 im2col row for AVX512: the loops of im2col_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/conv/im2col_tmpl.h"

lmn_im2col_fn lmn_im2col_f32_avx512;

void lmn_im2col_f32_avx512(const lmn_im2col_block *b)
{
    im2col_run(b);
}
