/*
 * GroupQueryAttention (com.microsoft, since 1): causal attention with grouped heads over a cache in
 * which every batch row has its own length, seqlens_k[b] + 1 with the new keys. Query, key and
 * value [B, S, heads * H], or all packed in the query. Optional: rotation of query and key by
 * cached angles, RMS norm of their heads before it, a window (local_window_size keys, the own one
 * included), softcap, a sink in the softmax, an additive bias.
 *
 * The cache has max(total_sequence_length, past) rows; rows past a batch row's length are 0. In the
 * first prompt (S equal to total_sequence_length) nothing is past.
 */
#include "ops/attn.h"
#include "ops/shapes.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

enum {
    Q,
    K,
    V,
    PAST_K,
    PAST_V,
    LENS,
    TOTAL,
    COS,
    SIN,
    POSITIONS,
    ATTN_BIAS,
    SINK,
    K_SCALE,
    V_SCALE,
    Q_NORM,
    K_NORM
};

/* ---- inference ----------------------------------------------------------------------------------
 */

static lamina_status check_attrs(lmn_infer *ic)
{
    const lmn_opnode *n = ic->node;
    const int64_t heads = lmn_attr_i(n, "num_heads", 0), kv = lmn_attr_i(n, "kv_num_heads", 0);
    if (heads <= 0 || kv <= 0 || heads % kv != 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "num_heads %lld must be a multiple of kv_num_heads %lld",
                              (long long)heads, (long long)kv);
    if (lmn_attr_i(n, "sliding_window_cache", 0))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "use a cache of full length",
                              "sliding_window_cache is not supported");
    if (!lmn_attr_is(n, "k_quant_type", "NONE", "NONE") ||
        !lmn_attr_is(n, "v_quant_type", "NONE", "NONE"))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "use a cache of the query's type",
                              "a quantised cache is not supported");
    return LAMINA_OK;
}

static lamina_status infer_gqa(lmn_infer *ic)
{
    LMN_TRY(check_attrs(ic));
    const int64_t heads = lmn_attr_i(ic->node, "num_heads", 0),
                  kv = lmn_attr_i(ic->node, "kv_num_heads", 0);
    const lmn_fact *q = lmn_infer_shape_of(ic, Q);
    if (!q) return LAMINA_OK;
    if (q->rank != 3)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "the query has rank %d, must be 3",
                              q->rank);
    const bool packed = ic->node->n_in <= K || !ic->in[K];
    const lmn_dim size =
        lmn_dim_floordiv(ic->dims, q->dims[2], lmn_dim_c(packed ? heads + 2 * kv : heads));
    lmn_fact *y = lmn_infer_ranked(ic, 0, 3);
    if (y) y->dims[0] = q->dims[0], y->dims[1] = q->dims[1];
    if (y) y->dims[2] = packed ? lmn_dim_mul(ic->dims, size, lmn_dim_c(heads)) : q->dims[2];
    const lmn_dim *total = NULL;
    lmn_dim keys = lmn_infer_elems(ic, TOTAL, &total) == 1 ? total[0] : LMN_DIM_UNKNOWN;
    const lmn_dim rows = keys;
    if (ic->in[PAST_K]) keys = lmn_dim_max(ic->dims, keys, lmn_attn_dim(ic, PAST_K, 2));
    lmn_attn_set4(ic, 1, q->dims[0], lmn_dim_c(kv), keys, size);
    lmn_attn_set4(ic, 2, q->dims[0], lmn_dim_c(kv), keys, size);
    lmn_attn_set4(ic, 3, q->dims[0], lmn_dim_c(heads), q->dims[1], rows);
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

typedef struct gqa {
    lmn_attn a;
    lmn_attn_rows q, k, v;
    const lamina_tensor *past_k, *past_v, *attn_bias;
    int64_t total;              /* total_sequence_length */
    int64_t *past, *len, *zero; /* per batch row: rows before the new ones, rows with them, 0 */
    int64_t *positions;         /* [batch * S] */
    int64_t window;
    bool causal, first_prompt;
} gqa;

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status read_rows(lmn_eval *ec, gqa *g)
{
    const lamina_tensor *q = lmn_in(ec, Q), *k = lmn_in(ec, K), *v = lmn_in(ec, V);
    const int64_t n = lmn_attr_i(ec->node, "num_heads", 0),
                  kv = lmn_attr_i(ec->node, "kv_num_heads", 0);
    if (n <= 0 || kv <= 0 || n > INT32_MAX || n % kv != 0)
        return bad(ec, "num_heads must be a multiple of kv_num_heads");
    if (q->rank != 3 || !k != !v) return bad(ec, "the query must have rank 3, key and value pair");
    const int64_t parts = k ? n : n + 2 * kv, size = q->dims[2] / parts;
    if (q->dims[2] % parts != 0) return bad(ec, "the query's width is not a multiple of its heads");
    g->q = lmn_attn_flat(q, 0, n, size);
    if (!k) {
        g->k = lmn_attn_flat(q, n * size, kv, size);
        g->v = lmn_attn_flat(q, (n + kv) * size, kv, size);
        return LAMINA_OK;
    }
    const int64_t want[3] = {q->dims[0], q->dims[1], kv * size};
    if (!lmn_dims_equal(k->rank, k->dims, 3, want) || !lmn_dims_equal(v->rank, v->dims, 3, want))
        return bad(ec, "key and value must be [batch, length, kv_num_heads * head size]");
    g->k = lmn_attn_flat(k, 0, kv, size);
    g->v = lmn_attn_flat(v, 0, kv, size);
    return LAMINA_OK;
}

