/*
 * Celu (ai.onnx, since 12): alpha * (e^(x/alpha) - 1) below zero, x above; NaN passes.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_ACT(Celu, 12, "alpha", 1.0f, "alpha", 1.0f, x < 0 ? p1 * expm1(x / p1) : x);
