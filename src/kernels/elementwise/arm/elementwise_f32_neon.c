/*
 * f32 elementwise row for NEON: the loops of elementwise_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/elementwise/elementwise_tmpl.h"

lmn_unary_fn lmn_elementwise_f32_unary_neon;
lmn_binary_fn lmn_elementwise_f32_binary_neon;

void lmn_elementwise_f32_unary_neon(const lmn_unary_block *b)
{
    unary_run(b);
}
void lmn_elementwise_f32_binary_neon(const lmn_binary_block *b)
{
    binary_run(b);
}
