/*
 * Atan (ai.onnx, since 7): arc tangent.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Atan, 7, "input", "output", atan(x));
