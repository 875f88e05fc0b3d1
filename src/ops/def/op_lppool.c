/*
 * LpPool (ai.onnx, since 1): p-norm (sum |x|^p)^(1/p) of sliding windows in any spatial rank;
 * padding counts as 0. Version 1 wrote p as a float.
 */
#include "ops/poolcore.h"

static lamina_status eval_lppool(lmn_eval *ec)
{
    return lmn_pool_eval(ec, LMN_POOL_LP);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"auto_pad", LMN_ATTR_STRING, 0}, {"ceil_mode", LMN_ATTR_INT, 0},
    {"dilations", LMN_ATTR_INTS, 0},  {"kernel_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
    {"p", LMN_ATTR_INT, 0},           {"pads", LMN_ATTR_INTS, 0},
    {"strides", LMN_ATTR_INTS, 0},    {0}};

const lmn_op_def lmn_op_LpPool = {
    .name = "LpPool",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_pool_infer,
    .eval = eval_lppool,
    .cost = lmn_pool_cost,
    .canon = lmn_pool_canon_p,
};
