/*
 * The table of pool rows, made from pool_variants.h: declarations first, then the rows.
 */
#include "kernels/conv/pool.h"

#define X(dt, var, isa, prio) lmn_pool_fn lmn_pool_##dt##_##var;
#include "kernels/conv/pool_variants.h"
#undef X

const lmn_pool_row lmn_pool_f32_rows[] = {
#define X(dt, var, isa, prio) {LMN_KROW(pool, dt, var, isa, prio), lmn_pool_##dt##_##var},
#include "kernels/conv/pool_variants.h"
#undef X
};
const int32_t lmn_pool_f32_n_rows = (int32_t)LMN_COUNT(lmn_pool_f32_rows);
