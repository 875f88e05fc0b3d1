/*
 * Acos (ai.onnx, since 7): arc cosine; NaN outside [-1, 1].
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Acos, 7, "input", "output", acos(x));
