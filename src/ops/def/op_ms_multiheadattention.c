/*
 * MultiHeadAttention (com.microsoft, since 1): attention after the input projections, with a bias
 * on them, a cache, a padding mask that adds mask_filter_value, and an additive bias.
 *
 * Query [B, S, N * H] or packed [B, S, N, 3, H]; key [B, L, N * H], packed with the value as
 * [B, L, N, 2, H], or [B, N, L, H]; value like the key. Masks: valid lengths [B] (also the head of
 * [3 * B + 2]), ends and starts [2 * B], or 0 and 1 for [B, keys], [B, S, keys], [B, 1, M, M].
 * Causal rows see the keys up to their own; the output qk holds the scores before the softmax.
 */
#include "ops/attn.h"
#include "ops/wide.h"

#include <float.h>
#include <math.h>

enum { Q, K, V, BIAS, MASK, ATTN_BIAS, PAST_K, PAST_V, PAST_LEN, BEAMS };

/* ---- inference ----------------------------------------------------------------------------------
 */

static lamina_status infer_mha(lmn_infer *ic)
{
    const int64_t n = lmn_attr_i(ic->node, "num_heads", 0);
    if (n <= 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"num_heads\" is %lld",
                              (long long)n);
    const lmn_fact *q = lmn_infer_shape_of(ic, Q), *k = lmn_infer_shape_of(ic, K),
                   *v = lmn_infer_shape_of(ic, V);
    if (!q || (ic->node->n_in > K && ic->in[K] && !k)) return LAMINA_OK;
    const lmn_dim heads = lmn_dim_c(n), batch = q->dims[0];
    if (q->rank < 3)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "the query has rank %d, must be 3 or 5",
                              q->rank);
    const lmn_dim d = q->rank == 5 ? q->dims[4] : lmn_dim_floordiv(ic->dims, q->dims[2], heads);
    const lmn_dim len = q->rank == 5 || !k ? q->dims[1] : k->dims[k->rank == 4 ? 2 : 1];
    lmn_dim dv = v && v->rank == 4   ? v->dims[3]
                 : v && v->rank == 3 ? lmn_dim_floordiv(ic->dims, v->dims[2], heads)
                                     : d;
    if (ic->node->n_in > V && ic->in[V] && !v) dv = LMN_DIM_UNKNOWN;
    lmn_fact *y = lmn_infer_ranked(ic, 0, 3);
    if (y) y->dims[0] = batch, y->dims[1] = q->dims[1];
    if (y) y->dims[2] = v && v->rank == 3 ? v->dims[2] : lmn_dim_mul(ic->dims, heads, dv);
    lmn_dim total = len;
    if (ic->node->n_in > PAST_K && ic->in[PAST_K])
        total = ic->node->n_in > PAST_LEN && ic->in[PAST_LEN]
                    ? lmn_attn_dim(ic, PAST_K, 2)
                    : lmn_dim_add(ic->dims, len, lmn_attn_dim(ic, PAST_K, 2));
    lmn_attn_set4(ic, 1, batch, heads, total, d);
    lmn_attn_set4(ic, 2, batch, heads, total, dv);
    lmn_attn_set4(ic, 3, batch, heads, q->dims[1], total);
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

typedef struct mha {
    lmn_attn a;
    lmn_attn_rows q, k, v;
    const lamina_tensor *mask, *attn_bias, *past_k, *past_v, *bias;
    int64_t past, total, filled; /* total keys; filled: rows of a shared cache that count */
    bool causal, projected;      /* projected: key and value come from projections, the bias is
                                    theirs too */
    double filter;
} mha;

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

/* [B, L, heads * size] as rows; the width must divide. */
static lamina_status flat(lmn_eval *ec, const lamina_tensor *t, int64_t heads, lmn_attn_rows *r)
{
    if (t->rank != 3 || t->dims[2] % heads != 0)
        return bad(ec, "query, key and value must be [batch, length, heads * size]");
    *r = lmn_attn_flat(t, 0, heads, t->dims[2] / heads);
    return LAMINA_OK;
}

