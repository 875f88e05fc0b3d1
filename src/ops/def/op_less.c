/*
 * Less (ai.onnx, since 1): is A below B? With broadcast; false beside a NaN.
 */
#include "ops/ew.h"

LMN_EW_OP_COMPARE(Less, 1, <, hi, lo);
