/*
 * Atanh (ai.onnx, since 9): inverse hyperbolic tangent; infinite at -1 and 1, NaN outside.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Atanh, 9, "input", "output", atanh(x));
