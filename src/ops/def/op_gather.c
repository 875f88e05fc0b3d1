/*
 * Gather (ai.onnx, since 1): numpy.take along `axis` (default 0). Negative indices count from the
 * back; one outside the axis is an error.
 */
#include "ops/gather.h"

#include <string.h>

/* Shapes and lengths chosen by constant indices. */
static void gather_elems(lmn_infer *ic)
{
    const lmn_dim *src, *idx;
    const int32_t n = lmn_infer_elems(ic, 0, &src), m = lmn_infer_elems(ic, 1, &idx);
    if (n < 0 || m < 0 || lmn_infer_rank(ic, 0) != 1) return;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, m);
    for (int32_t k = 0; e && k < m; k++) {
        int64_t v = lmn_dim_known(idx[k]) && lmn_dim_is_const(idx[k]) ? lmn_dim_value(idx[k]) : n;
        if (v < 0) v += n;
        e[k] = v >= 0 && v < n ? src[v] : LMN_DIM_UNKNOWN;
    }
}

static lamina_status infer_gather(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1);
    int32_t axis = 0, o = 0;
    lmn_fact *f;
    if (r >= 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    LMN_TRY(lmn_infer_shape(ic, 0, r >= 0 && q >= 0 ? r + q - 1 : -1, &f));
    if (f->rank < 0) return LAMINA_OK;
    for (int32_t k = 0; k < axis; k++) f->dims[o++] = ic->in[0]->dims[k];
    for (int32_t k = 0; k < q; k++) f->dims[o++] = ic->in[1]->dims[k];
    for (int32_t k = axis + 1; k < r; k++) f->dims[o++] = ic->in[0]->dims[k];
    gather_elems(ic);
    return LAMINA_OK;
}

static lamina_status eval_gather(lmn_eval *ec)
{
    const lamina_tensor *x, *idx;
    int64_t dims[2 * LMN_MAX_RANK], v;
    int32_t axis, rank = 0;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
    for (int32_t k = 0; k < axis; k++) dims[rank++] = x->dims[k];
    for (int32_t k = 0; k < idx->rank; k++) dims[rank++] = idx->dims[k];
    for (int32_t k = axis + 1; k < x->rank; k++) dims[rank++] = x->dims[k];
    LMN_TRY(lmn_check_grown(ec, x->dtype, rank, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, rank, dims, &out));
    if (!out.t) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const int64_t outer = lmn_span_count(x->dims, 0, axis), extent = x->dims[axis];
    const int64_t n = lmn_count(idx);
    const size_t row = (size_t)lmn_span_count(x->dims, axis + 1, x->rank) * in.eb;
    for (int64_t i = 0; i < n; i++) {
        LMN_TRY(lmn_index_wrap(ec, lmn_index_at(idx, i), extent, &v));
        for (int64_t o = 0; row && o < outer; o++)
            memcpy(out.p + (size_t)(o * n + i) * row, in.p + (size_t)(o * extent + v) * row, row);
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"data", 'T', LMN_PORT_FAR | LMN_PORT_BYTES, LMN_D_ALL}, {"indices", 0, 0, LMN_D_INDEX}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Gather = {
    .name = "Gather",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gather,
    .eval = eval_gather,
    .cost = lmn_gather_cost,
};
