/*
 * Greater (ai.onnx, since 1): is A above B? With broadcast; false beside a NaN.
 */
#include "ops/ew.h"

LMN_EW_OP_COMPARE(Greater, 1, >, lo, hi);
