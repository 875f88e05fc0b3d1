/*
 * Attention (ai.onnx, since 23): softmax(scale * Q K' softcapped + bias) V with grouped heads, a
 * key and value cache, boolean or additive masks, causal and sliding-window limits.
 *
 * Everything between the inputs and Y happens in f64, whatever softmax_precision asks: one
 * rounding. A query with every key at bias -inf gives a zero row, in Y and in mode 3 of
 * qk_matmul_output; a mask shorter than the keys counts as -inf (false) past its end. Causal: key j
 * is seen by query i when j <= i + offset, where offset is the past length, or nonpad_kv_seqlen[b]
 * - queries, or 0.
 */
#include "ops/linalg.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>

/* ---- inference ----------------------------------------------------------------------------------
 */

static lmn_dim dim_of(const lmn_fact *f, int32_t i)
{
    return f->rank > i ? f->dims[i] : LMN_DIM_UNKNOWN;
}

static lmn_dim split_dim(lmn_infer *ic, lmn_dim hidden, int64_t heads)
{
    return heads > 0 ? lmn_dim_floordiv(ic->dims, hidden, lmn_dim_c(heads)) : LMN_DIM_UNKNOWN;
}

static lamina_status check_ranks(lmn_infer *ic)
{
    int32_t rank = -1;
    for (int32_t i = 0; i < 3; i++) {
        if (!lmn_infer_has(ic, i) || ic->in[i]->rank < 0) continue;
        const int32_t r = ic->in[i]->rank;
        if (r != 3 && r != 4)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "input %d has rank %d, must be 3 or 4",
                                  i, r);
        if (rank >= 0 && rank != r)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "Q, K and V have ranks %d and %d", rank,
                                  r);
        rank = r;
    }
    if (rank == 3 && (lmn_attr_i(ic->node, "q_num_heads", 0) <= 0 ||
                      lmn_attr_i(ic->node, "kv_num_heads", 0) <= 0))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set q_num_heads and kv_num_heads",
                              "inputs of rank 3 need the numbers of heads");
    return LAMINA_OK;
}

static void set4(lmn_infer *ic, int32_t o, lmn_dim a, lmn_dim b, lmn_dim c, lmn_dim d)
{
    if (o >= ic->node->n_out) return;
    lmn_fact *f = &ic->out[o];
    f->rank = 4;
    f->dims[0] = a, f->dims[1] = b, f->dims[2] = c, f->dims[3] = d;
}

