/*
 * Tanh (ai.onnx, since 1): hyperbolic tangent.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Tanh, 1, "input", "output", tanh(x));
