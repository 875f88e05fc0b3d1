/*
 * ReduceProd (ai.onnx, since 1): product over axes; integers wrap, the product of nothing is 1.
 */
#include "ops/reduce.h"

LMN_REDUCER(prod_f64, double, double, 1, a *= x, a)
LMN_REDUCER(prod_u64, uint64_t, uint64_t, 1, a *= x, a)

/* The bits of signed and unsigned products are the same. */
static const lmn_reduce_impl IMPL = {&prod_f64, &prod_u64, &prod_u64};

static lmn_dim dim_fn(lmn_dim_pool *p, lmn_dim acc, lmn_dim next)
{
    return lmn_dim_mul(p, acc, next);
}

LMN_REDUCE_OP(Prod, LMN_REDUCE_WIDE, LMN_OP_INT_LATTICE);
