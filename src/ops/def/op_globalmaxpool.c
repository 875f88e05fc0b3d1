/*
 * GlobalMaxPool (ai.onnx, since 1): maximum of each channel over all spatial positions, kept as
 * extents of 1. NaN wins, +0 is above -0; an empty plane gives -inf.
 */
#include "ops/poolcore.h"

static lamina_status eval_globalmaxpool(lmn_eval *ec)
{
    return lmn_global_pool_eval(ec, LMN_POOL_MAX);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};

const lmn_op_def lmn_op_GlobalMaxPool = {
    .name = "GlobalMaxPool",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_IMAGES,
    .in = IN,
    .out = OUT,
    .infer = lmn_global_pool_infer,
    .eval = eval_globalmaxpool,
    .cost = lmn_pool_cost,
};
