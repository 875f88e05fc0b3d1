/*
 * GatherElements (ai.onnx, since 11): out[i][j][k] = data[indices[i][j][k]][j][k] for axis 0. The
 * output has the shape of indices; off the axis indices may be smaller than data.
 */
#include "ops/gather.h"

static lamina_status infer_gatherelements(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1);
    int32_t axis;
    lmn_fact *f;
    if (r >= 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    if (r >= 0 && q >= 0 && r != q)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give indices the rank of data",
                              "data has rank %d, indices have rank %d", r, q);
    LMN_TRY(lmn_infer_shape(ic, 0, q >= 0 ? q : r, &f));
    for (int32_t k = 0; k < q; k++) f->dims[k] = ic->in[1]->dims[k];
    return LAMINA_OK;
}

static lamina_status eval_gatherelements(lmn_eval *ec)
{
    const lamina_tensor *x, *idx;
    int64_t st[LMN_MAX_RANK], at[LMN_MAX_RANK] = {0}, base = 0, v;
    int32_t axis;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
    if (idx->rank != x->rank)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "data has rank %d, indices have rank %d", x->rank,
                             idx->rank);
    for (int32_t k = 0; k < x->rank; k++)
        if (k != axis && idx->dims[k] > x->dims[k])
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "axis %d of indices is longer than that of data", k);
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, idx->rank, idx->dims, &out));
    if (!out.t) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    lmn_dense_strides(x->rank, x->dims, st);
    for (int64_t i = 0; i < out.n; i++) {
        LMN_TRY(lmn_index_wrap(ec, lmn_index_at(idx, i), x->dims[axis], &v));
        lmn_move_one(out.p + (size_t)i * in.eb, in.p + (size_t)(base + v * st[axis]) * in.eb,
                     in.eb);
        for (int32_t k = x->rank - 1; k >= 0; k--) { /* `base` leaves the gathered axis out */
            const int64_t step = k == axis ? 0 : st[k];
            base += step;
            if (++at[k] < idx->dims[k]) break;
            base -= step * idx->dims[k];
            at[k] = 0;
        }
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL}, {"indices", 0, 0, LMN_D_INDEX}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_GatherElements = {
    .name = "GatherElements",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gatherelements,
    .eval = eval_gatherelements,
    .cost = lmn_gather_cost,
};
