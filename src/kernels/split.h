/*
 * How plans cut an extent into blocks.
 */
#ifndef LMN_KERNELS_SPLIT_H
#define LMN_KERNELS_SPLIT_H

#include "base/types.h"

/* The size of equal blocks of at most `most`, each a multiple of `unit`. */
static inline int64_t lmn_split_even(int64_t total, int64_t most, int64_t unit)
{
    const int64_t blocks = lmn_max_i64(1, lmn_ceil_div_i64(total, most));
    return lmn_max_i64(unit, lmn_round_up_i64(lmn_ceil_div_i64(total, blocks), unit));
}

#endif