static lamina_status read_rows(lmn_eval *ec, int64_t n, mha *m)
{
    const lamina_tensor *q = lmn_in(ec, Q), *k = lmn_in(ec, K), *v = lmn_in(ec, V);
    m->projected = true;
    if (!k) {
        if (v || q->rank != 5 || q->dims[2] != n || q->dims[3] != 3)
            return bad(ec,
                       "without a key the query must be packed [batch, length, heads, 3, size]");
        m->q = lmn_attn_parts(q, 0), m->k = lmn_attn_parts(q, 1), m->v = lmn_attn_parts(q, 2);
        return LAMINA_OK;
    }
    LMN_TRY(flat(ec, q, n, &m->q));
    if (!v) {
        if (k->rank != 5 || k->dims[2] != n || k->dims[3] != 2)
            return bad(ec,
                       "without a value the key must be packed [batch, length, heads, 2, size]");
        m->k = lmn_attn_parts(k, 0), m->v = lmn_attn_parts(k, 1);
    } else if (k->rank == 4) {
        if (v->rank != 4 || k->dims[1] != n || v->dims[1] != n)
            return bad(ec, "key and value of rank 4 must be [batch, heads, length, size]");
        m->k = lmn_attn_bnsh(k), m->v = lmn_attn_bnsh(v);
        m->projected = false;
    } else {
        LMN_TRY(flat(ec, k, n, &m->k));
        LMN_TRY(flat(ec, v, n, &m->v));
    }
    if (m->k.t->dims[0] != q->dims[0] || m->v.t->dims[0] != q->dims[0] || m->k.len != m->v.len ||
        m->k.size != m->q.size)
        return bad(ec, "query, key and value disagree in batch, length or head size");
    return LAMINA_OK;
}

static lamina_status read_past(lmn_eval *ec, mha *m)
{
    const lamina_tensor *pk = m->past_k = lmn_in(ec, PAST_K), *pv = m->past_v = lmn_in(ec, PAST_V);
    const lamina_tensor *used = lmn_in(ec, PAST_LEN);
    const int64_t batch = m->q.t->dims[0];
    if (!pk != !pv) return bad(ec, "past_key and past_value go together");
    m->total = m->filled = m->k.len;
    if (!pk) return LAMINA_OK;
    m->past = pk->rank == 4 ? pk->dims[2] : 0;
    const int64_t want_k[4] = {batch, m->k.heads, m->past, m->k.size};
    const int64_t want_v[4] = {batch, m->k.heads, m->past, m->v.size};
    if (!lmn_dims_equal(pk->rank, pk->dims, 4, want_k) ||
        !lmn_dims_equal(pv->rank, pv->dims, 4, want_v))
        return bad(ec, "past_key and past_value must be [batch, heads, past, size]");
    m->total = m->filled = m->past + m->k.len;
    if (used) { /* the cache has its full length already */
        const int64_t p = lmn_count(used) == 1 ? lmn_get_i64(used, 0) : -1;
        if (p < 0 || p + m->k.len > m->past)
            return bad(ec, "past_sequence_length and the new keys exceed the cache");
        m->total = m->past;
        m->past = p;
        m->filled = p + m->k.len;
    }
    return LAMINA_OK;
}

static lamina_status check_mask(lmn_eval *ec, const mha *m)
{
    const lamina_tensor *t = m->mask;
    const int64_t b = m->a.batch;
    bool ok = !t;
    if (t && t->rank == 1) ok = t->dims[0] == b || t->dims[0] == 2 * b || t->dims[0] == 3 * b + 2;
    if (t && t->rank == 2)
        ok = t->dims[0] == b &&
             (t->dims[1] >= m->filled || t->dims[1] == m->k.len || t->dims[1] == 1);
    if (t && t->rank == 3)
        ok = t->dims[0] == b && t->dims[1] == m->a.queries && t->dims[2] >= m->filled;
    if (t && t->rank == 4)
        ok = t->dims[0] == b && t->dims[1] == 1 && t->dims[2] >= m->past + m->a.queries &&
             t->dims[3] >= m->filled;
    return ok ? LAMINA_OK : bad(ec, "the mask fits neither batch and lengths nor queries and keys");
}

