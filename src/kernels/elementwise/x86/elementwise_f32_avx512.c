/*
 * f32 elementwise row for AVX-512: the loops of elementwise_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/elementwise/elementwise_tmpl.h"

lmn_unary_fn lmn_elementwise_f32_unary_avx512;
lmn_binary_fn lmn_elementwise_f32_binary_avx512;

void lmn_elementwise_f32_unary_avx512(const lmn_unary_block *b)
{
    unary_run(b);
}
void lmn_elementwise_f32_binary_avx512(const lmn_binary_block *b)
{
    binary_run(b);
}
