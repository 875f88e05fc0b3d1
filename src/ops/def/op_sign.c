/*
 * Sign (ai.onnx, since 9): -1, 0 or 1 by the sign of x; zeros and NaN pass.
 */
#include "ops/ew.h"

LMN_EW_UN(f32_fn, float, float, x > 0 ? 1 : x < 0 ? -1 : x)
LMN_EW_UN(f64_fn, double, double, x > 0 ? 1 : x < 0 ? -1 : x)
LMN_EW_UN(i64_fn, int64_t, int64_t, (x > 0) - (x < 0))
LMN_EW_UN(u64_fn, uint64_t, uint64_t, x != 0)

static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    if (!lmn_ew_dim_usable(v[0])) return LMN_DIM_UNKNOWN;
    int64_t lo, hi;
    lmn_ew_dim_range(ic, v[0], &lo, &hi);
    if (lo > 0) return lmn_dim_c(1);
    if (hi < 0) return lmn_dim_c(-1);
    return lo == 0 && hi == 0 ? lmn_dim_c(0) : LMN_DIM_UNKNOWN;
}

LMN_EW_OP_UN(Sign, 9, "input", "output", LMN_D_NUM);
