/*
 * Sin (ai.onnx, since 7): sine of radians; NaN for infinities.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Sin, 7, "input", "output", sin(x));