static lamina_status read_lengths(lmn_eval *ec, gqa *g)
{
    const lamina_tensor *lens = lmn_in(ec, LENS), *total = lmn_in(ec, TOTAL);
    const int64_t batch = g->q.t->dims[0], s = g->q.len;
    if (lmn_count(lens) != batch || lmn_count(total) != 1)
        return bad(ec, "seqlens_k must have one entry a batch row, total_sequence_length one");
    g->past = lmn_wide_scratch(ec, 3 * batch + 1, sizeof *g->past);
    if (!g->past) return LAMINA_E_NOMEM;
    g->len = g->past + batch, g->zero = g->len + batch;
    g->total = lmn_get_i64(total, 0);
    g->first_prompt = s == g->total;
    for (int64_t b = 0; b < batch; b++) {
        g->len[b] = lmn_get_i64(lens, b) + 1;
        g->past[b] = g->first_prompt ? 0 : g->len[b] - s;
        g->zero[b] = 0;
        if (g->len[b] < 1 || g->past[b] < 0 || g->past[b] + s > g->total || g->len[b] > g->total)
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "seqlens_k[%lld] is %lld: does not fit %lld new keys and "
                                 "total_sequence_length %lld",
                                 (long long)b, (long long)g->len[b] - 1, (long long)s,
                                 (long long)g->total);
    }
    return LAMINA_OK;
}

static lamina_status read_past(lmn_eval *ec, gqa *g)
{
    const lamina_tensor *pk = g->past_k = lmn_in(ec, PAST_K), *pv = g->past_v = lmn_in(ec, PAST_V);
    const int64_t batch = g->q.t->dims[0];
    int64_t rows = 0;
    if (!pk != !pv) return bad(ec, "past_key and past_value go together");
    if (pk) {
        rows = pk->rank == 4 ? pk->dims[2] : 0;
        const int64_t want[4] = {batch, g->k.heads, rows, g->k.size};
        if (!lmn_dims_equal(pk->rank, pk->dims, 4, want) ||
            !lmn_dims_equal(pv->rank, pv->dims, 4, want))
            return bad(ec,
                       "past_key and past_value must be [batch, kv_num_heads, past, head size]");
    }
    for (int64_t b = 0; b < batch; b++)
        if (g->past[b] > rows) return bad(ec, "seqlens_k counts more past keys than are given");
    g->a.capacity = lmn_max_i64(g->total, rows);
    const int64_t dims[4] = {batch, g->k.heads, g->a.capacity, g->k.size};
    return lmn_check_grown(ec, g->q.t->dtype, 4, dims);
}

/* Positions of the new rows: given, or counted from the past. */
static lamina_status read_positions(lmn_eval *ec, gqa *g)
{
    const lamina_tensor *ids = lmn_in(ec, POSITIONS), *cos = lmn_in(ec, COS),
                        *sin = lmn_in(ec, SIN);
    const int64_t batch = g->q.t->dims[0], s = g->q.len, n = batch * s;
    if (!cos || !sin) return bad(ec, "do_rotary needs cos_cache and sin_cache");
    if (cos->rank != 2 || 2 * cos->dims[1] > g->q.size ||
        !lmn_dims_equal(cos->rank, cos->dims, sin->rank, sin->dims))
        return bad(ec, "cos_cache and sin_cache must be [positions, half of what turns]");
    if (ids && lmn_count(ids) != n && lmn_count(ids) != 1)
        return bad(ec, "position_ids must be [batch, length]");
    g->positions = lmn_wide_scratch(ec, n + 1, sizeof *g->positions);
    if (!g->positions) return LAMINA_E_NOMEM;
    for (int64_t e = 0; e < n; e++) {
        int64_t p = g->past[e / s] + e % s;
        if (ids && (g->first_prompt || lmn_count(ids) == 1))
            p = lmn_get_i64(ids, 0) + e % s;
        else if (ids)
            p = lmn_get_i64(ids, e);
        if (p < 0 || p >= cos->dims[0])
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "position %lld is outside the cache of %lld rows", (long long)p,
                                 (long long)cos->dims[0]);
        g->positions[e] = p;
    }
    return LAMINA_OK;
}

