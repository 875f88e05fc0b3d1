/*
 * LessOrEqual (ai.onnx, since 12): is A below or equal to B? With broadcast; false beside a NaN.
 */
#include "ops/ew.h"

LMN_EW_OP_COMPARE(LessOrEqual, 12, <=, hi, lo);
