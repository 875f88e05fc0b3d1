/*
 * Swish (ai.onnx, since 24): x * sigmoid(alpha * x).
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_ACT(Swish, 24, "alpha", 1.0f, "alpha", 1.0f, x / (1.0 + exp(-p1 * x)));
