/*
 * ReduceMean (ai.onnx, since 1): mean over axes; integers truncate toward zero. The mean of nothing
 * is NaN, of integers 0.
 */
#include "ops/reduce.h"

LMN_REDUCER(mean_f64, double, double, 0, a += x, a / (double)count)
LMN_REDUCER(mean_i64, int64_t, uint64_t, 0, a += (uint64_t)x, count ? (int64_t)a / count : 0)
LMN_REDUCER(mean_u64, uint64_t, uint64_t, 0, a += x, count ? a / (uint64_t)count : 0)

static const lmn_reduce_impl IMPL = {&mean_f64, &mean_i64, &mean_u64};

static lmn_reduce_dim_fn *const dim_fn = NULL;

LMN_REDUCE_OP(Mean, LMN_REDUCE_WIDE, 0);
