/*
 * Asin (ai.onnx, since 7): arc sine; NaN outside [-1, 1].
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Asin, 7, "input", "output", asin(x));
