/*
 * Softplus (ai.onnx, since 1): log(1 + e^x), in the form that neither overflows nor loses small
 * values.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Softplus, 1, "X", "Y", (x > 0 ? x : 0) + log1p(exp(-fabs(x))));
