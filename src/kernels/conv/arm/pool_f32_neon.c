/*
 * f32 pool row for NEON: the loops of pool_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/conv/pool_tmpl.h"

lmn_pool_fn lmn_pool_f32_neon;

void lmn_pool_f32_neon(const lmn_pool_block *b)
{
    pool_run(b);
}
