/*
 * Acosh (ai.onnx, since 9): inverse hyperbolic cosine; NaN below 1.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Acosh, 9, "input", "output", acosh(x));
