/*
 * Tan (ai.onnx, since 7): tangent of radians; NaN for infinities.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Tan, 7, "input", "output", tan(x));
