/*
 * f32 norm row for NEON: the loops of norm_tmpl.h on eight lanes of two registers.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/norm/norm_tmpl.h"

NORM_DEFINE(neon)
