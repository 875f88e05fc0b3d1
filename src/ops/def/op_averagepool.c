/*
 * AveragePool (ai.onnx, since 1): mean of sliding windows in any spatial rank. The divisor counts
 * elements inside the input, with count_include_pad those inside the declared padding too, never
 * the overhang of ceil_mode. A window without elements gives 0.
 */
#include "ops/poolcore.h"

static lamina_status eval_averagepool(lmn_eval *ec)
{
    return lmn_pool_eval(ec, LMN_POOL_AVERAGE);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"auto_pad", LMN_ATTR_STRING, 0},
                                        {"ceil_mode", LMN_ATTR_INT, 0},
                                        {"count_include_pad", LMN_ATTR_INT, 0},
                                        {"dilations", LMN_ATTR_INTS, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_AveragePool = {
    .name = "AveragePool",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_IMAGES,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_pool_infer,
    .eval = eval_averagepool,
    .cost = lmn_pool_cost,
};
