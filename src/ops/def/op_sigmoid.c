/*
 * Sigmoid (ai.onnx, since 1): 1 / (1 + e^-x), in the form whose exponential does not overflow.
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Sigmoid, 1, "X", "Y", x >= 0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x)));
