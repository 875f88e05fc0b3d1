/*
 * LinearAttention (ai.onnx, since 27): a recurrent state S [d_k, d_v] per key-value head, decayed
 * by exp(g), written with k (x) v or the delta rule, and read by each query head of the group. The
 * state is held in f64 over the whole sequence; chunk_size is a hint without effect on the result.
 */
#include "ops/linalg.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

enum { MAX_HEAD = 1 << 20 }; /* values: the square still counts in 64 bits */

typedef struct linear {
    const lamina_tensor *q, *k, *v, *past, *decay, *beta;
    int64_t batch, len, hq, hk, dk, dv, decay_n, beta_n; /* *_n: values a token */
    double scale;
    lamina_tensor *y, *state;
    double *area;
    int64_t area_n;
} linear;

static lmn_dim dim_of(const lmn_fact *f, int32_t i)
{
    return f->rank > i ? f->dims[i] : LMN_DIM_UNKNOWN;
}

static lamina_status infer_linear(lmn_infer *ic)
{
    const lmn_fact *q = ic->in[0], *v = ic->in[2];
    const int64_t hq = lmn_attr_i(ic->node, "q_num_heads", 0),
                  hk = lmn_attr_i(ic->node, "kv_num_heads", 0);
    if (hq <= 0 || hk <= 0 || hq % hk != 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "q_num_heads %lld is not a positive multiple of "
                              "kv_num_heads %lld",
                              (long long)hq, (long long)hk);
    for (int32_t i = 0; i < 3; i++)
        if (ic->in[i]->rank >= 0 && ic->in[i]->rank != 3)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "input %d has rank %d, must be 3", i,
                                  ic->in[i]->rank);
    const lmn_dim dv = lmn_dim_floordiv(ic->dims, dim_of(v, 2), lmn_dim_c(hk));
    ic->out[0].rank = 3;
    ic->out[0].dims[0] = dim_of(q, 0), ic->out[0].dims[1] = dim_of(q, 1);
    ic->out[0].dims[2] = lmn_dim_mul(ic->dims, dv, lmn_dim_c(hq));
    if (ic->node->n_out < 2) return LAMINA_OK;
    lmn_fact *s = &ic->out[1];
    if (!s->dtype) s->dtype = ic->in[0]->dtype; /* without a past state nothing else says */
    s->rank = 4;
    s->dims[0] = dim_of(q, 0), s->dims[1] = lmn_dim_c(hk), s->dims[3] = dv;
    s->dims[2] = lmn_dim_floordiv(ic->dims, dim_of(q, 2), lmn_dim_c(hq));
    return LAMINA_OK;
}

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status check_gates(lmn_eval *ec, linear *a)
{
    const char *rule = lmn_attr_s(ec->node, "update_rule", "gated_delta");
    const bool gated = strcmp(rule, "gated") == 0 || strcmp(rule, "gated_delta") == 0;
    const bool delta = strcmp(rule, "delta") == 0 || strcmp(rule, "gated_delta") == 0;
    if (!gated && !delta && strcmp(rule, "linear") != 0)
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "update_rule must be linear, gated, delta or gated_delta");
    if (gated != (a->decay != NULL) || delta != (a->beta != NULL))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "update_rule %s %s decay and %s beta", rule,
                             gated ? "needs" : "forbids", delta ? "needs" : "forbids");
    a->decay_n = a->decay && a->decay->rank == 3 ? a->decay->dims[2] : 0;
    a->beta_n = a->beta && a->beta->rank == 3 ? a->beta->dims[2] : 0;
    const int64_t g[3] = {a->batch, a->len, a->decay_n}, b[3] = {a->batch, a->len, a->beta_n};
    if (gated &&
        (!lmn_shape_is(a->decay, 3, g) || (a->decay_n != a->hk && a->decay_n != a->hk * a->dk)))
        return bad(ec, "decay must be [batch, length, heads] or [batch, length, heads * d_k]");
    if (delta && (!lmn_shape_is(a->beta, 3, b) || (a->beta_n != a->hk && a->beta_n != 1)))
        return bad(ec, "beta must be [batch, length, heads] or [batch, length, 1]");
    return LAMINA_OK;
}

static lamina_status read_args(lmn_eval *ec, linear *a)
{
    a->q = ec->in[0], a->k = ec->in[1], a->v = ec->in[2];
    a->past = lmn_in(ec, 3), a->decay = lmn_in(ec, 4), a->beta = lmn_in(ec, 5);
    a->hq = lmn_attr_i(ec->node, "q_num_heads", 0), a->hk = lmn_attr_i(ec->node, "kv_num_heads", 0);
    if (a->q->rank != 3 || a->k->rank != 3 || a->v->rank != 3)
        return bad(ec, "query, key and value must have rank 3");
    if (a->hq <= 0 || a->hk <= 0 || a->hq % a->hk != 0 || a->q->dims[2] % a->hq != 0 ||
        a->v->dims[2] % a->hk != 0)
        return bad(ec, "the heads do not divide the hidden extents");
    a->batch = a->q->dims[0], a->len = a->q->dims[1];
    a->dk = a->q->dims[2] / a->hq, a->dv = a->v->dims[2] / a->hk;
    if (a->dk > MAX_HEAD || a->dv > MAX_HEAD) return bad(ec, "a head is too large");
    const int64_t k[3] = {a->batch, a->len, a->hk * a->dk}, v[3] = {a->batch, a->len, -1};
    const int64_t s[4] = {a->batch, a->hk, a->dk, a->dv};
    if (!lmn_shape_is(a->k, 3, k) || !lmn_shape_is(a->v, 3, v))
        return bad(ec, "key and value do not fit the query");
    if (a->past && !lmn_shape_is(a->past, 4, s))
        return bad(ec, "past_state must be [batch, heads, d_k, d_v]");
    a->scale = lmn_attr_f(ec->node, "scale", 0.0F);
    if (a->scale == 0.0) a->scale = 1.0 / sqrt((double)a->dk);
    return check_gates(ec, a);
}

