/*
 * The table of elementwise rows, made from elementwise_variants.h: declarations first, then the
 * rows.
 */
#include "kernels/elementwise/elementwise.h"

#define X(dt, var, isa, prio)                        \
    lmn_unary_fn lmn_elementwise_##dt##_unary_##var; \
    lmn_binary_fn lmn_elementwise_##dt##_binary_##var;
#include "kernels/elementwise/elementwise_variants.h"
#undef X

const lmn_elementwise_row lmn_elementwise_f32_rows[] = {
#define X(dt, var, isa, prio)                                                       \
    {LMN_KROW(elementwise, dt, var, isa, prio), lmn_elementwise_##dt##_unary_##var, \
     lmn_elementwise_##dt##_binary_##var},
#include "kernels/elementwise/elementwise_variants.h"
#undef X
};
const int32_t lmn_elementwise_f32_n_rows = (int32_t)LMN_COUNT(lmn_elementwise_f32_rows);
