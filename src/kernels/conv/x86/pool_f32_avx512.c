/*
 * f32 pool row for AVX512: the loops of pool_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/conv/pool_tmpl.h"

lmn_pool_fn lmn_pool_f32_avx512;

void lmn_pool_f32_avx512(const lmn_pool_block *b)
{
    pool_run(b);
}
