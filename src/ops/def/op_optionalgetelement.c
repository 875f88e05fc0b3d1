/*
 * OptionalGetElement (ai.onnx, since 15): the content of an optional; a tensor or sequence passes
 * through. An empty optional is an error.
 */
#include "ops/shapes.h"

static lamina_status infer_optionalgetelement(lmn_infer *ic)
{
    ic->out[0] = ic->in[0] ? *ic->in[0] : lmn_fact_unknown();
    ic->out[0].maybe = false;
    if (ic->out[0].kind == LMN_FACT_OPTIONAL) ic->out[0].kind = LMN_FACT_TENSOR;
    return LAMINA_OK;
}

static lamina_status eval_optionalgetelement(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "the optional is empty");
    return lmn_out_value(ec, 0, x);
}

static const lmn_port IN[] = {{"input", 'V', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'V', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_OptionalGetElement = {
    .name = "OptionalGetElement",
    .domain = "",
    .since = 15,
    .in = IN,
    .out = OUT,
    .infer = infer_optionalgetelement,
    .eval = eval_optionalgetelement,
};
