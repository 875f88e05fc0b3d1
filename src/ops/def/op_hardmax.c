/*
 * Hardmax (ai.onnx, since 1): 1 at the first maximum along an axis, 0 elsewhere. Before opset 13 a
 * line was everything from the axis on.
 */
#include "ops/lines.h"

static void hardmax_line(const void *x, int64_t len, void *const *y, void *tmp, const void *arg)
{
    (void)tmp, (void)arg;
    const double *a = x;
    double *r = y[0];
    int64_t best = 0;
    for (int64_t i = 0; i < len; i++) {
        r[i] = 0;
        if (a[i] > a[best]) best = i;
    }
    if (len) r[best] = 1;
}

LMN_LINES_OP(Hardmax, hardmax_line, 0, NULL);
