/*
 * f32 cell row for NEON: the loops of cell_tmpl.h on eight lanes.
 */
#include "kernels/simd/simd_neon.h"

#include "kernels/cell/cell_tmpl.h"

lmn_cell_fn lmn_cell_f32_neon;

void lmn_cell_f32_neon(const lmn_cell_block *b)
{
    cell_run(b);
}
