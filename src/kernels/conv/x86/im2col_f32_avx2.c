/*
 * f32 im2col row for AVX2: the loops of im2col_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/conv/im2col_tmpl.h"

lmn_im2col_fn lmn_im2col_f32_avx2;

void lmn_im2col_f32_avx2(const lmn_im2col_block *b)
{
    im2col_run(b);
}