static void gqa_row(const lmn_attn *a, int64_t b, int64_t h, int64_t i, int64_t *lo, int64_t *hi,
                    double *bias)
{
    const gqa *g = a->ctx;
    const int64_t from = *lo, end = g->causal ? g->past[b] + i + 1 : g->len[b];
    *lo = g->window > 0 ? lmn_max_i64(from, end - g->window) : from;
    *hi = lmn_min_i64(*hi, end);
    if (bias && g->attn_bias && *lo < *hi)
        lmn_attn_add_bias(g->attn_bias, b, h, i, *lo, *hi, bias + (*lo - from));
}

/* Past rows and the new ones into output o, or scratch. */
static lamina_status place_kv(lmn_eval *ec, const gqa *g, const lmn_attn_rows *r,
                              const lmn_attn_prep *p, int32_t o, const void **out)
{
    const lamina_tensor *past = o == 1 ? g->past_k : g->past_v;
    const int64_t cap = g->a.capacity, dims[4] = {g->a.batch, r->heads, cap, r->size};
    const size_t row = (size_t)r->size * lmn_dtype_bytes(r->t->dtype);
    lamina_tensor *t = NULL;
    void *dst;
    LMN_TRY(lmn_out(ec, o, r->t->dtype, 4, dims, &t));
    if (t)
        dst = t->data;
    else
        LMN_TRY(lmn_attn_scratch(ec, r->t->dtype, dims[0] * dims[1] * dims[2] * dims[3], &dst));
    for (int64_t bh = 0; bh < g->a.batch * r->heads; bh++) {
        const int64_t b = bh / r->heads, old = g->past[b], fresh = old + r->len;
        uint8_t *to = (uint8_t *)dst + (size_t)(bh * cap) * row;
        if (past && old)
            memcpy(to, (const uint8_t *)past->data + (size_t)(bh * past->dims[2]) * row,
                   (size_t)old * row);
        memset(to + (size_t)fresh * row, 0, (size_t)(cap - fresh) * row);
    }
    *out = dst;
    return lmn_attn_place(ec, r, p, g->a.batch, g->past, cap, dst);
}

static lamina_status read_sink(lmn_eval *ec, gqa *g)
{
    const lamina_tensor *t = lmn_in(ec, SINK);
    const bool smooth = lmn_attr_i(ec->node, "smooth_softmax", 0) != 0;
    double *sink;
    if (!t && !smooth) return LAMINA_OK;
    if (t && lmn_count(t) != g->a.heads) return bad(ec, "head_sink must have one entry a head");
    sink = lmn_wide_scratch(ec, g->a.heads, sizeof *sink);
    if (!sink) return LAMINA_E_NOMEM;
    for (int64_t h = 0; h < g->a.heads; h++) sink[h] = t ? lmn_get_f64(t, h) : 0.0;
    g->a.sink = sink;
    return LAMINA_OK;
}

static lamina_status setup(lmn_eval *ec, gqa *g)
{
    const lmn_opnode *n = ec->node;
    LMN_TRY(read_rows(ec, g));
    LMN_TRY(read_lengths(ec, g));
    LMN_TRY(read_past(ec, g));
    const float scale = lmn_attr_f(n, "scale", 0.0f);
    const int64_t cap = g->a.capacity;
    g->a = (lmn_attn){.dt = g->q.t->dtype,
                      .batch = g->q.t->dims[0],
                      .heads = g->q.heads,
                      .kv_heads = g->k.heads,
                      .queries = g->q.len,
                      .capacity = cap,
                      .d = g->q.size,
                      .dv = g->q.size,
                      .scale = scale != 0.0f ? (double)scale : 1.0 / sqrt((double)g->q.size),
                      .softcap = (double)lmn_attr_f(n, "softcap", 0.0f),
                      .qk_keys = g->total,
                      .qk_after = lmn_attr_i(n, "qk_output", 0) == 2,
                      .row = gqa_row,
                      .ctx = g};
    LMN_TRY(lmn_attn_extents(ec, &g->a));
    g->causal = lmn_attr_i(n, "causal", 1) != 0;
    g->window = lmn_attr_i(n, "local_window_size", -1);
    g->attn_bias = lmn_in(ec, ATTN_BIAS);
    g->a.biased = g->attn_bias != NULL;
    if (!lmn_attn_bias_fits(g->attn_bias, g->a.batch, g->a.heads, g->a.queries, g->total))
        return bad(ec, "attention_bias must be [batch or 1, heads or 1, queries, keys]");
    return read_sink(ec, g);
}

