/*
 * Equal (ai.onnx, since 1): is A equal to B? With broadcast; false beside a NaN; strings by bytes.
 */
#include "ops/ew.h"

#include <string.h>

LMN_EW_BIN(f32_fn, float, bool, a == b)
LMN_EW_BIN(f64_fn, double, bool, a == b)
LMN_EW_BIN(u64_fn, uint64_t, bool, a == b)
LMN_EW_BIN(u32_fn, uint32_t, bool, a == b)

static bool same(lmn_str a, lmn_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
LMN_EW_BIN(str_fn, lmn_str, bool, same(a, b))

static const lmn_ew_impl IMPL = {.f32 = f32_fn,
                                 .f64 = f64_fn,
                                 .i64 = u64_fn,
                                 .u64 = u64_fn,
                                 .i32 = u32_fn,
                                 .str = str_fn,
                                 .out_bool = true};

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    int64_t lo[2], hi[2];
    for (int32_t i = 0; i < 2; i++) {
        if (!lmn_ew_dim_usable(v[i])) return LMN_DIM_UNKNOWN;
        lmn_ew_dim_range(ic, v[i], &lo[i], &hi[i]);
    }
    if (v[0] == v[1]) return lmn_dim_c(1); /* equal words are equal expressions */
    return hi[0] < lo[1] || hi[1] < lo[0] ? lmn_dim_c(0) : LMN_DIM_UNKNOWN;
}

LMN_EW_OP_BOOL(Equal, 1, LMN_D_NUM | LMN_D_BOOL | LMN_D_STRING, LMN_OP_COMMUTES);
