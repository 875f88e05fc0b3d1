/*
 * Range (ai.onnx, since 11): start + i * delta for i < max(ceil((limit - start) / delta), 0).
 * Integers are exact; floats are computed in f64 and rounded once. delta 0, NaN or no end is an
 * error.
 */
#include "ops/shapes.h"
#include "ops/wide.h"

#include <math.h>

/* Elements of an integer range, exact for the whole of int64. */
static int64_t int_count(int64_t start, int64_t limit, int64_t delta)
{
    if (delta > 0 ? limit <= start : limit >= start) return 0;
    const uint64_t span =
        delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    const uint64_t by = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    const uint64_t n = (span - 1) / by + 1;
    return n > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)n;
}

/* Length of a range in f64: -1 if there is none. */
static int64_t real_count(double start, double limit, double delta)
{
    const double n = ceil((limit - start) / delta);
    if (delta == 0 || isnan(n) || n > 9e15) return -1;
    return n > 0 ? (int64_t)n : 0;
}

static bool is_real(lamina_dtype dt)
{
    return lmn_dtype_class(dt) == LMN_CLASS_FLOAT;
}

static void infer_floats(lmn_infer *ic, lmn_fact *f)
{
    double v[3];
    for (int32_t i = 0; i < 3; i++) {
        const lamina_tensor *t = ic->in_const ? ic->in_const[i] : NULL;
        if (!t || t->strided || lmn_count(t) != 1 || !is_real(t->dtype)) return;
        v[i] = lmn_get_f64(t, 0);
    }
    const int64_t n = real_count(v[0], v[1], v[2]);
    if (n >= 0) f->dims[0] = lmn_dim_c(n);
}

static lamina_status infer_range(lmn_infer *ic)
{
    const lmn_dim *s, *l, *d;
    lmn_fact *f;
    int64_t lo, hi;
    LMN_TRY(lmn_infer_shape(ic, 0, 1, &f));
    if (is_real(f->dtype)) infer_floats(ic, f);
    if (lmn_infer_elems(ic, 0, &s) != 1 || lmn_infer_elems(ic, 1, &l) != 1 ||
        lmn_infer_elems(ic, 2, &d) != 1 || !lmn_dim_known(*d) || !lmn_dim_is_const(*d))
        return LAMINA_OK;
    if (lmn_dim_value(*d) == 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use a delta that is not 0", "delta is 0");
    const bool up = lmn_dim_value(*d) > 0;
    const lmn_dim span = up ? lmn_dim_sub(ic->dims, *l, *s) : lmn_dim_sub(ic->dims, *s, *l);
    if (!lmn_dim_known(span)) return LAMINA_OK;
    lmn_dim_range(ic->dims, span, &lo, &hi);
    const lmn_dim some = lo >= 0 ? span : lmn_dim_max(ic->dims, span, lmn_dim_c(0));
    const int64_t by = up ? lmn_dim_value(*d) : -lmn_dim_value(*d);
    f->dims[0] = lmn_dim_ceildiv(ic->dims, some, lmn_dim_c(by));
    if (!lmn_dim_known(f->dims[0]) || !lmn_dim_is_const(f->dims[0])) return LAMINA_OK;
    const int64_t n = lmn_dim_value(f->dims[0]);
    if (n > LMN_FACT_MAX_ELEMS) return LAMINA_OK;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, (int32_t)n);
    for (int64_t i = 0; e && i < n; i++)
        e[i] = lmn_dim_add(ic->dims, *s, lmn_dim_c(i * lmn_dim_value(*d)));
    return LAMINA_OK;
}

static lamina_status range_ints(lmn_eval *ec, const lamina_tensor *const *in)
{
    const int64_t start = lmn_get_i64(in[0], 0), delta = lmn_get_i64(in[2], 0);
    lamina_tensor *t;
    if (delta == 0) return lmn_eval_fail(ec, LAMINA_E_INVALID, "delta is 0");
    const int64_t n = int_count(start, lmn_get_i64(in[1], 0), delta);
    LMN_TRY(lmn_check_grown(ec, in[0]->dtype, 1, &n));
    LMN_TRY(lmn_out(ec, 0, in[0]->dtype, 1, &n, &t));
    for (int64_t i = 0; t && i < n; i++)
        lmn_set_i64(t, i, (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)delta));
    return LAMINA_OK;
}

static lamina_status range_reals(lmn_eval *ec, const lamina_tensor *const *in)
{
    const double start = lmn_get_f64(in[0], 0), delta = lmn_get_f64(in[2], 0);
    const int64_t n = real_count(start, lmn_get_f64(in[1], 0), delta);
    lamina_tensor *t;
    if (n < 0) return lmn_eval_fail(ec, LAMINA_E_INVALID, "delta is 0, or the range has no end");
    LMN_TRY(lmn_check_grown(ec, in[0]->dtype, 1, &n));
    LMN_TRY(lmn_out(ec, 0, in[0]->dtype, 1, &n, &t));
    for (int64_t i = 0; t && i < n; i++) lmn_set_f64(t, i, start + (double)i * delta);
    return LAMINA_OK;
}

static lamina_status eval_range(lmn_eval *ec)
{
    const lamina_tensor *in[3];
    LMN_TRY(lmn_eval_ready(ec));
    for (int32_t i = 0; i < 3; i++) {
        LMN_TRY(lmn_need(ec, i, &in[i]));
        if (lmn_count(in[i]) != 1 || in[i]->dtype != in[0]->dtype)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "start, limit and delta must be one %s each",
                                 lamina_dtype_name(in[0]->dtype));
    }
    return is_real(in[0]->dtype) ? range_reals(ec, in) : range_ints(ec, in);
}

#define TYPES (LMN_D_FLOAT | LMN_DBIT(LAMINA_I16) | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
static const lmn_port IN[] = {
    {"start", 'T', 0, TYPES}, {"limit", 'T', 0, TYPES}, {"delta", 'T', 0, TYPES}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"stash_type", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Range = {
    .name = "Range",
    .domain = "",
    .since = 11,
    .flags = LMN_OP_DYNAMIC | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_range,
    .eval = eval_range,
};
