/*
 * FusedConv (lamina, since 1): Conv followed by an epilogue (ops/fused.h). Operands broadcast to
 * the result: [C, 1, 1] for a value a channel, the result's own shape for a residual.
 */
#include "ops/fused.h"

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', LMN_PORT_FAR, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              LMN_FUSED_OPERANDS,
                              {0}};
static const lmn_attr_schema ATTRS[] = {{"auto_pad", LMN_ATTR_STRING, 0},
                                        {"dilations", LMN_ATTR_INTS, 0},
                                        {"group", LMN_ATTR_INT, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, 0},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        LMN_FUSED_ATTRS,
                                        {0}};

LMN_FUSED_OP(Conv, 3, LMN_OP_IMAGES);
