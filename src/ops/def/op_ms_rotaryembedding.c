/*
 * RotaryEmbedding (com.microsoft, since 1): like ai.onnx RotaryEmbedding; position_ids is [B, S] or
 * one offset, and without num_heads the head size is twice the width of the caches.
 */
#include "ops/attn.h"
#include "ops/f64io.h"
#include "ops/rope.h"
#include "ops/wide.h"

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status infer_rope(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 3, 4));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status read_rows(lmn_eval *ec, lmn_attn_rows *r)
{
    const lamina_tensor *x = lmn_in(ec, 0), *cos = lmn_in(ec, 2), *sin = lmn_in(ec, 3);
    const int64_t n = lmn_attr_i(ec->node, "num_heads", 0);
    if (cos->rank != 2 || !lmn_dims_equal(cos->rank, cos->dims, sin->rank, sin->dims))
        return bad(ec, "cos_cache and sin_cache must be [positions, half of what turns]");
    if (x->rank == 4) {
        *r = lmn_attn_bnsh(x);
    } else {
        if (x->rank != 3) return bad(ec, "the input must have rank 3 or 4");
        const int64_t size = n > 0 ? x->dims[2] / n : 2 * cos->dims[1];
        if (n < 0 || size <= 0 || x->dims[2] % size != 0)
            return bad(ec, "the input must be [batch, length, heads * size]");
        *r = lmn_attn_flat(x, 0, x->dims[2] / size, size);
    }
    const int64_t rot = lmn_attr_i(ec->node, "rotary_embedding_dim", 0);
    if (2 * cos->dims[1] > r->size || (rot > 0 && rot != 2 * cos->dims[1]))
        return bad(ec, "the caches are wider than half of what turns of a head");
    return LAMINA_OK;
}

/* Angles of batch row b, place i. */
static lamina_status angles(lmn_eval *ec, int64_t e, int64_t i, double *c, double *s)
{
    const lamina_tensor *ids = lmn_in(ec, 1), *cos = lmn_in(ec, 2), *sin = lmn_in(ec, 3);
    const int64_t p = lmn_count(ids) == 1 ? lmn_get_i64(ids, 0) + i : lmn_get_i64(ids, e);
    if (p < 0 || p >= cos->dims[0])
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "position %lld is outside the cache of %lld rows",
                             (long long)p, (long long)cos->dims[0]);
    lmn_f64_load(cos, p * cos->dims[1], cos->dims[1], c);
    lmn_f64_load(sin, p * cos->dims[1], cos->dims[1], s);
    return LAMINA_OK;
}

static lamina_status eval_rope(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *ids = lmn_in(ec, 1);
    const bool interleaved = lmn_attr_i(ec->node, "interleaved", 0) != 0;
    lmn_attn_rows r = {0};
    lamina_tensor *y;
    double *v;
    LMN_TRY(read_rows(ec, &r));
    if (lmn_count(x) == 0) return lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y);
    const int64_t batch = x->dims[0], rot = 2 * lmn_in(ec, 2)->dims[1];
    if (lmn_count(ids) != 1 && lmn_count(ids) != batch * r.len)
        return bad(ec, "position_ids must be one offset or [batch, length]");
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, 2 * r.size + rot, &v));
    for (int64_t e = 0; e < batch * r.len; e++) {
        const int64_t b = e / r.len, i = e % r.len;
        LMN_TRY(angles(ec, e, i, v + r.size, v + r.size + rot / 2));
        for (int64_t h = 0; h < r.heads; h++) {
            const int64_t at = r.off + b * r.sb + h * r.sh + i * r.si;
            lmn_f64_load(x, at, r.size, v);
            lmn_rope_turn(v, rot, interleaved, v + r.size, v + r.size + rot / 2);
            lmn_f64_store(y, at, r.size, v);
        }
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"position_ids", 0, 0, LMN_DBIT(LAMINA_I64)},
                              {"cos_cache", 'T', 0, LMN_D_FLOAT},
                              {"sin_cache", 'T', 0, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"interleaved", LMN_ATTR_INT, 0}, {"is_packed_batching", LMN_ATTR_INT, 0},
    {"num_heads", LMN_ATTR_INT, 0},   {"rotary_embedding_dim", LMN_ATTR_INT, 0},
    {"scale", LMN_ATTR_FLOAT, 0},     {0}};

const lmn_op_def lmn_op_MsRotaryEmbedding = {
    .domain = "com.microsoft",
    .name = "RotaryEmbedding",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_rope,
    .eval = eval_rope,
};
