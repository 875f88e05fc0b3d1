/*
 * Div (ai.onnx, since 1): A / B with broadcast. Integers truncate toward zero; by zero gives 0,
 * and the lowest integer by -1 wraps to itself: nothing traps.
 */
#include "ops/ew.h"

static int64_t div_i64(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

LMN_EW_BIN(f32_fn, float, float, a / b)
LMN_EW_BIN(f64_fn, double, double, a / b)
LMN_EW_BIN(i64_fn, int64_t, int64_t, div_i64(a, b))
LMN_EW_BIN(u64_fn, uint64_t, uint64_t, b ? a / b : 0)

static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    if (!lmn_ew_dim_usable(v[0]) || !lmn_ew_dim_usable(v[1])) return LMN_DIM_UNKNOWN;
    if (lmn_dim_is_const(v[0]) && lmn_dim_is_const(v[1]))
        return lmn_dim_c(div_i64(lmn_dim_value(v[0]), lmn_dim_value(v[1])));
    int64_t lo_a, lo_b, hi;
    lmn_ew_dim_range(ic, v[0], &lo_a, &hi);
    lmn_ew_dim_range(ic, v[1], &lo_b, &hi);
    /* Truncation and floor agree where both are not negative; a divisor of 0 is nobody's intent. */
    return lo_a >= 0 && lo_b >= 0 ? lmn_dim_floordiv(ic->dims, v[0], v[1]) : LMN_DIM_UNKNOWN;
}

LMN_EW_OP_BIN(Div, 1, LMN_D_NUM, LMN_OP_INT_LATTICE);
