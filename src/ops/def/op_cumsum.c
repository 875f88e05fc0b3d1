/*
 * CumSum (ai.onnx, since 11): running sum along an axis; floats accumulate in f64, integers wrap.
 */
#include "ops/cumulate.h"

LMN_CUMULATE_LINE(line_f64, double, 0, a + b)
LMN_CUMULATE_LINE(line_i64, uint64_t, 0, a + b)

static void columns(const float *x, float *y, int64_t len, int64_t step, int64_t n,
                    const lmn_cumulate_arg *arg)
{
    double sum[LMN_CUMULATE_STRIP] = {0};
    for (int64_t k = 0; k < len; k++) {
        const int64_t row = (arg->reverse ? len - 1 - k : k) * step;
        const float *p = x + row;
        float *r = y + row;
        for (int64_t i = 0; i < n; i++) {
            const double before = sum[i];
            sum[i] += (double)p[i];
            r[i] = (float)(arg->exclusive ? before : sum[i]);
        }
    }
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_cumulate IMPL = {.f64 = line_f64, .i64 = line_i64, .columns = columns};
    return lmn_cumulate_eval(ec, &IMPL);
}

#define AXIS (LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
#define TYPES (LMN_D_FLOAT | AXIS | LMN_DBIT(LAMINA_U32) | LMN_DBIT(LAMINA_U64))
static const lmn_port IN[] = {{"x", 'T', 0, TYPES}, {"axis", 0, 0, AXIS}, {0}};
static const lmn_port OUT[] = {{"y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"exclusive", LMN_ATTR_INT, 0}, {"reverse", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_CumSum = {
    .domain = "",
    .name = "CumSum",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_cumulate_infer,
    .eval = eval_op,
};