static lamina_status infer_attention(lmn_infer *ic)
{
    const lmn_fact *q = ic->in[0], *k = ic->in[1], *v = ic->in[2];
    LMN_TRY(check_ranks(ic));
    const int32_t rank = q->rank > 0 ? q->rank : k->rank > 0 ? k->rank : v->rank;
    if (rank < 0) return LAMINA_OK;
    const int64_t hq = lmn_attr_i(ic->node, "q_num_heads", 0),
                  hk = lmn_attr_i(ic->node, "kv_num_heads", 0);
    const bool packed = rank == 3;
    const lmn_dim batch = dim_of(q, 0), n_q = packed ? lmn_dim_c(hq) : dim_of(q, 1);
    const lmn_dim n_k = packed ? lmn_dim_c(hk) : dim_of(k, 1);
    const lmn_dim lq = dim_of(q, packed ? 1 : 2), lk = dim_of(k, packed ? 1 : 2);
    const lmn_dim d = packed ? split_dim(ic, dim_of(k, 2), hk) : dim_of(k, 3);
    const lmn_dim dv = packed ? split_dim(ic, dim_of(v, 2), hk) : dim_of(v, 3);
    lmn_dim total = lk;
    if (lmn_infer_has(ic, 4))
        total = lmn_dim_add(ic->dims, lk, dim_of(ic->in[4], 2));
    else if (ic->node->n_in > 4 && ic->in[4])
        total = LMN_DIM_UNKNOWN;
    if (packed) {
        ic->out[0].rank = 3;
        ic->out[0].dims[0] = batch, ic->out[0].dims[1] = lq;
        ic->out[0].dims[2] = lmn_dim_mul(ic->dims, n_q, dv);
    } else {
        set4(ic, 0, batch, n_q, lq, dv);
    }
    set4(ic, 1, batch, n_k, total, d);
    set4(ic, 2, batch, n_k, total, dv);
    set4(ic, 3, batch, n_q, lq, total);
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

/* Where one of Q, K, V keeps the row (b, head, position): element offset of its first value. */
typedef struct rows {
    const lamina_tensor *t;
    int64_t heads, len, width; /* width: values of a row */
    bool packed;               /* [b, len, heads * width] instead of [b, heads, len, width] */
} rows;

static int64_t row_at(const rows *r, int64_t b, int64_t h, int64_t i)
{
    return r->packed ? ((b * r->len + i) * r->heads + h) * r->width
                     : ((b * r->heads + h) * r->len + i) * r->width;
}

typedef struct attention {
    rows q, k, v;
    const lamina_tensor *mask, *past_k, *past_v, *nonpad;
    int64_t batch, past, total; /* total = past + new keys */
    int64_t left, right;        /* window, -1 = open */
    bool causal;
    double scale, softcap;
    int64_t mode;
    lamina_tensor *y, *qk;
    double *area; /* per worker */
    int64_t area_n;
} attention;

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status set_rows(lmn_eval *ec, int32_t i, int64_t heads, rows *r)
{
    const lamina_tensor *t = ec->in[i];
    *r = (rows){.t = t, .packed = t->rank == 3};
    if (t->rank == 4) {
        r->heads = t->dims[1], r->len = t->dims[2], r->width = t->dims[3];
        return LAMINA_OK;
    }
    if (t->rank != 3) return bad(ec, "Q, K and V must have rank 3 or 4");
    if (heads <= 0 || t->dims[2] % heads != 0)
        return bad(ec, "the hidden extent is not a multiple of the number of heads");
    r->heads = heads, r->len = t->dims[1], r->width = t->dims[2] / heads;
    return LAMINA_OK;
}

static lamina_status check_mask(lmn_eval *ec, const attention *a)
{
    const lamina_tensor *m = a->mask;
    const int64_t want[4] = {a->batch, a->q.heads, a->q.len, a->total};
    if (!m) return LAMINA_OK;
    if (m->rank < 1 || m->rank > 4) return bad(ec, "attn_mask must have rank 1 to 4");
    if (m->dims[m->rank - 1] > a->total) return bad(ec, "attn_mask is longer than the keys");
    for (int32_t i = 0; i + 1 < m->rank; i++)
        if (m->dims[i] != 1 && m->dims[i] != want[4 - m->rank + i])
            return bad(ec, "attn_mask does not broadcast to [batch, heads, queries, keys]");
    return LAMINA_OK;
}

static lamina_status read_args(lmn_eval *ec, attention *a)
{
    const lmn_opnode *n = ec->node;
    LMN_TRY(set_rows(ec, 0, lmn_attr_i(n, "q_num_heads", 0), &a->q));
    LMN_TRY(set_rows(ec, 1, lmn_attr_i(n, "kv_num_heads", 0), &a->k));
    LMN_TRY(set_rows(ec, 2, lmn_attr_i(n, "kv_num_heads", 0), &a->v));
    a->batch = a->q.t->dims[0];
    a->mask = lmn_in(ec, 3), a->past_k = lmn_in(ec, 4), a->past_v = lmn_in(ec, 5),
    a->nonpad = lmn_in(ec, 6);
    if (a->k.t->dims[0] != a->batch || a->v.t->dims[0] != a->batch)
        return bad(ec, "the batch extents differ");
    if (a->k.width != a->q.width) return bad(ec, "Q and K have different head sizes");
    if (a->k.len != a->v.len || a->k.heads != a->v.heads)
        return bad(ec, "K and V have different lengths or heads");
    if (a->k.heads < 1 || a->q.heads % a->k.heads != 0)
        return bad(ec, "the query heads are not a multiple of the key heads");
    if (!a->past_k != !a->past_v) return bad(ec, "past_key and past_value go together");
    if (a->past_k) {
        a->past = a->past_k->rank == 4 ? a->past_k->dims[2] : 0;
        const int64_t pk[4] = {a->batch, a->k.heads, a->past, a->k.width};
        const int64_t pv[4] = {a->batch, a->k.heads, a->past, a->v.width};
        if (!lmn_shape_is(a->past_k, 4, pk) || !lmn_shape_is(a->past_v, 4, pv))
            return bad(
                ec,
                "past_key or past_value does not have the shape [batch, heads, past, head size]");
    }
    a->total = a->past + a->k.len;
    if (a->nonpad && (a->past_k || lmn_count(a->nonpad) != a->batch))
        return bad(ec, "nonpad_kv_seqlen must have one entry a batch row and excludes past_key");
    a->scale =
        lmn_attr_find(n, "scale") ? lmn_attr_f(n, "scale", 1.0F) : 1.0 / sqrt((double)a->q.width);
    a->softcap = lmn_attr_f(n, "softcap", 0.0F);
    a->causal = lmn_attr_i(n, "is_causal", 0) != 0;
    a->mode = lmn_attr_i(n, "qk_matmul_output_mode", 0);
    a->left = lmn_attr_i(n, "left_window_size", -1),
    a->right = lmn_attr_i(n, "right_window_size", -1);
    if (a->mode < 0 || a->mode > 3)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "qk_matmul_output_mode must be 0 to 3");
    return check_mask(ec, a);
}

