/*
 * DepthToSpace (ai.onnx, since 1): channels become blocks of the image; mode DCR (default)
 * or CRD. The inverse of SpaceToDepth.
 */
#include "ops/blocks.h"

static lamina_status infer_depthtospace(lmn_infer *ic)
{
    return lmn_blocks_infer(ic, true);
}
static lamina_status eval_depthtospace(lmn_eval *ec)
{
    return lmn_blocks_eval(ec, true);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"blocksize", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {"mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_DepthToSpace = {
    .name = "DepthToSpace",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_depthtospace,
    .eval = eval_depthtospace,
};
