/*
 * ScatterElements (ai.onnx, since 11): a copy of data in which out[indices[i][j]][j] takes
 * updates[i][j] (axis 0), by assignment or with a reduction (add, mul since 16; max, min since 18).
 */
#include "ops/scatter.h"

static lamina_status infer_scatterelements(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1), u = lmn_infer_rank(ic, 2);
    int32_t axis;
    if (r >= 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    if ((r >= 0 && q >= 0 && r != q) || (q >= 0 && u >= 0 && q != u))
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give data, indices and updates one rank",
                              "ranks %d, %d and %d differ", r, q, u);
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status check_shapes(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *idx,
                                  const lamina_tensor *upd, int32_t axis)
{
    if (idx->rank != x->rank || !lmn_dims_equal(idx->rank, idx->dims, upd->rank, upd->dims))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "indices and updates must have one shape and the rank of data");
    for (int32_t k = 0; k < x->rank; k++)
        if (k != axis && idx->dims[k] > x->dims[k])
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "axis %d of indices is longer than that of data", k);
    return LAMINA_OK;
}

/* The updates [first, first + len), whose places count from `base`. */
static lamina_status scatter_row(lmn_eval *ec, const lmn_scatter *s, const lmn_index_row *row,
                                 int64_t base, int64_t first, int64_t len)
{
    int64_t v;
    if (s->mode == LMN_SCATTER_SET) {
        const size_t eb = s->out.eb;
        return lmn_index_put(row, first, len, s->out.p + (size_t)base * eb,
                             s->upd.p + (size_t)first * eb) == len
                   ? LAMINA_OK
                   : lmn_index_all(ec, row->idx, row->extent);
    }
    for (int64_t i = 0; i < len; i++) {
        LMN_TRY(lmn_index_wrap(ec, lmn_index_at(row->idx, first + i), row->extent, &v));
        lmn_scatter_put(s, base + v * row->step + i * row->along, first + i, 1);
    }
    return LAMINA_OK;
}

static lamina_status eval_scatterelements(lmn_eval *ec)
{
    const lamina_tensor *x, *idx, *upd;
    int64_t st[LMN_MAX_RANK], at[LMN_MAX_RANK] = {0}, base = 0;
    int32_t axis;
    lmn_scatter s;
    bool go;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    LMN_TRY(lmn_need(ec, 2, &upd));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
    LMN_TRY(check_shapes(ec, x, idx, upd, axis));
    LMN_TRY(lmn_scatter_begin(ec, x, upd, &s, &go));
    if (!go) return LAMINA_OK;
    lmn_dense_strides(x->rank, x->dims, st);
    const int32_t last = x->rank - 1;
    const int64_t n = lmn_count(idx), len = idx->dims[last], extent = x->dims[axis];
    const lmn_index_row row = {.idx = idx,
                               .extent = extent,
                               .step = st[axis],
                               .along = axis == last ? 0 : 1,
                               .unit = s.out.eb};
    st[axis] = 0;
    for (int64_t i = 0; i < n; i += len) { /* rows along the last axis of the indices */
        LMN_TRY(scatter_row(ec, &s, &row, base, i, len));
        for (int32_t k = last - 1; k >= 0; k--) {
            base += st[k];
            if (++at[k] < idx->dims[k]) break;
            base -= st[k] * idx->dims[k];
            at[k] = 0;
        }
    }
    return lmn_scatter_end(ec, &s);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL},
                              {"indices", 0, 0, LMN_D_INDEX},
                              {"updates", 'T', 0, LMN_D_ALL},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"reduction", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_ScatterElements = {
    .name = "ScatterElements",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_scatterelements,
    .eval = eval_scatterelements,
};