/* Additive bias of one row of scores. */
static void make_bias(const attention *a, int64_t b, int64_t h, int64_t i, double *bias)
{
    const int64_t at[4] = {b, h, i, 0};
    int64_t known = a->total;
    for (int64_t j = 0; j < a->total; j++) bias[j] = 0.0;
    if (a->mask) {
        const lamina_tensor *m = a->mask;
        int64_t off = 0;
        known = m->dims[m->rank - 1];
        for (int32_t k = 0; k + 1 < m->rank; k++)
            off = off * m->dims[k] + (m->dims[k] == 1 ? 0 : at[4 - m->rank + k]);
        lmn_f64_load(m, off * known, known, bias);
        for (int64_t j = 0; m->dtype == LAMINA_BOOL && j < known; j++)
            bias[j] = bias[j] != 0.0 ? 0.0 : -INFINITY;
        for (int64_t j = known; j < a->total; j++) bias[j] = -INFINITY;
    }
    const int64_t valid = a->nonpad ? lmn_get_i64(a->nonpad, b) : a->total;
    const int64_t offset = a->nonpad ? valid - a->q.len : a->past;
    for (int64_t j = 0; j < a->total; j++) {
        const int64_t ahead = j - (i + offset); /* keys past the query's own position */
        const bool hidden = (a->causal && ahead > 0) || (a->right >= 0 && ahead > a->right) ||
                            (a->left >= 0 && -ahead > a->left) || j >= valid;
        if (hidden) bias[j] += -INFINITY;
    }
}

