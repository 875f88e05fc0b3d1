/*
 * Reciprocal (ai.onnx, since 1): 1/x; 1/0 is an infinity of the sign of the zero.
 */
#include "ops/ew.h"

LMN_EW_OP_FLOAT(Reciprocal, 1, "X", "Y", 1.0 / x);
