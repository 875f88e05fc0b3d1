/*
 * GreaterOrEqual (ai.onnx, since 12): is A above or equal to B? With broadcast; false beside a NaN.
 */
#include "ops/ew.h"

LMN_EW_OP_COMPARE(GreaterOrEqual, 12, >=, lo, hi);
