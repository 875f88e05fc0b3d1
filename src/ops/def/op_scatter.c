/*
 * Scatter (ai.onnx, 9 to 10): the old name of ScatterElements without a reduction; renamed at
 * import.
 */
#include "ops/gather.h"

static lamina_status canon_scatter(lmn_canon *c)
{
    c->op = "ScatterElements";
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL},
                              {"indices", 0, 0, LMN_D_INDEX},
                              {"updates", 'T', 0, LMN_D_ALL},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Scatter = {
    .name = "Scatter",
    .domain = "",
    .since = 9,
    .until = 10,
    .flags = LMN_OP_SAME,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .canon = canon_scatter,
};
