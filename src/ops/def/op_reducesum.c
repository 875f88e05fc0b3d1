/*
 * ReduceSum (ai.onnx, since 1): sum over axes; integers wrap, nothing sums to 0.
 */
#include "ops/reduce.h"

LMN_REDUCER(sum_f64, double, double, 0, a += x, a)
LMN_REDUCER(sum_u64, uint64_t, uint64_t, 0, a += x, a)

/* The bits of signed and unsigned sums are the same. */
static const lmn_reduce_impl IMPL = {&sum_f64, &sum_u64, &sum_u64};

static lmn_dim dim_fn(lmn_dim_pool *p, lmn_dim acc, lmn_dim next)
{
    return lmn_dim_add(p, acc, next);
}

LMN_REDUCE_OP(Sum, LMN_REDUCE_WIDE, LMN_OP_INT_LATTICE);
