/*
 * Index checks of the gather and scatter families.
 */
#include "ops/gather.h"

lamina_status lmn_index_wrap(lmn_eval *ec, int64_t v, int64_t extent, int64_t *out)
{
    if (LMN_UNLIKELY(v < -extent || v >= extent))
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "index %lld is outside an axis of extent %lld",
                             (long long)v, (long long)extent);
    *out = v < 0 ? v + extent : v;
    return LAMINA_OK;
}

lamina_status lmn_index_input(lmn_eval *ec, int32_t i, const lamina_tensor **t)
{
    LMN_TRY(lmn_need(ec, i, t));
    if (!(LMN_DBIT((*t)->dtype) & LMN_D_INDEX))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "indices must be int32 or int64, they are %s",
                             lamina_dtype_name((*t)->dtype));
    return LAMINA_OK;
}

lamina_status lmn_tuples_make(lmn_eval *ec, const lamina_tensor *data, const lamina_tensor *idx,
                              int32_t batch, lmn_tuples *t)
{
    if (idx->rank < 1 || batch < 0 || batch >= idx->rank || batch > data->rank)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "indices of rank %d do not fit %d batch axes",
                             idx->rank, batch);
    for (int32_t k = 0; k < batch; k++)
        if (idx->dims[k] != data->dims[k])
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "batch axis %d is %lld in data, %lld in indices", k,
                                 (long long)data->dims[k], (long long)idx->dims[k]);
    const int64_t depth = idx->dims[idx->rank - 1];
    if (depth > data->rank - batch)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "%lld indices an address, data has %d axes for them", (long long)depth,
                             data->rank - batch);
    const int32_t end = batch + (int32_t)depth;
    *t = (lmn_tuples){.batch = batch,
                      .depth = (int32_t)depth,
                      .n_batch = lmn_span_count(idx->dims, 0, batch),
                      .per_batch = lmn_span_count(idx->dims, batch, idx->rank - 1),
                      .slice = lmn_span_count(data->dims, end, data->rank),
                      .batch_stride = lmn_span_count(data->dims, batch, data->rank)};
    return LAMINA_OK;
}

lamina_status lmn_tuples_offset(lmn_eval *ec, const lmn_tuples *t, const lamina_tensor *data,
                                const lamina_tensor *idx, int64_t i, int64_t *out)
{
    int64_t off = 0;
    for (int32_t k = 0; k < t->depth; k++) {
        const int64_t extent = data->dims[t->batch + k];
        int64_t v = 0;
        LMN_TRY(lmn_index_wrap(ec, lmn_index_at(idx, i * t->depth + k), extent, &v));
        off = off * extent + v;
    }
    *out = i / t->per_batch * t->batch_stride + off * t->slice;
    return LAMINA_OK;
}

void lmn_gather_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                     lmn_cost *c)
{
    if (n->n_in > 0 && in[0] && n->n_out > 0)
        c->bytes += lmn_fact_bytes(&out[0]) - lmn_fact_bytes(in[0]);
    c->flops = 0;
}
