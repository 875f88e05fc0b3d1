/*
 * f32 cell row for AVX-512: the loops of cell_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#include "kernels/cell/cell_tmpl.h"

lmn_cell_fn lmn_cell_f32_avx512;

void lmn_cell_f32_avx512(const lmn_cell_block *b)
{
    cell_run(b);
}
