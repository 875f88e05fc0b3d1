/*
 * IsNaN (ai.onnx, since 9): is the element a NaN?
 */
#include "ops/ew.h"

LMN_EW_UN(f64_fn, double, bool, x != x)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f64 = f64_fn, .out_bool = true};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_FLOAT | LMN_D_FP8}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_BOOL}, {0}};

const lmn_op_def lmn_op_IsNaN = {
    .domain = "",
    .name = "IsNaN",
    .since = 9,
    .flags = LMN_OP_ELEMENTWISE,
    .in = IN,
    .out = OUT,
    .eval = eval_op,
};
