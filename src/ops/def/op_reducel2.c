/*
 * ReduceL2 (ai.onnx, since 1): square root of the sum of squares over axes; integers are computed
 * in f64 and truncated.
 */
#include "ops/reduce.h"

#include <math.h>

LMN_REDUCER(l2_f64, double, double, 0, a += x * x, sqrt(a))

static const lmn_reduce_impl IMPL = {&l2_f64, NULL, NULL};

static lmn_reduce_dim_fn *const dim_fn = NULL;

LMN_REDUCE_OP(L2, LMN_REDUCE_WIDE, 0);
