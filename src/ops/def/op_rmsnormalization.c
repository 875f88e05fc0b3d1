/*
 * RMSNormalization (ai.onnx, since 23): Y = X / sqrt(mean(X^2) + epsilon) * scale over the axes
 * from `axis` on, in the type of the scale. f64 inside, one rounding.
 */
#include "ops/normcore.h"
#include "ops/spread.h"
#include "ops/wide.h"

static lamina_status infer_rmsnormalization(lmn_infer *ic)
{
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    if (!x) return LAMINA_OK;
    int32_t axis;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -1), x->rank, &axis));
    lmn_fact *y = lmn_infer_ranked(ic, 0, x->rank);
    for (int32_t d = 0; y && d < x->rank; d++) y->dims[d] = x->dims[d];
    return LAMINA_OK;
}

static lamina_status eval_rmsnormalization(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *scale = lmn_in(ec, 1);
    int64_t axis = lmn_attr_i(ec->node, "axis", -1);
    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis >= x->rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "the axis is outside rank %d", x->rank);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, scale->dtype, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    lmn_norm_rows r = {.eps = (double)lmn_attr_f(ec->node, "epsilon", 1e-5f), .rms = true};
    r.rows = lmn_norm_extent(x, 0, (int32_t)axis);
    r.n = lmn_norm_extent(x, (int32_t)axis, x->rank);
    LMN_TRY(lmn_wide_in(ec, x, &r.x));
    LMN_TRY(lmn_wide_out(ec, y, &r.y));
    lmn_norm_rows_run(ec->par, &r);
    lmn_spread s;
    LMN_TRY(lmn_spread_right(ec, x->rank, x->dims, scale, &s));
    LMN_TRY(lmn_spread_apply(ec, &s, scale, '*', r.y));
    lmn_wide_store(y, r.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {"scale", 'V', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'V', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"stash_type", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_RMSNormalization = {
    .name = "RMSNormalization",
    .domain = "",
    .since = 23,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_rmsnormalization,
    .eval = eval_rmsnormalization,
    .cost = lmn_norm_cost,
};
