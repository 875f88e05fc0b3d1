/*
 * Sinh (ai.onnx, since 9): hyperbolic sine.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Sinh, 9, "input", "output", sinh(x));
