/*
 * ThresholdedRelu (ai.onnx, since 10): x above alpha, else 0.
 */
#include "ops/ew.h"

LMN_EW_OP_ACT(ThresholdedRelu, 10, "alpha", 1.0f, "alpha", 1.0f, x > p1 ? x : 0);
