/*
 * TensorScatter (ai.onnx, since 24): a key or value cache in which each batch sample's update is
 * written at write_indices[batch] along `axis` (default -2, never 0); mode "circular" wraps around,
 * "linear" must fit.
 */
#include "ops/gather.h"

#include <string.h>

static lamina_status infer_tensorscatter(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), u = lmn_infer_rank(ic, 1);
    int32_t axis = 0;
    lmn_infer_same(ic, 0, 0);
    if (r < 0) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -2), r, &axis));
    if (axis == 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use another axis", "axis 0 is the batch axis");
    if (u >= 0 && u != r)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give update the rank of the cache",
                              "the cache has rank %d, update has rank %d", r, u);
    lmn_dim same;
    for (int32_t k = 0; u >= 0 && k < r; k++)
        if (k != axis && !lmn_dim_unify(ic->dims, ic->in[0]->dims[k], ic->in[1]->dims[k], &same))
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "only the sequence axis may differ",
                                  "axis %d of update differs from the cache", k);
    return LAMINA_OK;
}

/* Shapes and indices checked; the first write index of each batch sample may be taken from w. */
static lamina_status check_inputs(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *u,
                                  const lamina_tensor *w, int32_t axis)
{
    if (axis == 0 || u->rank != x->rank || u->dtype != x->dtype)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "update must have the type and rank of the cache, axis not 0");
    for (int32_t k = 0; k < x->rank; k++)
        if (k == axis ? u->dims[k] > x->dims[k] : u->dims[k] != x->dims[k])
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "axis %d of update does not fit the cache", k);
    if (w && (w->rank != 1 || w->dtype != LAMINA_I64 || w->dims[0] != x->dims[0]))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "write_indices must hold one int64 a batch sample");
    return LAMINA_OK;
}

static lamina_status eval_tensorscatter(lmn_eval *ec)
{
    const lamina_tensor *x, *u, *w = lmn_in(ec, 2);
    int32_t axis;
    lmn_plain in, upd, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_need(ec, 1, &u));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", -2), x->rank, &axis));
    LMN_TRY(check_inputs(ec, x, u, w, axis));
    const bool ring = lmn_attr_is(ec->node, "mode", "circular", "linear");
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, x->dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    LMN_TRY(lmn_plain_in(ec, u, &upd));
    if (out.p != in.p) memcpy(out.p, in.p, (size_t)in.n * in.eb);
    const int64_t prefix = lmn_span_count(x->dims, 0, axis), max = x->dims[axis];
    const int64_t len = u->dims[axis], per_sample = prefix / x->dims[0];
    const size_t row = (size_t)lmn_span_count(x->dims, axis + 1, x->rank) * in.eb;
    for (int64_t p = 0; p < prefix; p++) {
        const int64_t first = w ? lmn_get_i64(w, p / per_sample) : 0;
        if (first < 0 || (!ring && first > max - len))
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "write index %lld and %lld rows do not fit a cache of %lld",
                                 (long long)first, (long long)len, (long long)max);
        for (int64_t s = 0; s < len; s++) {
            const int64_t at = ring ? (first % max + s) % max : first + s;
            memcpy(out.p + (size_t)(p * max + at) * row, upd.p + (size_t)(p * len + s) * row, row);
        }
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"past_cache", 'T', 0, LMN_D_ALL},
                              {"update", 'T', 0, LMN_D_ALL},
                              {"write_indices", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"present_cache", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_TensorScatter = {
    .name = "TensorScatter",
    .domain = "",
    .since = 24,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_tensorscatter,
    .eval = eval_tensorscatter,
};
