/*
 * The table of dwconv rows, made from dwconv_variants.h: declarations first, then the rows.
 */
#include "kernels/conv/dwconv.h"

#define X(dt, var, isa, prio, code) lmn_dwconv_fn lmn_dwconv_##dt##_##code;
#include "kernels/conv/dwconv_variants.h"
#undef X

const lmn_dwconv_row lmn_dwconv_f32_rows[] = {
#define X(dt, var, isa, prio, code) \
    {LMN_KROW(dwconv, dt, var, isa, prio), lmn_dwconv_##dt##_##code},
#include "kernels/conv/dwconv_variants.h"
#undef X
};
const int32_t lmn_dwconv_f32_n_rows = (int32_t)LMN_COUNT(lmn_dwconv_f32_rows);
