/*
 * Softsign (ai.onnx, since 1): x / (1 + |x|).
 */
#include "ops/ew.h"

#include <math.h>

LMN_EW_OP_FLOAT(Softsign, 1, "input", "output", x / (1.0 + fabs(x)));
