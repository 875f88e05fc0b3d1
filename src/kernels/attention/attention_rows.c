/*
 * The table of attention rows, made from attention_variants.h: declarations first, then the rows.
 */
#include "kernels/attention/attention.h"

#define X(dt, var, isa, prio)                                  \
    lmn_attention_soften_fn lmn_attention_##dt##_soften_##var; \
    lmn_attention_weigh_fn lmn_attention_##dt##_weigh_##var;   \
    lmn_attention_merge_fn lmn_attention_##dt##_merge_##var;   \
    lmn_attention_finish_fn lmn_attention_##dt##_finish_##var;
#include "kernels/attention/attention_variants.h"
#undef X

/* Which variants hand on weights of 16 bits. */
#define WEIGH_ref(fn) NULL
#define WEIGH_avx2(fn) NULL
#define WEIGH_avx512(fn) NULL
#define WEIGH_avx512bf16(fn) fn
#define WEIGH_neon(fn) NULL
const lmn_attention_row lmn_attention_f32_rows[] = {
#define X(dt, var, isa, prio)                                                         \
    {LMN_KROW(attention, dt, var, isa, prio), lmn_attention_##dt##_soften_##var,      \
     WEIGH_##var(lmn_attention_##dt##_weigh_##var), lmn_attention_##dt##_merge_##var, \
     lmn_attention_##dt##_finish_##var},
#include "kernels/attention/attention_variants.h"
#undef X
};
const int32_t lmn_attention_f32_n_rows = (int32_t)LMN_COUNT(lmn_attention_f32_rows);
