/*
 * ReduceL1 (ai.onnx, since 1): sum of absolute values over axes.
 */
#include "ops/reduce.h"

#include <math.h>

LMN_REDUCER(l1_f64, double, double, 0, a += fabs(x), a)
LMN_REDUCER(l1_i64, int64_t, uint64_t, 0, a += x < 0 ? 0 - (uint64_t)x : (uint64_t)x, a)
LMN_REDUCER(l1_u64, uint64_t, uint64_t, 0, a += x, a)

static const lmn_reduce_impl IMPL = {&l1_f64, &l1_i64, &l1_u64};

static lmn_reduce_dim_fn *const dim_fn = NULL;

LMN_REDUCE_OP(L1, LMN_REDUCE_WIDE, 0);
