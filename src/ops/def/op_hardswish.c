/*
 * HardSwish (ai.onnx, since 14): x * (x/6 + 1/2 cut to [0, 1]); NaN passes, -inf gives its
 * limit, -0.
 */
#include "ops/ew.h"

#include <float.h>

static double unit(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

LMN_EW_OP_FLOAT(HardSwish, 14, "X", "Y", (x < -DBL_MAX ? -DBL_MAX : x) * unit(x / 6.0 + 0.5));
