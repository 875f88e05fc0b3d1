/*
 * The table of cell rows, made from cell_variants.h: declarations first, then the rows.
 */
#include "kernels/cell/cell.h"

#define X(dt, var, isa, prio) lmn_cell_fn lmn_cell_##dt##_##var;
#include "kernels/cell/cell_variants.h"
#undef X

const lmn_cell_row lmn_cell_f32_rows[] = {
#define X(dt, var, isa, prio) {LMN_KROW(cell, dt, var, isa, prio), lmn_cell_##dt##_##var},
#include "kernels/cell/cell_variants.h"
#undef X
};
const int32_t lmn_cell_f32_n_rows = (int32_t)LMN_COUNT(lmn_cell_f32_rows);
