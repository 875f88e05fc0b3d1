/*
 * GlobalAveragePool (ai.onnx, since 1): mean of each channel over all spatial positions, kept as
 * extents of 1. An empty plane gives NaN.
 */
#include "ops/poolcore.h"

static lamina_status eval_globalaveragepool(lmn_eval *ec)
{
    return lmn_global_pool_eval(ec, LMN_POOL_AVERAGE);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};

const lmn_op_def lmn_op_GlobalAveragePool = {
    .name = "GlobalAveragePool",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_IMAGES,
    .in = IN,
    .out = OUT,
    .infer = lmn_global_pool_infer,
    .eval = eval_globalaveragepool,
    .cost = lmn_pool_cost,
};
