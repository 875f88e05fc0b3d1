/*
 * f32 pool row for AVX2: the loops of pool_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/conv/pool_tmpl.h"

lmn_pool_fn lmn_pool_f32_avx2;

void lmn_pool_f32_avx2(const lmn_pool_block *b)
{
    pool_run(b);
}
