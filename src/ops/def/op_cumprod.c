/*
 * CumProd (ai.onnx, since 26): running product along an axis; floats accumulate in f64, integers
 * wrap.
 */
#include "ops/cumulate.h"

LMN_CUMULATE_LINE(line_f64, double, 1, a *b)
LMN_CUMULATE_LINE(line_i64, uint64_t, 1, a *b)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_cumulate IMPL = {.f64 = line_f64, .i64 = line_i64};
    return lmn_cumulate_eval(ec, &IMPL);
}

#define AXIS (LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
#define TYPES (LMN_D_FLOAT | AXIS | LMN_DBIT(LAMINA_U32) | LMN_DBIT(LAMINA_U64))
static const lmn_port IN[] = {{"x", 'T', 0, TYPES}, {"axis", 0, 0, AXIS}, {0}};
static const lmn_port OUT[] = {{"y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"exclusive", LMN_ATTR_INT, 0}, {"reverse", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_CumProd = {
    .domain = "",
    .name = "CumProd",
    .since = 26,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_cumulate_infer,
    .eval = eval_op,
};
