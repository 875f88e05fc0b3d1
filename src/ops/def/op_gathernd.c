/*
 * GatherND (ai.onnx, since 11): the last axis of indices holds addresses into the axes of data
 * after batch_dims; out = indices[:-1] + data[batch_dims + depth:].
 */
#include "ops/gather.h"

#include <string.h>

static lamina_status infer_gathernd(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1);
    const int64_t batch = lmn_attr_i(ic->node, "batch_dims", 0);
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, -1, NULL));
    if (r < 0 || q < 0) return LAMINA_OK;
    if (q < 1 || batch < 0 || batch >= q || batch >= r)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "use batch_dims below both ranks",
                              "ranks %d and %d do not allow batch_dims %lld", r, q,
                              (long long)batch);
    const lmn_dim last = ic->in[1]->dims[q - 1];
    if (!lmn_dim_known(last) || !lmn_dim_is_const(last)) return LAMINA_OK;
    const int64_t depth = lmn_dim_value(last), tail = r - batch - depth;
    if (tail < 0 || depth < 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "use shorter addresses",
                              "%lld indices an address, data has %lld axes for them",
                              (long long)depth, (long long)(r - batch));
    LMN_TRY(lmn_infer_shape(ic, 0, q - 1 + (int32_t)tail, &f));
    for (int32_t k = 0; k < q - 1; k++) f->dims[k] = ic->in[1]->dims[k];
    for (int32_t k = 0; k < tail; k++) f->dims[q - 1 + k] = ic->in[0]->dims[r - tail + k];
    return LAMINA_OK;
}

static lamina_status eval_gathernd(lmn_eval *ec)
{
    const lamina_tensor *x, *idx;
    int64_t dims[2 * LMN_MAX_RANK], off = 0;
    int32_t rank = 0;
    lmn_tuples t;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    const int64_t batch = lmn_attr_i(ec->node, "batch_dims", 0);
    if (batch < 0 || batch > LMN_MAX_RANK)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "batch_dims is %lld", (long long)batch);
    LMN_TRY(lmn_tuples_make(ec, x, idx, (int32_t)batch, &t));
    for (int32_t k = 0; k < idx->rank - 1; k++) dims[rank++] = idx->dims[k];
    for (int32_t k = t.batch + t.depth; k < x->rank; k++) dims[rank++] = x->dims[k];
    LMN_TRY(lmn_check_grown(ec, x->dtype, rank, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const size_t bytes = (size_t)t.slice * in.eb;
    for (int64_t i = 0; i < t.n_batch * t.per_batch; i++) {
        LMN_TRY(lmn_tuples_offset(ec, &t, x, idx, i, &off));
        memcpy(out.p + (size_t)i * bytes, in.p + (size_t)off * in.eb, bytes);
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL}, {"indices", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"batch_dims", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_GatherND = {
    .name = "GatherND",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gathernd,
    .eval = eval_gathernd,
    .cost = lmn_gather_cost,
};
