/*
 * Min (ai.onnx, since 1): the smallest of all inputs, with broadcast; a NaN wins.
 */
#include "ops/ew.h"

LMN_EW_OP_EXTREME(Min, "min", <, lmn_dim_min);
