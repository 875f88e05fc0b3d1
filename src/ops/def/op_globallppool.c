/*
 * GlobalLpPool (ai.onnx, since 1): p-norm of each channel over all spatial positions, kept as
 * extents of 1. Version 1 wrote p as a float.
 */
#include "ops/poolcore.h"

static lamina_status eval_globallppool(lmn_eval *ec)
{
    return lmn_global_pool_eval(ec, LMN_POOL_LP);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"p", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_GlobalLpPool = {
    .name = "GlobalLpPool",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_global_pool_infer,
    .eval = eval_globallppool,
    .cost = lmn_pool_cost,
    .canon = lmn_pool_canon_p,
};
