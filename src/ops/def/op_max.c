/*
 * Max (ai.onnx, since 1): the largest of all inputs, with broadcast; a NaN wins.
 */
#include "ops/ew.h"

LMN_EW_OP_EXTREME(Max, "max", >, lmn_dim_max);
