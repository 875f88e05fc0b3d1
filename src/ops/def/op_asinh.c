/*
 * Asinh (ai.onnx, since 9): inverse hyperbolic sine.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Asinh, 9, "input", "output", asinh(x));
