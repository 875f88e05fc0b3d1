/*
 * What the files of the attention driver share: the pieces of scratch, and extents of bf16.
 */
#ifndef LMN_KERNELS_ATTENTION_PARTS_H
#define LMN_KERNELS_ATTENTION_PARTS_H

#include "kernels/attention/attention_plan.h"
#include "kernels/hgemm/hgemm_plan.h"

enum { AT_Q, AT_O, AT_TOP, AT_SUM, AT_LO, AT_HI, AT_S, AT_K, AT_V, AT_P, AT_WIDE };

/* k of a product in bf16, in whole groups. */
static inline int64_t lmn_attention_whole_k(const lmn_attention_plan *p, int64_t k)
{
    return lmn_round_up_i64(k, lmn_max_i64(2, p->half->group));
}
/* From row to row of the weights: not a multiple of 4 KiB. */
static inline int64_t lmn_attention_weight_step(const lmn_attention_plan *p)
{
    return lmn_attention_whole_k(p, p->block) + 32;
}

#endif
