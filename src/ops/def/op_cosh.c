/*
 * Cosh (ai.onnx, since 9): hyperbolic cosine.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Cosh, 9, "input", "output", cosh(x));
