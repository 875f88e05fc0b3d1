/*
 * ReduceLogSum (ai.onnx, since 1): logarithm of the sum over axes; of nothing -inf. Integers, which
 * older opsets allow, are computed in f64 and truncated.
 */
#include "ops/reduce.h"

#include <math.h>

LMN_REDUCER(log_f64, double, double, 0, a += x, log(a))

static const lmn_reduce_impl IMPL = {&log_f64, NULL, NULL};

static lmn_reduce_dim_fn *const dim_fn = NULL;

LMN_REDUCE_OP(LogSum, LMN_REDUCE_WIDE, 0);
