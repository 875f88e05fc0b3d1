/*
 * ReduceSumSquare (ai.onnx, since 1): sum of squares over axes; integers wrap.
 */
#include "ops/reduce.h"

LMN_REDUCER(sq_f64, double, double, 0, a += x * x, a)
LMN_REDUCER(sq_u64, uint64_t, uint64_t, 0, a += x * x, a)

/* The bits of signed and unsigned squares are the same. */
static const lmn_reduce_impl IMPL = {&sq_f64, &sq_u64, &sq_u64};

static lmn_reduce_dim_fn *const dim_fn = NULL;

LMN_REDUCE_OP(SumSquare, LMN_REDUCE_WIDE, 0);
