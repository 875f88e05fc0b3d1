/*
 * FusedMatMul (lamina, since 1): MatMul followed by an epilogue (ops/fused.h). Operands broadcast
 * to the result: [N] for the bias of a linear layer.
 */
#include "ops/fused.h"

static const lmn_port IN[] = {
    {"A", 'T', 0, LMN_D_FLOAT}, {"B", 'T', 0, LMN_D_FLOAT}, LMN_FUSED_OPERANDS, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_FUSED_ATTRS, {0}};

LMN_FUSED_OP(MatMul, 2, 0);
