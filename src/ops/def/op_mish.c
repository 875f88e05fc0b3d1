/*
 * Mish (ai.onnx, since 18): x * tanh(softplus(x)).
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Mish, 18, "X", "Y", x *tanh((x > 0 ? x : 0) + log1p(exp(-fabs(x)))));
