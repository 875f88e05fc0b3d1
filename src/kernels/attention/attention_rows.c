/*
 * The table of attention rows, made from attention_variants.h: declarations first, then the rows.
 */
#include "kernels/attention/attention.h"

#define X(dt, var, isa, prio)                                  \
    lmn_attention_soften_fn lmn_attention_##dt##_soften_##var; \
    lmn_attention_merge_fn lmn_attention_##dt##_merge_##var;   \
    lmn_attention_finish_fn lmn_attention_##dt##_finish_##var;
#include "kernels/attention/attention_variants.h"
#undef X

const lmn_attention_row lmn_attention_f32_rows[] = {
#define X(dt, var, isa, prio)                                                    \
    {LMN_KROW(attention, dt, var, isa, prio), lmn_attention_##dt##_soften_##var, \
     lmn_attention_##dt##_merge_##var, lmn_attention_##dt##_finish_##var},
#include "kernels/attention/attention_variants.h"
#undef X
};
const int32_t lmn_attention_f32_n_rows = (int32_t)LMN_COUNT(lmn_attention_f32_rows);
