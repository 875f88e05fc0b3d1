/*
 * Relu (ai.onnx, since 1): max(x, 0) of floats and signed integers; NaN passes.
 */
#include "ops/ew.h"

LMN_EW_UN(f32_fn, float, float, x < 0 ? 0 : x)
LMN_EW_UN(f64_fn, double, double, x < 0 ? 0 : x)
LMN_EW_UN(i64_fn, int64_t, int64_t, x < 0 ? 0 : x)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT | LMN_D_SINT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT | LMN_D_SINT}, {0}};

const lmn_op_def lmn_op_Relu = {
    .domain = "",
    .name = "Relu",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .eval = eval_op,
};