/* May query i of row b see key j? */
static bool seen(const mha *m, int64_t b, int64_t i, int64_t j)
{
    const lamina_tensor *t = m->mask;
    const int64_t w = t->dims[t->rank - 1];
    if (t->rank == 1 || (t->rank == 2 && w == 1 && m->filled > 1))
        return j < lmn_get_i64(t, b) &&
               (t->rank > 1 || t->dims[0] != 2 * m->a.batch || j >= lmn_get_i64(t, m->a.batch + b));
    if (t->rank == 2) {
        if (w >= m->filled) return lmn_get_i64(t, b * w + j) > 0;
        return j < m->past || lmn_get_i64(t, b * w + j - m->past) > 0;
    }
    if (t->rank == 3) return lmn_get_i64(t, (b * t->dims[1] + i) * w + j) > 0;
    return lmn_get_i64(t, (b * t->dims[2] + m->past + i) * w + j) > 0;
}

static void mha_row(const lmn_attn *a, int64_t b, int64_t h, int64_t i, int64_t *lo, int64_t *hi,
                    double *bias)
{
    const mha *m = a->ctx;
    const int64_t end = m->causal ? lmn_min_i64(m->past + i + 1, m->filled) : m->filled;
    *hi = lmn_min_i64(*hi, end);
    if (!bias) return;
    if (m->attn_bias) lmn_attn_add_bias(m->attn_bias, b, h, i, *lo, *hi, bias);
    for (int64_t j = *lo; m->mask && j < *hi; j++)
        if (!seen(m, b, i, j)) bias[j - *lo] += m->filter;
}

/* Keys or values into output o (or scratch): past rows, then the new ones. */
static lamina_status place_kv(lmn_eval *ec, const mha *m, const lmn_attn_rows *r, int32_t o,
                              const lamina_tensor *past, int64_t bias_at, const void **out)
{
    const int64_t dims[4] = {m->a.batch, r->heads, m->total, r->size};
    const lmn_attn_prep p = {.bias = m->projected ? m->bias : NULL, .bias_at = bias_at};
    int64_t *first = lmn_wide_scratch(ec, m->a.batch + 1, sizeof *first);
    lamina_tensor *t = NULL;
    void *dst;
    if (!first) return LAMINA_E_NOMEM;
    LMN_TRY(lmn_out(ec, o, r->t->dtype, 4, dims, &t));
    if (t)
        dst = t->data;
    else
        LMN_TRY(lmn_attn_scratch(ec, r->t->dtype, dims[0] * dims[1] * dims[2] * dims[3], &dst));
    for (int64_t b = 0; b < m->a.batch; b++) first[b] = 0;
    if (past) {
        const lmn_attn_rows old = lmn_attn_bnsh(past);
        LMN_TRY(lmn_attn_place(ec, &old, NULL, m->a.batch, first, m->total, dst));
    }
    for (int64_t b = 0; b < m->a.batch; b++) first[b] = m->past;
    LMN_TRY(lmn_attn_place(ec, r, &p, m->a.batch, first, m->total, dst));
    *out = dst;
    return LAMINA_OK;
}

static lamina_status place_q(lmn_eval *ec, mha *m)
{
    const lmn_attn_prep p = {.bias = m->bias};
    void *dst;
    int64_t *first = lmn_wide_scratch(ec, m->a.batch + 1, sizeof *first);
    if (!first) return LAMINA_E_NOMEM;
    for (int64_t b = 0; b < m->a.batch; b++) first[b] = 0;
    LMN_TRY(lmn_attn_scratch(ec, m->a.dt, m->a.batch * m->a.heads * m->a.queries * m->a.d, &dst));
    m->a.q = dst;
    return lmn_attn_place(ec, &m->q, &p, m->a.batch, first, m->q.len, dst);
}

