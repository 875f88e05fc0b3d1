/*
 * GreaterOrEqual (ai.onnx, since 12): is A above or equal to B? With broadcast; false beside a NaN.
 */
#include "ops/ew.h"

LMN_EW_BIN(f32_fn, float, bool, a >= b)
LMN_EW_BIN(f64_fn, double, bool, a >= b)
LMN_EW_BIN(i64_fn, int64_t, bool, a >= b)
LMN_EW_BIN(u64_fn, uint64_t, bool, a >= b)

static const lmn_ew_impl IMPL = {
    .f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn, .out_bool = true};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    int64_t lo[2], hi[2];
    for (int32_t i = 0; i < 2; i++) {
        if (!lmn_ew_dim_usable(v[i])) return LMN_DIM_UNKNOWN;
        lmn_ew_dim_range(ic, v[i], &lo[i], &hi[i]);
    }
    if (lo[0] >= hi[1]) return lmn_dim_c(1);
    return hi[0] < lo[1] ? lmn_dim_c(0) : LMN_DIM_UNKNOWN;
}

LMN_EW_OP_BOOL(GreaterOrEqual, 12, LMN_D_NUM, 0);
