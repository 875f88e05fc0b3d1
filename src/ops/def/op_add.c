/*
 * Add (ai.onnx, since 1): A + B with broadcast; integers wrap.
 */
#include "ops/ew.h"

LMN_EW_BIN(f32_fn, float, float, a + b)
LMN_EW_BIN(f64_fn, double, double, a + b)
LMN_EW_BIN(i64_fn, int64_t, int64_t, (uint64_t)a + (uint64_t)b)
LMN_EW_BIN(u64_fn, uint64_t, uint64_t, a + b)

static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    if (!lmn_ew_dim_usable(v[0]) || !lmn_ew_dim_usable(v[1])) return LMN_DIM_UNKNOWN;
    return lmn_dim_add(ic->dims, v[0], v[1]);
}

LMN_EW_OP_BIN(Add, 1, LMN_D_NUM, LMN_OP_COMMUTES | LMN_OP_INT_LATTICE);
