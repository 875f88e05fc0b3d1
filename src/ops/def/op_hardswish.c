/*
 * HardSwish (ai.onnx, since 14): x * (x/6 + 1/2 cut to [0, 1]); NaN passes.
 */
#include "ops/ew.h"

static double unit(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

LMN_EW_OP_FLOAT(HardSwish, 14, "X", "Y", x *unit(x / 6.0 + 0.5));
