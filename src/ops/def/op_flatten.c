/*
 * Flatten (ai.onnx, since 1): a matrix, the axes before `axis` (default 1) in its rows. axis may be
 * the rank itself and counts from the back when negative.
 */
#include "ops/shapes.h"

static lamina_status infer_flatten(lmn_infer *ic)
{
    const int64_t axis = lmn_attr_i(ic->node, "axis", 1);
    const int32_t rank = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, 2, &f));
    if (rank < 0) return LAMINA_OK;
    if (axis < -(int64_t)rank || axis > rank)
        return lmn_infer_fail(ic, LAMINA_E_RANGE, "use an axis of the input",
                              "axis %lld is outside [%d, %d]", (long long)axis, -rank, rank);
    const int32_t a = (int32_t)(axis < 0 ? axis + rank : axis);
    f->dims[0] = f->dims[1] = lmn_dim_c(1);
    for (int32_t k = 0; k < rank; k++) {
        lmn_dim *d = &f->dims[k >= a];
        *d = lmn_dim_mul(ic->dims, *d, ic->in[0]->dims[k]);
    }
    return LAMINA_OK;
}

static lamina_status eval_flatten(lmn_eval *ec)
{
    const int64_t axis = lmn_attr_i(ec->node, "axis", 1);
    const lamina_tensor *x;
    LMN_TRY(lmn_need(ec, 0, &x));
    if (axis < -(int64_t)x->rank || axis > x->rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "axis %lld is outside [%d, %d]", (long long)axis,
                             -x->rank, x->rank);
    const int32_t a = (int32_t)(axis < 0 ? axis + x->rank : axis);
    const int64_t dims[2] = {lmn_span_count(x->dims, 0, a), lmn_span_count(x->dims, a, x->rank)};
    return lmn_out_alias(ec, 0, 0, 2, dims);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Flatten = {
    .name = "Flatten",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_VIEW,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_flatten,
    .eval = eval_flatten,
};