lamina_status lmn_gqa_eval(lmn_eval *ec, lmn_attn_run_fn *run, const void *dev)
{
    LMN_TRY(lmn_eval_ready(ec));
    gqa g = {0};
    LMN_TRY(setup(ec, &g));
    lmn_attn_prep turn = {.norm_eps = (double)lmn_attr_f(ec->node, "qk_norm_epsilon", 1e-6f)};
    if (lmn_attr_i(ec->node, "do_rotary", 0)) {
        LMN_TRY(read_positions(ec, &g));
        turn.cos = lmn_in(ec, COS), turn.sin = lmn_in(ec, SIN);
        turn.interleaved = lmn_attr_i(ec->node, "rotary_interleaved", 0) != 0;
        turn.positions = g.positions;
    }
    lmn_attn_prep turn_q = turn, turn_k = turn;
    turn_q.norm = lmn_in(ec, Q_NORM), turn_k.norm = lmn_in(ec, K_NORM);
    if ((turn_q.norm && lmn_count(turn_q.norm) != g.q.size) ||
        (turn_k.norm && lmn_count(turn_k.norm) != g.q.size))
        return bad(ec, "q_norm_weight and k_norm_weight must have the head size");
    const int64_t y[3] = {g.a.batch, g.a.queries, g.a.heads * g.a.dv};
    const int64_t qk[4] = {g.a.batch, g.a.heads, g.a.queries, g.total};
    void *q;
    LMN_TRY(lmn_out(ec, 0, g.a.dt, 3, y, &g.a.y));
    if (lmn_out_wanted(ec, 3)) LMN_TRY(lmn_check_grown(ec, g.a.dt, 4, qk));
    LMN_TRY(lmn_out(ec, 3, g.a.dt, 4, qk, &g.a.qk));
    LMN_TRY(lmn_attn_scratch(ec, g.a.dt, g.a.batch * g.a.heads * g.a.queries * g.a.d, &q));
    LMN_TRY(lmn_attn_place(ec, &g.q, &turn_q, g.a.batch, g.zero, g.a.queries, q));
    g.a.q = q;
    LMN_TRY(place_kv(ec, &g, &g.k, &turn_k, 1, &g.a.k));
    LMN_TRY(place_kv(ec, &g, &g.v, NULL, 2, &g.a.v));
    return run(ec, &g.a, dev);
}

static lamina_status eval_gqa(lmn_eval *ec)
{
    return lmn_gqa_eval(ec, lmn_attn_run, NULL);
}

#define OPT LMN_PORT_OPTIONAL
#define I32 LMN_DBIT(LAMINA_I32)
#define F32 LMN_DBIT(LAMINA_F32)
static const lmn_port IN[] = {{"query", 'T', 0, LMN_D_FLOAT},
                              {"key", 'T', OPT, LMN_D_FLOAT},
                              {"value", 'T', OPT, LMN_D_FLOAT},
                              {"past_key", 'T', OPT, LMN_D_FLOAT},
                              {"past_value", 'T', OPT, LMN_D_FLOAT},
                              {"seqlens_k", 0, 0, I32},
                              {"total_sequence_length", 0, 0, I32},
                              {"cos_cache", 'T', OPT, LMN_D_FLOAT},
                              {"sin_cache", 'T', OPT, LMN_D_FLOAT},
                              {"position_ids", 0, OPT, LMN_DBIT(LAMINA_I64)},
                              {"attention_bias", 'T', OPT, LMN_D_FLOAT},
                              {"head_sink", 'T', OPT, LMN_D_FLOAT},
                              {"k_scale", 0, OPT, F32},
                              {"v_scale", 0, OPT, F32},
                              {"q_norm_weight", 'T', OPT, LMN_D_FLOAT},
                              {"k_norm_weight", 'T', OPT, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT},
                               {"present_key", 'T', OPT, LMN_D_FLOAT},
                               {"present_value", 'T', OPT, LMN_D_FLOAT},
                               {"output_qk", 'T', OPT, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"causal", LMN_ATTR_INT, 0},
                                        {"do_rotary", LMN_ATTR_INT, 0},
                                        {"k_quant_type", LMN_ATTR_STRING, 0},
                                        {"kv_cache_bit_width", LMN_ATTR_INT, 0},
                                        {"kv_num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"local_window_size", LMN_ATTR_INT, 0},
                                        {"num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"qk_norm_epsilon", LMN_ATTR_FLOAT, 0},
                                        {"qk_output", LMN_ATTR_INT, 0},
                                        {"rotary_interleaved", LMN_ATTR_INT, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"sliding_window_cache", LMN_ATTR_INT, 0},
                                        {"smooth_softmax", LMN_ATTR_INT, 0},
                                        {"softcap", LMN_ATTR_FLOAT, 0},
                                        {"v_quant_type", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_MsGroupQueryAttention = {
    .domain = "com.microsoft",
    .name = "GroupQueryAttention",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gqa,
    .eval = eval_gqa,
    .cost = lmn_attn_cost,
};
