/*
 * RotaryEmbedding (ai.onnx, since 23): rotates pairs of the first rotary_embedding_dim values of
 * each head by cached angles; the rest passes through. A pair is (j, j + half) or, interleaved,
 * (2j, 2j + 1). Position ids outside the cache are an error. Without them the angles of one
 * sequence also serve a batch, which the standard does not ask for: exporters write it out so.
 */
#include "ops/f64io.h"
#include "ops/rope.h"
#include "ops/wide.h"

typedef struct rope {
    int64_t batch, heads, len, size, rot; /* size: values a head; rot of them turn */
    bool packed, interleaved;
    const lamina_tensor *x, *cos, *sin, *ids;
} rope;

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status infer_rope(lmn_infer *ic)
{
    if (!lmn_infer_has(ic, 0)) return LAMINA_OK;
    const int32_t rank = ic->in[0]->rank;
    if (rank >= 0 && rank != 3 && rank != 4)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "the input has rank %d, must be 3 or 4",
                              rank);
    if (rank == 3 && lmn_attr_i(ic->node, "num_heads", 0) <= 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set num_heads",
                              "an input of rank 3 needs the number of heads");
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status read_args(lmn_eval *ec, rope *r)
{
    const lamina_tensor *x = r->x = ec->in[0];
    r->cos = ec->in[1], r->sin = ec->in[2], r->ids = lmn_in(ec, 3);
    r->interleaved = lmn_attr_i(ec->node, "interleaved", 0) != 0;
    r->packed = x->rank == 3;
    if (x->rank != 3 && x->rank != 4) return bad(ec, "the input must have rank 3 or 4");
    r->heads = r->packed ? lmn_attr_i(ec->node, "num_heads", 0) : x->dims[1];
    if (r->packed && (r->heads <= 0 || x->dims[2] % r->heads != 0))
        return bad(ec, "the hidden extent is not a multiple of num_heads");
    r->batch = x->dims[0], r->len = x->dims[r->packed ? 1 : 2];
    r->size = r->packed ? x->dims[2] / r->heads : x->dims[3];
    r->rot = lmn_attr_i(ec->node, "rotary_embedding_dim", 0);
    if (r->rot == 0) r->rot = r->size;
    if (r->rot < 0 || r->rot > r->size || r->rot % 2 != 0)
        return bad(ec, "the rotated part must be an even number of values within the head");
    const int64_t flat[2] = {-1, r->rot / 2}, full[3] = {r->batch, r->len, r->rot / 2},
                  one[3] = {1, r->len, r->rot / 2};
    const int64_t ids[2] = {r->batch, r->len};
    const bool shared = !r->ids && r->cos->rank == 3 && r->cos->dims[0] == 1;
    if (!lmn_shape_is(r->cos, r->ids ? 2 : 3,
                      r->ids   ? flat
                      : shared ? one
                               : full) ||
        !lmn_dims_equal(r->cos->rank, r->cos->dims, r->sin->rank, r->sin->dims))
        return bad(ec, "cos_cache and sin_cache must be [positions, half] with position_ids and "
                       "[batch, length, half] without");
    if (r->ids && !lmn_shape_is(r->ids, 2, ids))
        return bad(ec, "position_ids must be [batch, length]");
    return LAMINA_OK;
}

static lamina_status eval_rope(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    rope r = {0};
    lamina_tensor *y;
    double *v;
    LMN_TRY(read_args(ec, &r));
    LMN_TRY(lmn_out(ec, 0, r.x->dtype, r.x->rank, r.x->dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, 3 * r.size, &v));
    double *c = v + r.size, *s = c + r.size;
    for (int64_t i = 0; i < r.batch * r.len; i++) {
        int64_t row = i % (r.cos->dims[0] == 1 && !r.ids ? r.len : r.batch * r.len);
        if (r.ids) {
            row = lmn_get_i64(r.ids, i);
            if (row < 0 || row >= r.cos->dims[0])
                return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                     "position id %lld is outside the cache of %lld rows",
                                     (long long)row, (long long)r.cos->dims[0]);
        }
        lmn_f64_load(r.cos, row * (r.rot / 2), r.rot / 2, c);
        lmn_f64_load(r.sin, row * (r.rot / 2), r.rot / 2, s);
        for (int64_t h = 0; h < r.heads; h++) {
            const int64_t b = i / r.len, t = i % r.len;
            const int64_t at =
                r.packed ? (i * r.heads + h) * r.size : ((b * r.heads + h) * r.len + t) * r.size;
            lmn_f64_load(r.x, at, r.size, v);
            lmn_rope_turn(v, r.rot, r.interleaved, c, s);
            lmn_f64_store(y, at, r.size, v);
        }
    }
    return LAMINA_OK;
}

#define TYPES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {{"X", 'T', 0, TYPES},
                              {"cos_cache", 'T', 0, TYPES},
                              {"sin_cache", 'T', 0, TYPES},
                              {"position_ids", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"interleaved", LMN_ATTR_INT, 0},
                                        {"num_heads", LMN_ATTR_INT, 0},
                                        {"rotary_embedding_dim", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_RotaryEmbedding = {
    .name = "RotaryEmbedding",
    .domain = "",
    .since = 23,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_rope,
    .eval = eval_rope,
};