static double dot(const double *x, const double *y, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += x[i + k] * y[i + k];
    for (; i < n; i++) s[0] += x[i] * y[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* s becomes softmax(s + bias); zeros where no key is left. */
static void softmax_row(double *s, const double *bias, int64_t n)
{
    double top = -INFINITY, sum = 0.0;
    bool blind = true, nan = false;
    for (int64_t j = 0; j < n; j++) {
        if (bias[j] != -INFINITY) blind = false;
        if (isnan(s[j])) nan = true;
        if (s[j] > top) top = s[j];
    }
    if (blind || (!nan && top == -INFINITY)) {
        for (int64_t j = 0; j < n; j++) s[j] = 0.0;
        return;
    }
    for (int64_t j = 0; j < n; j++) sum += s[j] = exp(s[j] - top);
    for (int64_t j = 0; j < n; j++) s[j] /= sum;
}

static void score_row(const attention *a, int64_t qk_at, double *s, double *bias, const double *q,
                      const double *k)
{
    const int64_t n = a->total;
    for (int64_t j = 0; j < n; j++) s[j] = a->scale * dot(q, k + j * a->k.width, a->k.width);
    if (a->qk && a->mode == 0) lmn_f64_store(a->qk, qk_at, n, s);
    for (int64_t j = 0; a->softcap > 0.0 && j < n; j++) s[j] = a->softcap * tanh(s[j] / a->softcap);
    if (a->qk && a->mode == 1) lmn_f64_store(a->qk, qk_at, n, s);
    for (int64_t j = 0; j < n; j++) s[j] += bias[j];
    if (a->qk && a->mode == 2) lmn_f64_store(a->qk, qk_at, n, s);
    softmax_row(s, bias, n);
    if (a->qk && a->mode == 3) lmn_f64_store(a->qk, qk_at, n, s);
}

/* All keys (or values) of one head, past first. */
static void load_head(const attention *a, const rows *r, const lamina_tensor *past, int64_t b,
                      int64_t h, double *dst)
{
    if (past) lmn_f64_load(past, (b * r->heads + h) * a->past * r->width, a->past * r->width, dst);
    dst += a->past * r->width;
    if (!r->packed)
        lmn_f64_load(r->t, row_at(r, b, h, 0), r->len * r->width, dst);
    else
        for (int64_t i = 0; i < r->len; i++)
            lmn_f64_load(r->t, row_at(r, b, h, i), r->width, dst + i * r->width);
}

static void run_head(void *arg, int64_t chunk, int32_t worker)
{
    const attention *a = arg;
    const int64_t b = chunk / a->q.heads, h = chunk % a->q.heads,
                  hk = h / (a->q.heads / a->k.heads);
    double *k = a->area + worker * a->area_n, *v = k + a->total * a->k.width;
    double *s = v + a->total * a->v.width, *bias = s + a->total, *q = bias + a->total,
           *y = q + a->q.width;
    rows out = {.heads = a->q.heads, .len = a->q.len, .width = a->v.width, .packed = a->q.packed};
    load_head(a, &a->k, a->past_k, b, hk, k);
    load_head(a, &a->v, a->past_v, b, hk, v);
    for (int64_t i = 0; i < a->q.len; i++) {
        lmn_f64_load(a->q.t, row_at(&a->q, b, h, i), a->q.width, q);
        make_bias(a, b, h, i, bias);
        score_row(a, (chunk * a->q.len + i) * a->total, s, bias, q, k);
        if (!a->y) continue;
        for (int64_t d = 0; d < a->v.width; d++) y[d] = 0.0;
        for (int64_t j = 0; j < a->total; j++)
            for (int64_t d = 0; d < a->v.width; d++) y[d] += s[j] * v[j * a->v.width + d];
        /* A fully masked row is zero even where a value is not finite. */
        bool blind = true;
        for (int64_t j = 0; j < a->total && blind; j++) blind = bias[j] == -INFINITY;
        for (int64_t d = 0; blind && d < a->v.width; d++) y[d] = 0.0;
        lmn_f64_store(a->y, row_at(&out, b, h, i), a->v.width, y);
    }
}

/* Output o = past then new rows, as [batch, heads, total, width]. */
static lamina_status put_present(lmn_eval *ec, int32_t o, const attention *a, const rows *r,
                                 const lamina_tensor *past)
{
    lamina_tensor *t;
    const int64_t dims[4] = {a->batch, r->heads, a->total, r->width};
    LMN_TRY(lmn_out(ec, o, r->t->dtype, 4, dims, &t));
    const size_t es = lmn_dtype_bytes(r->t->dtype);
    const int64_t old = a->past * r->width;
    for (int64_t g = 0; t && g < a->batch * r->heads; g++) {
        uint8_t *dst = (uint8_t *)t->data + (size_t)(g * a->total * r->width) * es;
        if (past && old)
            lmn_convert(t->dtype, dst, t->dtype, (uint8_t *)past->data + (size_t)(g * old) * es,
                        old, false);
        for (int64_t i = 0; i < r->len; i++) {
            const int64_t at = row_at(r, g / r->heads, g % r->heads, i);
            lmn_convert(t->dtype, dst + (size_t)(old + i * r->width) * es, t->dtype,
                        (uint8_t *)r->t->data + (size_t)at * es, r->width, false);
        }
    }
    return LAMINA_OK;
}

static lamina_status eval_attention(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    attention a = {0};
    LMN_TRY(read_args(ec, &a));
    const int64_t y3[3] = {a.batch, a.q.len, a.q.heads * a.v.width};
    const int64_t y4[4] = {a.batch, a.q.heads, a.q.len, a.v.width};
    const int64_t qk[4] = {a.batch, a.q.heads, a.q.len, a.total};
    LMN_TRY(lmn_out(ec, 0, a.q.t->dtype, a.q.packed ? 3 : 4, a.q.packed ? y3 : y4, &a.y));
    LMN_TRY(put_present(ec, 1, &a, &a.k, a.past_k));
    LMN_TRY(put_present(ec, 2, &a, &a.v, a.past_v));
    LMN_TRY(lmn_out(ec, 3, a.q.t->dtype, 4, qk, &a.qk));
    if ((!a.y || lmn_count(a.y) == 0) && (!a.qk || lmn_count(a.qk) == 0)) return LAMINA_OK;
    a.area_n = a.total * (a.k.width + a.v.width + 2) + a.q.width + a.v.width;
    LMN_TRY(lmn_f64_alloc(ec, a.area_n * lmn_par_width(ec->par), &a.area));
    lmn_par_for(ec->par, a.batch * a.q.heads, run_head, &a);
    return LAMINA_OK;
}

static void cost_attention(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                           lmn_cost *c)
{
    (void)n;
    if (!in[1] || in[1]->rank < 3) return;
    double keys = lmn_cost_dim(in[1]->dims[in[1]->rank == 3 ? 1 : 2]);
    if (n->n_in > 4 && in[4] && in[4]->rank == 4) keys += lmn_cost_dim(in[4]->dims[2]);
    c->flops = 4.0 * lmn_cost_count(out) * keys;
}

#define MASK (LMN_D_NUM | LMN_D_BOOL)
static const lmn_port IN[] = {{"Q", 'T', 0, LMN_D_FLOAT},
                              {"K", 'T', 0, LMN_D_FLOAT},
                              {"V", 'V', 0, LMN_D_FLOAT},
                              {"attn_mask", 'U', LMN_PORT_OPTIONAL, MASK},
                              {"past_key", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"past_value", 'V', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"nonpad_kv_seqlen", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT},
                               {"present_key", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {"present_value", 'V', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {"qk_matmul_output", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"is_causal", LMN_ATTR_INT, 0},
                                        {"kv_num_heads", LMN_ATTR_INT, 0},
                                        {"left_window_size", LMN_ATTR_INT, 0},
                                        {"q_num_heads", LMN_ATTR_INT, 0},
                                        {"qk_matmul_output_mode", LMN_ATTR_INT, 0},
                                        {"right_window_size", LMN_ATTR_INT, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"softcap", LMN_ATTR_FLOAT, 0},
                                        {"softmax_precision", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_Attention = {
    .name = "Attention",
    .domain = "",
    .since = 23,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_attention,
    .eval = eval_attention,
    .cost = cost_attention,
};
