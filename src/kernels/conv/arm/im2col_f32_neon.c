/*
 * f32 im2col row for NEON: the loops of im2col_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/conv/im2col_tmpl.h"

lmn_im2col_fn lmn_im2col_f32_neon;

void lmn_im2col_f32_neon(const lmn_im2col_block *b)
{
    im2col_run(b);
}
