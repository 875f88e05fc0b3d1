/*
 * Indices of the gather and scatter families: checks, and items moved by rows of indices.
 */
#include "ops/gather.h"
#include "ops/runs.h"

typedef uint16_t __attribute__((aligned(1), may_alias)) u16m;
typedef uint32_t __attribute__((aligned(1), may_alias)) u32m;
typedef uint64_t __attribute__((aligned(1), may_alias)) u64m;
typedef struct __attribute__((packed, may_alias)) u128m {
    uint64_t lo, hi;
} u128m;

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

lamina_status lmn_index_all(lmn_eval *ec, const lamina_tensor *idx, int64_t extent)
{
    int64_t v;
    for (int64_t i = 0, n = lmn_count(idx); i < n; i++)
        LMN_TRY(lmn_index_wrap(ec, lmn_index_at(idx, i), extent, &v));
    return LAMINA_OK;
}

/* MOVE(v) for every index v of a row, wrapped; leaves the function at one that is outside. */
#define EACH(itype, MOVE)                                            \
    for (int64_t i = 0; i < n; i++) {                                \
        int64_t v = ((const itype *)idx)[first + i];                 \
        v += v < 0 ? extent : 0;                                     \
        if (LMN_UNLIKELY((uint64_t)v >= (uint64_t)extent)) return i; \
        MOVE(v);                                                     \
    }
#define TAKE_NEAR(v) d[i] = s[v]
#define PUT_NEAR(v) d[v] = s[i]
#define TAKE_ONE(v) d[i] = s[(v)*step + i * along]
#define PUT_ONE(v) d[(v)*step + i * along] = s[i]
#define TAKE_RUN(v) \
    lmn_run_copy(dst + (size_t)i * unit, src + ((v)*step + i * along) * (int64_t)unit, unit)
#define PUT_RUN(v) \
    lmn_run_copy(dst + ((v)*step + i * along) * (int64_t)unit, src + (size_t)i * unit, unit)
#define WIDTHS(MOVE)        \
    if (wide)               \
        EACH(int64_t, MOVE) \
    else                    \
        EACH(int32_t, MOVE)
#define TYPED(type, NEAR, ONE)                           \
    {                                                    \
        type *d = (type *)(void *)dst;                   \
        const type *s = (const type *)(const void *)src; \
        if (step == 1 && along == 0)                     \
            WIDTHS(NEAR)                                 \
        else                                             \
            WIDTHS(ONE)                                  \
        break;                                           \
    }
#define INDEXED(name, NEAR, ONE, RUN)                                            \
    int64_t name(const lmn_index_row *r, int64_t first, int64_t n, uint8_t *dst, \
                 const uint8_t *src)                                             \
    {                                                                            \
        const int64_t extent = r->extent, step = r->step, along = r->along;      \
        const size_t unit = r->unit;                                             \
        const void *idx = r->idx->data;                                          \
        const bool wide = r->idx->dtype == LAMINA_I64;                           \
        switch (unit) {                                                          \
        case 1: TYPED(uint8_t, NEAR, ONE)                                        \
        case 2: TYPED(u16m, NEAR, ONE)                                           \
        case 4: TYPED(u32m, NEAR, ONE)                                           \
        case 8: TYPED(u64m, NEAR, ONE)                                           \
        case 16: TYPED(u128m, NEAR, ONE)                                         \
        default: WIDTHS(RUN)                                                     \
        }                                                                        \
        return n;                                                                \
    }
INDEXED(lmn_index_take, TAKE_NEAR, TAKE_ONE, TAKE_RUN)
INDEXED(lmn_index_put, PUT_NEAR, PUT_ONE, PUT_RUN)

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
