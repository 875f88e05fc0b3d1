/*
 * MaxPool (ai.onnx, since 1): maximum of sliding windows in any spatial rank, with the flat
 * positions of the maxima on request (row or column major). Padding never wins; NaN does; +0 is
 * above -0. Of equal maxima the first counts.
 */
#include "ops/poolcore.h"

static lamina_status eval_maxpool(lmn_eval *ec)
{
    return lmn_pool_eval(ec, LMN_POOL_MAX);
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT | LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8)}, {0}};
static const lmn_port OUT[] = {
    {"Y", 'T', 0, LMN_D_FLOAT | LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8)},
    {"Indices", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
    {0}};
static const lmn_attr_schema ATTRS[] = {
    {"auto_pad", LMN_ATTR_STRING, 0}, {"ceil_mode", LMN_ATTR_INT, 0},
    {"dilations", LMN_ATTR_INTS, 0},  {"kernel_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
    {"pads", LMN_ATTR_INTS, 0},       {"storage_order", LMN_ATTR_INT, 0},
    {"strides", LMN_ATTR_INTS, 0},    {0}};

const lmn_op_def lmn_op_MaxPool = {
    .name = "MaxPool",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_IMAGES,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_pool_infer,
    .eval = eval_maxpool,
    .cost = lmn_pool_cost,
};
