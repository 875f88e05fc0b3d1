/*
 * The table of wino rows, made from wino_variants.h: declarations first, then the rows.
 */
#include "kernels/conv/wino.h"

#define X(dt, var, isa, prio)                        \
    lmn_wino_input_fn lmn_wino_##dt##_input_##var;   \
    lmn_wino_output_fn lmn_wino_##dt##_output_##var; \
    lmn_wino_weights_fn lmn_wino_##dt##_weights_##var;
#include "kernels/conv/wino_variants.h"
#undef X

const lmn_wino_row lmn_wino_f32_rows[] = {
#define X(dt, var, isa, prio)                                         \
    {LMN_KROW(wino, dt, var, isa, prio), lmn_wino_##dt##_input_##var, \
     lmn_wino_##dt##_output_##var, lmn_wino_##dt##_weights_##var},
#include "kernels/conv/wino_variants.h"
#undef X
};
const int32_t lmn_wino_f32_n_rows = (int32_t)LMN_COUNT(lmn_wino_f32_rows);
