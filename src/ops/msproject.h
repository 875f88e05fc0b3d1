/*
 * Attention and QAttention (com.microsoft) as an input projection and MultiHeadAttention: what lies
 * behind the projection is the same.
 */
#ifndef LMN_OPS_MSPROJECT_H
#define LMN_OPS_MSPROJECT_H

#include "ops/msmap.h"

/* qkv: [B, S, widths of query, key, value]; sizes NULL = equal thirds. past and the others may be
   absent. Fills outputs 0 (and 1, the stacked cache). */
typedef struct lmn_map_projected {
    lmn_ref qkv, mask, past, attention_bias;
    const int64_t *sizes;
} lmn_map_projected;
void lmn_map_project(lmn_map *m, const lmn_map_projected *p);

#endif
