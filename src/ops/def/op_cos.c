/*
 * Cos (ai.onnx, since 7): cosine of radians; NaN for infinities.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Cos, 7, "input", "output", cos(x));
