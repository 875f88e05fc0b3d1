/*
 * LogSoftmax (ai.onnx, since 1): x - max - log(sum of e^(x - max)) along an axis. A line of -inf
 * only, or with a NaN or +inf, gives NaN. Before opset 13 a line was everything from the axis on.
 */
#include "ops/lines.h"

#include <math.h>

static void log_softmax_line(const void *x, int64_t len, void *const *y, void *tmp, const void *arg)
{
    (void)tmp, (void)arg;
    const double *a = x;
    double *r = y[0], max = len ? a[0] : 0, sum = 0;
    for (int64_t i = 1; i < len; i++) max = a[i] > max ? a[i] : max;
    for (int64_t i = 0; i < len; i++) sum += exp(a[i] - max);
    const double log_sum = log(sum);
    for (int64_t i = 0; i < len; i++) r[i] = a[i] - max - log_sum;
}

static lamina_status eval_op(lmn_eval *ec)
{
    return lmn_lines_eval_f64(ec, log_softmax_line);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_LogSoftmax = {
    .domain = "",
    .name = "LogSoftmax",
    .since = 1,
    .flags = LMN_OP_SAME | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_lines_infer_axis,
    .eval = eval_op,
    .canon = lmn_lines_canon_flat,
    .cost = lmn_lines_cost,
};
