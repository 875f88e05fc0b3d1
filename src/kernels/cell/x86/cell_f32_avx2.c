/*
 * f32 cell row for AVX2: the loops of cell_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_avx2.h"

#include "kernels/cell/cell_tmpl.h"

lmn_cell_fn lmn_cell_f32_avx2;

void lmn_cell_f32_avx2(const lmn_cell_block *b)
{
    cell_run(b);
}
