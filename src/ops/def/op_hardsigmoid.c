/*
 * HardSigmoid (ai.onnx, since 1): alpha * x + beta, cut to [0, 1]; NaN passes.
 */
#include "ops/ew.h"

static double unit(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

LMN_EW_OP_ACT(HardSigmoid, 1, "alpha", 0.2f, "beta", 0.5f, unit(p1 *x + p2));
