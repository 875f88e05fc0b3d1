/*
 * Mod (ai.onnx, since 10): A - floor(A/B) * B with the sign of B, or with fmod = 1 the remainder of
 * truncation with the sign of A. Integers by zero give 0. Floats follow Python: a zero result has
 * the sign of B; NaN for an infinite A or a zero B.
 */
#include "ops/ew.h"

#include <math.h>

static double floor_mod(double a, double b)
{
    double r = fmod(a, b);
    if (r == 0) return copysign(0.0, b);
    return (r < 0) != (b < 0) ? r + b : r;
}

static int64_t trunc_mod_i64(int64_t a, int64_t b)
{
    return b == 0 || b == -1 ? 0 : a % b;
}

static int64_t floor_mod_i64(int64_t a, int64_t b)
{
    const int64_t r = trunc_mod_i64(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

LMN_EW_BIN(floor_f64, double, double, floor_mod(a, b))
LMN_EW_BIN(trunc_f64, double, double, fmod(a, b))
LMN_EW_BIN(floor_i64, int64_t, int64_t, floor_mod_i64(a, b))
LMN_EW_BIN(trunc_i64, int64_t, int64_t, trunc_mod_i64(a, b))
LMN_EW_BIN(mod_u64, uint64_t, uint64_t, b ? a % b : 0)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl FLOOR = {.f64 = floor_f64, .i64 = floor_i64, .u64 = mod_u64},
                             TRUNC = {.f64 = trunc_f64, .i64 = trunc_i64, .u64 = mod_u64};
    return lmn_ew_eval(ec, lmn_attr_i(ec->node, "fmod", 0) ? &TRUNC : &FLOOR, NULL);
}

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    if (!lmn_ew_dim_usable(v[0]) || !lmn_ew_dim_usable(v[1])) return LMN_DIM_UNKNOWN;
    if (lmn_dim_is_const(v[0]) && lmn_dim_is_const(v[1])) {
        const int64_t a = lmn_dim_value(v[0]), b = lmn_dim_value(v[1]);
        return lmn_dim_c(lmn_attr_i(ic->node, "fmod", 0) ? trunc_mod_i64(a, b)
                                                         : floor_mod_i64(a, b));
    }
    int64_t lo_a, lo_b, hi;
    lmn_ew_dim_range(ic, v[0], &lo_a, &hi);
    lmn_ew_dim_range(ic, v[1], &lo_b, &hi);
    if (lo_a < 0 || lo_b <= 0) return LMN_DIM_UNKNOWN;
    const lmn_dim q = lmn_dim_floordiv(ic->dims, v[0], v[1]);
    return lmn_dim_sub(ic->dims, v[0], lmn_dim_mul(ic->dims, q, v[1]));
}

static lamina_status infer_op(lmn_infer *ic)
{
    return lmn_ew_infer(ic, dim_fn);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_NUM}, {"B", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_port OUT[] = {{"C", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_attr_schema ATTRS[] = {{"fmod", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Mod = {
    .domain = "",
    .name = "Mod",
    .since = 10,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
};
