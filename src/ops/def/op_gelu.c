/*
 * Gelu (ai.onnx, since 20): x * Phi(x), by erf, or by tanh where `approximate` says so;
 * -inf gives its limit, -0.
 */
#include "ops/ew.h"

#include <float.h>
#include <math.h>

#define LOW (x < -DBL_MAX ? -DBL_MAX : x)
#define SQRT_HALF 0.70710678118654752440
#define SQRT_2_OVER_PI 0.79788456080286535588

LMN_EW_UN(exact_fn, double, double, 0.5 * LOW * (1.0 + erf(x * SQRT_HALF)))
LMN_EW_UN(tanh_fn, double, double,
          0.5 * LOW * (1.0 + tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))))

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl EXACT = {.f64 = exact_fn}, TANH = {.f64 = tanh_fn};
    return lmn_ew_eval(ec, lmn_attr_is(ec->node, "approximate", "tanh", "none") ? &TANH : &EXACT,
                       NULL);
}

static lamina_status infer_op(lmn_infer *ic)
{
    if (!lmn_attr_is(ic->node, "approximate", "tanh", "none") &&
        !lmn_attr_is(ic->node, "approximate", "none", "none"))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use \"none\" or \"tanh\"",
                              "attribute \"approximate\" has the unknown value \"%.40s\"",
                              lmn_attr_s(ic->node, "approximate", ""));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"approximate", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_Gelu = {
    .domain = "",
    .name = "Gelu",
    .since = 20,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
};
