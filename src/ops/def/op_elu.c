/*
 * Elu (ai.onnx, since 1): alpha * (e^x - 1) below zero, x above; NaN passes.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_ACT(Elu, 1, "alpha", 1.0f, "alpha", 1.0f, x < 0 ? p1 * expm1(x) : x);
