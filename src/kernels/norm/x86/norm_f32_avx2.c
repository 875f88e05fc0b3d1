/*
 * f32 norm row for AVX2: the loops of norm_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/norm/norm_tmpl.h"

NORM_DEFINE(avx2)
