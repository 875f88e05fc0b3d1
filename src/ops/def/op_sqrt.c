/*
 * Sqrt (ai.onnx, since 1): square root; NaN below zero.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Sqrt, 1, "X", "Y", sqrt(x));
