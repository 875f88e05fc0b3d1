/*
 * f32 norm row for AVX-512: the loops of norm_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/norm/norm_tmpl.h"

NORM_DEFINE(avx512)