/* S *= exp(g) row by row. */
static void decay_state(const linear *a, int64_t token, int64_t h, double *s)
{
    const bool per_key = a->decay_n != a->hk;
    for (int64_t d = 0; d < a->dk; d++) {
        const int64_t at = token * a->decay_n + (per_key ? h * a->dk + d : h);
        const double f = exp(lmn_get_f64(a->decay, at));
        for (int64_t m = 0; m < a->dv; m++) s[d * a->dv + m] *= f;
    }
}

/* One key-value head of one batch row. */
static void run_head(void *arg, int64_t chunk, int32_t worker)
{
    const linear *a = arg;
    const int64_t b = chunk / a->hk, h = chunk % a->hk, group = a->hq / a->hk, size = a->dk * a->dv;
    double *s = a->area + worker * a->area_n, *q = s + size, *k = q + a->dk, *v = k + a->dk,
           *o = v + a->dv;
    for (int64_t i = 0; i < size; i++) s[i] = 0.0;
    if (a->past) lmn_f64_load(a->past, chunk * size, size, s);
    for (int64_t t = 0; t < a->len; t++) {
        const int64_t token = b * a->len + t;
        lmn_f64_load(a->k, (token * a->hk + h) * a->dk, a->dk, k);
        lmn_f64_load(a->v, (token * a->hk + h) * a->dv, a->dv, v);
        if (a->decay) decay_state(a, token, h, s);
        if (a->beta) {
            const double beta = lmn_get_f64(a->beta, token * a->beta_n + (a->beta_n == 1 ? 0 : h));
            for (int64_t d = 0; d < a->dk; d++)
                for (int64_t m = 0; m < a->dv; m++) v[m] -= s[d * a->dv + m] * k[d];
            for (int64_t m = 0; m < a->dv; m++) v[m] *= beta;
        }
        for (int64_t d = 0; d < a->dk; d++)
            for (int64_t m = 0; m < a->dv; m++) s[d * a->dv + m] += k[d] * v[m];
        for (int64_t g = 0; a->y && g < group; g++) {
            const int64_t head = token * a->hq + h * group + g;
            lmn_f64_load(a->q, head * a->dk, a->dk, q);
            for (int64_t m = 0; m < a->dv; m++) o[m] = 0.0;
            for (int64_t d = 0; d < a->dk; d++)
                for (int64_t m = 0; m < a->dv; m++) o[m] += q[d] * s[d * a->dv + m];
            for (int64_t m = 0; m < a->dv; m++) o[m] *= a->scale;
            lmn_f64_store(a->y, head * a->dv, a->dv, o);
        }
    }
    if (a->state) lmn_f64_store(a->state, chunk * size, size, s);
}

static lamina_status eval_linear(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    linear a = {0};
    LMN_TRY(read_args(ec, &a));
    const int64_t y[3] = {a.batch, a.len, a.hq * a.dv}, s[4] = {a.batch, a.hk, a.dk, a.dv};
    LMN_TRY(lmn_out(ec, 0, a.q->dtype, 3, y, &a.y));
    LMN_TRY(lmn_out(ec, 1, a.past ? a.past->dtype : a.q->dtype, 4, s, &a.state));
    a.area_n = a.dk * a.dv + 2 * a.dk + 2 * a.dv;
    LMN_TRY(lmn_f64_alloc(ec, a.area_n * lmn_par_width(ec->par), &a.area));
    lmn_par_for(ec->par, a.batch * a.hk, run_head, &a);
    return LAMINA_OK;
}

static void cost_linear(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                        lmn_cost *c)
{
    const double heads = (double)lmn_max_i64(lmn_attr_i(n, "q_num_heads", 1), 1);
    if (in[0] && in[0]->rank == 3)
        c->flops = 6.0 * lmn_cost_count(out) * lmn_cost_dim(in[0]->dims[2]) / heads;
}

#define TYPES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {{"query", 'T', 0, TYPES},
                              {"key", 'T', 0, TYPES},
                              {"value", 'T', 0, TYPES},
                              {"past_state", 'S', LMN_PORT_OPTIONAL, TYPES},
                              {"decay", 'T', LMN_PORT_OPTIONAL, TYPES},
                              {"beta", 'T', LMN_PORT_OPTIONAL, TYPES},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, TYPES}, {"present_state", 'S', LMN_PORT_OPTIONAL, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"chunk_size", LMN_ATTR_INT, 0},
                                        {"kv_num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"q_num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"update_rule", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_LinearAttention = {
    .name = "LinearAttention",
    .domain = "",
    .since = 27,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_linear,
    .eval = eval_linear,
    .cost = cost_linear,
};
