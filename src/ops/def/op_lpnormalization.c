/*
 * LpNormalization (ai.onnx, since 1): x divided by its 1- or 2-norm along one axis. A norm of 0
 * gives 0.
 */
#include "ops/normcore.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_lpnormalization(lmn_infer *ic)
{
    const int64_t p = lmn_attr_i(ic->node, "p", 2);
    if (p != 1 && p != 2)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"p\" is %lld, must be 1 or 2",
                              (long long)p);
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    if (!x) return LAMINA_OK;
    int32_t axis;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -1), x->rank, &axis));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status eval_lpnormalization(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *xt = lmn_in(ec, 0);
    int64_t axis = lmn_attr_i(ec->node, "axis", -1);
    axis += axis < 0 ? xt->rank : 0;
    if (axis < 0 || axis >= xt->rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "the axis is outside rank %d", xt->rank);
    lamina_tensor *yt;
    const double *x;
    double *y;
    LMN_TRY(lmn_out(ec, 0, xt->dtype, xt->rank, xt->dims, &yt));
    if (!yt) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, xt, &x));
    LMN_TRY(lmn_wide_out(ec, yt, &y));
    const bool one = lmn_attr_i(ec->node, "p", 2) == 1;
    const int64_t outer = lmn_norm_extent(xt, 0, (int32_t)axis), n = xt->dims[axis];
    const int64_t inner = lmn_norm_extent(xt, (int32_t)axis + 1, xt->rank);
    for (int64_t r = 0; r < outer * inner; r++) {
        const int64_t base = r / inner * n * inner + r % inner;
        double norm = 0.0;
        for (int64_t i = 0; i < n; i++) {
            const double v = x[base + i * inner];
            norm += one ? fabs(v) : v * v;
        }
        norm = one ? norm : sqrt(norm);
        for (int64_t i = 0; i < n; i++)
            y[base + i * inner] = norm == 0.0 ? 0.0 : x[base + i * inner] / norm;
    }
    lmn_wide_store(yt, y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {"p", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_LpNormalization = {
    .name = "LpNormalization",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_lpnormalization,
    .eval = eval_lpnormalization,
    .cost = lmn_norm_cost,
};
