/*
 * ConvTranspose (ai.onnx, since 1): the gradient of a convolution with respect to its data, in any
 * spatial rank. output_shape and auto_pad SAME_* resolve the padding (never negative); an output
 * beyond the natural one is filled with the bias. f64 accumulation, one rounding.
 */
#include "ops/convcore.h"

static lamina_status infer_convtranspose(lmn_infer *ic)
{
    return lmn_conv_infer(ic, 0, 1, 2, true);
}

static lamina_status eval_convtranspose(lmn_eval *ec)
{
    return lmn_conv_eval_float(ec, true);
}

static void cost_convtranspose(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                               lmn_cost *c)
{
    (void)out;
    lmn_conv_cost(n, in, 1, in[0], c);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"auto_pad", LMN_ATTR_STRING, 0},
                                        {"dilations", LMN_ATTR_INTS, 0},
                                        {"group", LMN_ATTR_INT, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, 0},
                                        {"output_padding", LMN_ATTR_INTS, 0},
                                        {"output_shape", LMN_ATTR_INTS, 0},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_ConvTranspose = {
    .name = "ConvTranspose",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_convtranspose,
    .eval = eval_convtranspose,
    .cost = cost_convtranspose,
};
