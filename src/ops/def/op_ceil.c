/*
 * Ceil (ai.onnx, since 1): smallest integer not below x.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Ceil, 1, "X", "Y", ceil(x));
