/*
 * FusedGemm (lamina, since 1): Gemm followed by an epilogue (ops/fused.h).
 */
#include "ops/fused.h"

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', 0, LMN_D_FLOAT},
                              {"C", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              LMN_FUSED_OPERANDS,
                              {0}};
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0},
                                        {"beta", LMN_ATTR_FLOAT, 0},
                                        {"transA", LMN_ATTR_INT, 0},
                                        {"transB", LMN_ATTR_INT, 0},
                                        LMN_FUSED_ATTRS,
                                        {0}};

LMN_FUSED_OP(Gemm, 3, 0);
