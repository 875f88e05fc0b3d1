/*
 * Erf (ai.onnx, since 9): the error function.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Erf, 9, "input", "output", erf(x));
