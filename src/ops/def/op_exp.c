/*
 * Exp (ai.onnx, since 1): e to the power x.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Exp, 1, "input", "output", exp(x));
