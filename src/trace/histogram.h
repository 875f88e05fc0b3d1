/*
 * Log-linear buckets of a histogram: 16 a power of two, so that the middle of a bucket is within
 * 1/32 of every value in it. Cells of a histogram: the sum, then the counts.
 */
#ifndef LMN_TRACE_HISTOGRAM_H
#define LMN_TRACE_HISTOGRAM_H

#include "base/types.h"

#define LMN_HIST_SUB 16u
#define LMN_HIST_BUCKETS (61u * LMN_HIST_SUB)
static inline uint32_t lmn_hist_bucket(uint64_t v)
{
    if (v < LMN_HIST_SUB) return (uint32_t)v;
    const uint32_t top = 63u - (uint32_t)__builtin_clzll(v); /* >= 4 */
    return (top - 3) * LMN_HIST_SUB + (uint32_t)(v >> (top - 4) & (LMN_HIST_SUB - 1));
}
/* Least value of a bucket. */
static inline uint64_t lmn_hist_floor(uint32_t bucket)
{
    if (bucket < LMN_HIST_SUB) return bucket;
    const uint32_t top = bucket / LMN_HIST_SUB + 3;
    return (uint64_t)(LMN_HIST_SUB + bucket % LMN_HIST_SUB) << (top - 4);
}

#endif
