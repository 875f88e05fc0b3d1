/*
 * Conv (ai.onnx, since 1): cross-correlation in any spatial rank, with groups, dilations, strides,
 * pads or auto_pad, and an optional bias. Accumulates in f64 and rounds once. An empty input gives
 * an empty output where the formula allows; NaN and inf follow IEEE, padding counts as zero and
 * takes no part in products (in fast kernels it does: an infinite weight gives NaN at the border).
 */
#include "ops/convcore.h"

static lamina_status infer_conv(lmn_infer *ic)
{
    return lmn_conv_infer(ic, 0, 1, 2, false);
}

static lamina_status eval_conv(lmn_eval *ec)
{
    return lmn_conv_eval_float(ec, false);
}

static void cost_conv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                      lmn_cost *c)
{
    lmn_conv_cost(n, in, 1, &out[0], c);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', LMN_PORT_FAR, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS, {0}};

const lmn_op_def lmn_op_Conv = {
    .name = "Conv",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_IMAGES,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_conv,
    .eval = eval_conv,
    .cost = cost_conv,
};
