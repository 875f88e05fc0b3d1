/*
 * ReduceMax (ai.onnx, since 1): largest element over axes; a NaN wins. Of nothing: -inf, the lowest
 * integer, false.
 */
#include "ops/reduce.h"

#include <math.h>

LMN_REDUCER(max_f64, double, double, -(double)INFINITY, if (x > a || x != x) a = x, a)
LMN_REDUCER(max_i64, int64_t, int64_t, lmn_reduce_lowest(dt), if (x > a) a = x, a)
LMN_REDUCER(max_u64, uint64_t, uint64_t, 0, if (x > a) a = x, a)

static const lmn_reduce_impl IMPL = {&max_f64, &max_i64, &max_u64};

static lmn_dim dim_fn(lmn_dim_pool *p, lmn_dim acc, lmn_dim next)
{
    return lmn_dim_max(p, acc, next);
}

LMN_REDUCE_OP(Max, LMN_REDUCE_WIDE | LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_I8) | LMN_D_BOOL,
              LMN_OP_INT_LATTICE);
