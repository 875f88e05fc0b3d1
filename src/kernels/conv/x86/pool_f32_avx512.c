/*
 * f32 pool row for AVX512: the loops of pool_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#define POOL_OWN_MAX
/* The larger of two numbers, +0 above -0; neither is NaN. */
VF_INLINE vf max_num(vf acc, vf x)
{
    return _mm512_range_ps(acc, x, 5);
}
#include "kernels/conv/pool_tmpl.h"

lmn_pool_fn lmn_pool_f32_avx512;

void lmn_pool_f32_avx512(const lmn_pool_block *b)
{
    pool_run(b);
}
