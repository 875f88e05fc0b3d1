/*
 * Swish (ai.onnx, since 24): x * sigmoid(alpha * x); -inf gives its limit, -0, for alpha > 0.
 */
#include "ops/ew.h"

#include <float.h>
#include <math.h>

LMN_EW_OP_ACT(Swish, 24, "alpha", 1.0f, "alpha", 1.0f,
              (x < -DBL_MAX ? -DBL_MAX : x) / (1.0 + exp(-p1 * x)));
