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

static lamina_status eval_op(lmn_eval *ec)
{
    return lmn_lines_eval_f64(ec, hardmax_line);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Hardmax = {
    .domain = "",
    .name = "Hardmax",
    .since = 1,
    .flags = LMN_OP_SAME,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_lines_infer_axis,
    .eval = eval_op,
    .canon = lmn_lines_canon_flat,
};
