/*
 * ReduceLogSumExp (ai.onnx, since 1): log(sum of e^x) over axes, of nothing -inf. Computed with a
 * running maximum m and s = sum of e^(x - m), so that nothing overflows. Integers as in
 * ReduceLogSum.
 */
#include "ops/reduce.h"

#include <math.h>

typedef struct running {
    double m, s;
} running;

static running add(running a, double x)
{
    if (x == a.m) return (running){a.m, isinf(x) && x < 0 ? 0 : a.s + 1};
    if (x < a.m) return (running){a.m, a.s + exp(x - a.m)};
    return (running){x, a.s * exp(a.m - x) + 1}; /* NaN comes here and stays in s */
}

LMN_REDUCER(lse_f64, double, running, ((running){-(double)INFINITY, 0}), a = add(a, x),
            a.m + log(a.s))

static const lmn_reduce_impl IMPL = {&lse_f64, NULL, NULL};

static lmn_reduce_dim_fn *const dim_fn = NULL;

LMN_REDUCE_OP(LogSumExp, LMN_REDUCE_WIDE, 0);
