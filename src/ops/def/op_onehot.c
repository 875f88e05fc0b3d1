/*
 * OneHot (ai.onnx, since 9): a new axis of `depth` that holds values[1] at the index and values[0]
 * elsewhere. Indices outside [-depth, depth) give a row of values[0]; float indices truncate.
 */
#include "ops/move.h"
#include "ops/shapes.h"
#include "ops/wide.h"

static lamina_status infer_onehot(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    const lmn_dim *e;
    lmn_fact *f;
    int32_t axis;
    LMN_TRY(lmn_infer_shape(ic, 0, r < 0 ? -1 : r + 1, &f));
    if (r < 0) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -1), r + 1, &axis));
    for (int32_t k = 0, i = 0; k <= r; k++)
        if (k != axis) f->dims[k] = ic->in[0]->dims[i++];
    if (lmn_infer_elems(ic, 1, &e) == 1) f->dims[axis] = e[0];
    const lamina_tensor *depth = ic->in_const ? ic->in_const[1] : NULL;
    if (!lmn_dim_known(f->dims[axis]) && depth && !depth->strided && lmn_count(depth) == 1)
        f->dims[axis] = lmn_dim_c(lmn_get_i64(depth, 0));
    if (lmn_dim_is_const(f->dims[axis]) && lmn_dim_value(f->dims[axis]) < 0)
        f->dims[axis] = LMN_DIM_UNKNOWN; /* refused when it runs */
    return LAMINA_OK;
}

static lamina_status eval_onehot(lmn_eval *ec)
{
    const lamina_tensor *idx, *depth, *values;
    int64_t dims[LMN_MAX_RANK + 1];
    int32_t axis;
    lmn_plain val, out;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_need(ec, 0, &idx));
    LMN_TRY(lmn_need(ec, 1, &depth));
    LMN_TRY(lmn_need(ec, 2, &values));
    if (lmn_count(depth) != 1 || lmn_count(values) != 2 || idx->dtype == LAMINA_STRING ||
        depth->dtype == LAMINA_STRING)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "depth must be one number and values two");
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", -1), idx->rank + 1, &axis));
    const int64_t d = lmn_get_i64(depth, 0);
    for (int32_t k = 0, i = 0; k <= idx->rank; k++) dims[k] = k == axis ? d : idx->dims[i++];
    LMN_TRY(lmn_check_grown(ec, values->dtype, idx->rank + 1, dims));
    LMN_TRY(lmn_plain_out(ec, 0, values->dtype, idx->rank + 1, dims, &out));
    if (!out.t) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, values, &val));
    lmn_move_fill(out.p, out.eb, out.n, val.p);
    const int64_t n = lmn_count(idx), inner = lmn_span_count(dims, axis + 1, idx->rank + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t v = lmn_get_i64(idx, i);
        if (v < -d || v >= d) continue;
        if (v < 0) v += d;
        const int64_t at = (i / inner * d + v) * inner + i % inner;
        lmn_move_one(out.p + (size_t)at * out.eb, val.p + val.eb, val.eb);
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"indices", 0, 0, LMN_D_NUM}, {"depth", 0, 0, LMN_D_NUM}, {"values", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_OneHot = {
    .name = "OneHot",
    .domain = "",
    .since = 9,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_onehot,
    .eval = eval_onehot,
};
