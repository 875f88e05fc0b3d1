/*
 * Log (ai.onnx, since 1): natural logarithm; -inf at zero, NaN below.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Log, 1, "input", "output", log(x));
