/*
 * Floor (ai.onnx, since 1): largest integer not above x.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Floor, 1, "X", "Y", floor(x));
