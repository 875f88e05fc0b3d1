/*
 * IsInf (ai.onnx, since 10): is the element an infinity of a sign that is looked for? Types without
 * infinities answer false.
 */
#include "ops/ew.h"

#include <math.h>

static void f64_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const double *x = in[0];
    const bool *want = arg; /* negative, positive */
    bool *y = out;
    for (int64_t i = 0; i < n; i++) y[i] = isinf(x[i]) && want[x[i] > 0];
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f64 = f64_fn, .out_bool = true};
    const bool want[2] = {lmn_attr_i(ec->node, "detect_negative", 1) != 0,
                          lmn_attr_i(ec->node, "detect_positive", 1) != 0};
    return lmn_ew_eval(ec, &IMPL, want);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_FLOAT | LMN_D_FP8}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_BOOL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"detect_negative", LMN_ATTR_INT, 0}, {"detect_positive", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_IsInf = {
    .domain = "",
    .name = "IsInf",
    .since = 10,
    .flags = LMN_OP_ELEMENTWISE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_op,
};
