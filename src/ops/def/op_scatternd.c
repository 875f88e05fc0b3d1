/*
 * ScatterND (ai.onnx, since 11): a copy of data in which the slices addressed by the last axis of
 * indices take the slices of updates, by assignment or with a reduction.
 */
#include "ops/scatter.h"

static lamina_status infer_scatternd(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1), u = lmn_infer_rank(ic, 2);
    lmn_infer_same(ic, 0, 0);
    if (r < 0 || q < 1) return LAMINA_OK;
    const lmn_dim last = ic->in[1]->dims[q - 1];
    if (!lmn_dim_known(last) || !lmn_dim_is_const(last)) return LAMINA_OK;
    const int64_t depth = lmn_dim_value(last);
    if (depth > r || depth < 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "use shorter addresses",
                              "%lld indices an address, data has rank %d", (long long)depth, r);
    if (u >= 0 && u != q - 1 + r - depth)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape updates as indices[:-1] + data[depth:]",
                              "updates have rank %d, must have %lld", u,
                              (long long)(q - 1 + r - depth));
    return LAMINA_OK;
}

static lamina_status check_updates(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *idx,
                                   const lamina_tensor *upd, int32_t depth)
{
    int64_t want[2 * LMN_MAX_RANK];
    int32_t rank = 0;
    for (int32_t k = 0; k < idx->rank - 1; k++) want[rank++] = idx->dims[k];
    for (int32_t k = depth; k < x->rank; k++) want[rank++] = x->dims[k];
    if (lmn_dims_equal(rank, want, upd->rank, upd->dims)) return LAMINA_OK;
    char got[200], wanted[400];
    lmn_extents_text(upd->rank, upd->dims, got, sizeof got);
    lmn_extents_text(rank, want, wanted, sizeof wanted);
    return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                         "updates are %s, must be indices[:-1] + data[%d:], %s here", got, depth,
                         wanted);
}

static lamina_status eval_scatternd(lmn_eval *ec)
{
    const lamina_tensor *x, *idx, *upd;
    int64_t off = 0;
    lmn_tuples t;
    lmn_scatter s;
    bool go;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    LMN_TRY(lmn_need(ec, 2, &upd));
    LMN_TRY(lmn_tuples_make(ec, x, idx, 0, &t));
    LMN_TRY(check_updates(ec, x, idx, upd, t.depth));
    LMN_TRY(lmn_scatter_begin(ec, x, upd, &s, &go));
    if (!go) return LAMINA_OK;
    for (int64_t i = 0; i < t.n_batch * t.per_batch; i++) {
        LMN_TRY(lmn_tuples_offset(ec, &t, x, idx, i, &off));
        lmn_scatter_put(&s, off, i * t.slice, t.slice);
    }
    return lmn_scatter_end(ec, &s);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL},
                              {"indices", 0, 0, LMN_DBIT(LAMINA_I64)},
                              {"updates", 'T', 0, LMN_D_ALL},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"reduction", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_ScatterND = {
    .name = "ScatterND",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_scatternd,
    .eval = eval_scatternd,
};