static lamina_status setup(lmn_eval *ec, mha *m)
{
    const int64_t n = lmn_attr_i(ec->node, "num_heads", 0);
    const lamina_tensor *q = lmn_in(ec, Q);
    if (n <= 0 || n > INT32_MAX) return bad(ec, "attribute \"num_heads\" must be positive");
    if (lmn_in(ec, BEAMS))
        return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED,
                             "cache_indirection (beams) is not supported");
    if (q->rank != 3 && q->rank != 5) return bad(ec, "the query must have rank 3 or 5");
    LMN_TRY(read_rows(ec, n, m));
    LMN_TRY(read_past(ec, m));
    m->mask = lmn_in(ec, MASK), m->attn_bias = lmn_in(ec, ATTN_BIAS), m->bias = lmn_in(ec, BIAS);
    m->causal = lmn_attr_i(ec->node, "unidirectional", 0) != 0;
    m->filter = (double)lmn_attr_f(ec->node, "mask_filter_value", -10000.0f);
    const float scale = lmn_attr_f(ec->node, "scale", 0.0f);
    m->a = (lmn_attn){.dt = q->dtype,
                      .batch = q->dims[0],
                      .heads = n,
                      .kv_heads = n,
                      .queries = m->q.len,
                      .capacity = m->total,
                      .d = m->q.size,
                      .dv = m->v.size,
                      .scale = scale != 0.0f ? (double)scale : 1.0 / sqrt((double)m->q.size),
                      .qk_unseen = -(double)FLT_MAX,
                      .row = mha_row,
                      .ctx = m};
    m->a.biased = m->mask || m->attn_bias;
    LMN_TRY(lmn_attn_extents(ec, &m->a));
    if (m->bias && lmn_count(m->bias) != n * (2 * m->q.size + m->v.size))
        return bad(ec, "the bias must hold the widths of query, key and value");
    if (!lmn_attn_bias_fits(m->attn_bias, m->a.batch, n, m->a.queries, m->filled))
        return bad(ec, "attention_bias must be [batch or 1, heads or 1, queries, keys]");
    return check_mask(ec, m);
}

lamina_status lmn_mha_eval(lmn_eval *ec, lmn_attn_run_fn *run, const void *dev)
{
    LMN_TRY(lmn_eval_ready(ec));
    mha m = {0};
    LMN_TRY(setup(ec, &m));
    const int64_t wide = m.a.heads * m.q.size;
    const int64_t y[3] = {m.a.batch, m.a.queries, m.a.heads * m.v.size};
    const int64_t qk[4] = {m.a.batch, m.a.heads, m.a.queries, m.total};
    LMN_TRY(lmn_out(ec, 0, m.a.dt, 3, y, &m.a.y));
    LMN_TRY(lmn_out(ec, 3, m.a.dt, 4, qk, &m.a.qk));
    m.a.qk_keys = m.total;
    LMN_TRY(place_q(ec, &m));
    LMN_TRY(place_kv(ec, &m, &m.k, 1, m.past_k, wide, &m.a.k));
    LMN_TRY(place_kv(ec, &m, &m.v, 2, m.past_v, 2 * wide, &m.a.v));
    return run(ec, &m.a, dev);
}

static lamina_status eval_mha(lmn_eval *ec)
{
    return lmn_mha_eval(ec, lmn_attn_run, NULL);
}

#define OPT LMN_PORT_OPTIONAL
#define I32 LMN_DBIT(LAMINA_I32)
static const lmn_port IN[] = {{"query", 'T', 0, LMN_D_FLOAT},
                              {"key", 'T', OPT, LMN_D_FLOAT},
                              {"value", 'T', OPT, LMN_D_FLOAT},
                              {"bias", 'T', OPT, LMN_D_FLOAT},
                              {"key_padding_mask", 0, OPT, I32},
                              {"attention_bias", 'T', OPT, LMN_D_FLOAT},
                              {"past_key", 'T', OPT, LMN_D_FLOAT},
                              {"past_value", 'T', OPT, LMN_D_FLOAT},
                              {"past_sequence_length", 0, OPT, I32},
                              {"cache_indirection", 0, OPT, I32},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT},
                               {"present_key", 'T', OPT, LMN_D_FLOAT},
                               {"present_value", 'T', OPT, LMN_D_FLOAT},
                               {"qk", 'T', OPT, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"mask_filter_value", LMN_ATTR_FLOAT, 0},
                                        {"num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"unidirectional", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_MsMultiHeadAttention = {
    .domain = "com.microsoft",
    .name = "MultiHeadAttention",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_mha,
    .eval = eval_mha,
    .cost = lmn_attn_cost,
};
