/*
 * Softmax (ai.onnx, since 1): e^x / sum of e^x along an axis, shifted by the maximum. A line of
 * -inf only, or with a NaN or +inf, gives NaN. Before opset 13 a line was everything from the axis
 * on.
 */
#include "ops/lines.h"

#include <math.h>

static void softmax_line(const void *x, int64_t len, void *const *y, void *tmp, const void *arg)
{
    (void)tmp, (void)arg;
    const double *a = x;
    double *r = y[0], max = len ? a[0] : 0, sum = 0;
    for (int64_t i = 1; i < len; i++) max = a[i] > max ? a[i] : max;
    for (int64_t i = 0; i < len; i++) sum += r[i] = exp(a[i] - max);
    for (int64_t i = 0; i < len; i++) r[i] /= sum;
}

LMN_LINES_OP(Softmax, softmax_line, LMN_OP_INPLACE, lmn_lines_cost);
