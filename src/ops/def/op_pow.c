/*
 * Pow (ai.onnx, since 1): X to the power Y in the type of X, with broadcast. Integer powers of
 * integers are exact and wrap; a negative exponent gives what truncation of the real result gives
 * (0 ** -1 is 0). An integer with a float exponent is computed in f64 and truncated.
 */
#include "ops/ew.h"

#include <math.h>

static uint64_t pow_u64(uint64_t a, uint64_t b)
{
    uint64_t r = 1;
    for (; b; b >>= 1, a *= a)
        if (b & 1) r *= a;
    return r;
}

static int64_t pow_i64(int64_t a, int64_t b)
{
    if (b >= 0) return (int64_t)pow_u64((uint64_t)a, (uint64_t)b);
    return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
}

LMN_EW_BIN(f64_fn, double, double, pow(a, b))
LMN_EW_BIN(i64_fn, int64_t, int64_t, pow_i64(a, b))

/* Integer base, unsigned exponent. */
static void mixed_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    (void)arg;
    const int64_t *a = in[0];
    const uint64_t *b = in[1];
    int64_t *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = (int64_t)pow_u64((uint64_t)a[i], b[i]);
}

static lamina_status eval_op(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *e = lmn_in(ec, 1);
    if (!x || !e) return lmn_eval_fail(ec, LAMINA_E_INVALID, "an input is missing");
    const lmn_dclass cx = lmn_dtype_class(x->dtype), ce = lmn_dtype_class(e->dtype);
    const bool known = (cx == LMN_CLASS_FLOAT || cx == LMN_CLASS_SINT) &&
                       (ce == LMN_CLASS_FLOAT || ce == LMN_CLASS_SINT || ce == LMN_CLASS_UINT);
    if (!known)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "a power of %s by %s is not defined",
                             lamina_dtype_name(x->dtype), lamina_dtype_name(e->dtype));
    lmn_ew_job job = {.fn = f64_fn,
                      .in = (const lamina_tensor *const *)ec->in,
                      .n_in = 2,
                      .out_as = LAMINA_F64,
                      .out_dtype = x->dtype};
    lamina_dtype in_as[2] = {LAMINA_F64, LAMINA_F64};
    if (cx == LMN_CLASS_SINT && ce != LMN_CLASS_FLOAT) {
        job.fn = ce == LMN_CLASS_UINT ? mixed_fn : i64_fn;
        in_as[0] = job.out_as = LAMINA_I64;
        in_as[1] = ce == LMN_CLASS_UINT ? LAMINA_U64 : LAMINA_I64;
    }
    job.in_as = in_as;
    int32_t rank;
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *y;
    LMN_TRY(lmn_ew_shape(ec, 0, 1, &rank, dims));
    LMN_TRY(lmn_out(ec, 0, x->dtype, rank, dims, &y));
    return y ? lmn_ew_run(ec, &job, rank, dims, y->data) : LAMINA_OK;
}

#define BASES (LMN_D_FLOAT | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
static const lmn_port IN[] = {{"X", 'T', 0, BASES}, {"Y", 0, 0, LMN_D_NUM}, {0}};
static const lmn_port OUT[] = {{"Z", 'T', 0, BASES}, {0}};

const lmn_op_def lmn_op_Pow = {
    .domain = "",
    .name = "Pow",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .eval = eval_op,
    .canon = lmn_ew_canon_binary,
};
