/*
 * LeakyRelu (ai.onnx, since 1): alpha * x below zero, x above; NaN passes.
 */
#include "ops/ew.h"

LMN_EW_OP_ACT(LeakyRelu, 1, "alpha", 0.01f, "alpha", 0.01f, x < 0 ? p1 * x : x);
