/*
 * Abs (ai.onnx, since 1): absolute value; the lowest integer of a type stays itself.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_UN(f32_fn, float, float, fabsf(x))
LMN_EW_UN(f64_fn, double, double, fabs(x))
LMN_EW_UN(i64_fn, int64_t, int64_t, x < 0 ? (int64_t)(0 - (uint64_t)x) : x)
LMN_EW_UN(u64_fn, uint64_t, uint64_t, x)

static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    if (!lmn_ew_dim_usable(v[0])) return LMN_DIM_UNKNOWN;
    int64_t lo, hi;
    lmn_ew_dim_range(ic, v[0], &lo, &hi);
    if (lo >= 0) return v[0];
    return hi <= 0 ? lmn_dim_sub(ic->dims, lmn_dim_c(0), v[0]) : LMN_DIM_UNKNOWN;
}

LMN_EW_OP_UN(Abs, 1, "X", "Y", LMN_D_NUM);
