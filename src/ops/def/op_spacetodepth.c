/*
 * SpaceToDepth (ai.onnx, since 1): blocks of the image become channels; mode DCR (default)
 * or CRD. The inverse of DepthToSpace.
 */
#include "ops/blocks.h"

static lamina_status infer_spacetodepth(lmn_infer *ic)
{
    return lmn_blocks_infer(ic, false);
}
static lamina_status eval_spacetodepth(lmn_eval *ec)
{
    return lmn_blocks_eval(ec, false);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"blocksize", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {"mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_SpaceToDepth = {
    .name = "SpaceToDepth",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_spacetodepth,
    .eval = eval_spacetodepth,
};
