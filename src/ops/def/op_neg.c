/*
 * Neg (ai.onnx, since 1): -x; the lowest integer of a type stays itself.
 */
#include "ops/ew.h"

LMN_EW_UN(f32_fn, float, float, -x)
LMN_EW_UN(f64_fn, double, double, -x)
LMN_EW_UN(i64_fn, int64_t, int64_t, 0 - (uint64_t)x)

static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    if (!lmn_ew_dim_usable(v[0])) return LMN_DIM_UNKNOWN;
    return lmn_dim_sub(ic->dims, lmn_dim_c(0), v[0]);
}

LMN_EW_OP_UN(Neg, 1, "X", "Y", LMN_D_FLOAT | LMN_D_SINT);
