/*
 * Mixtures of experts (moe.h).
 */
#include "ops/moe.h"
#include "ops/linalg.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

enum { ROWS_PER_CHUNK = 16, MAX_EXPERTS = 4096 };
typedef enum act_kind { ACT_NONE, ACT_RELU, ACT_GELU, ACT_SILU, ACT_SWIGLU, ACT_BAD } act_kind;

static act_kind activation_of(const lmn_opnode *n)
{
    static const char *const NAMES[] = {"identity", "relu", "gelu", "silu", "swiglu"};
    for (int32_t i = 0; i < (int32_t)LMN_COUNT(NAMES); i++)
        if (lmn_attr_is(n, "activation_type", NAMES[i], "relu")) return (act_kind)i;
    return ACT_BAD;
}

lamina_status lmn_moe_infer(lmn_infer *ic)
{
    const int64_t k = lmn_attr_i(ic->node, "k", 1);
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, 3));
    if (activation_of(ic->node) == ACT_BAD)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use relu, gelu, silu, swiglu or identity",
                              "attribute \"activation_type\" is \"%.40s\"",
                              lmn_attr_s(ic->node, "activation_type", ""));
    if (k < 1 || lmn_attr_i(ic->node, "use_sparse_mixer", 0))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, NULL,
                              "k must be positive and use_sparse_mixer 0");
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

typedef struct run {
    const lmn_moe *m;
    act_kind act;
    int32_t fusion; /* SwiGLU: 0 = fc1 and fc3, 1 = pairs, 2 = halves */
    double alpha, beta, limit;
    int64_t tokens, experts, hidden, inter, k;
    const float *x; /* [tokens, hidden] */
    float *h, *g;   /* [tokens of the expert, fc1 rows], of fc3 */
    double *y;
    float *area; /* a row of weights a worker */
    int64_t area_n;
    int64_t expert, n_tokens; /* the expert at hand */
    int64_t *token;           /* its tokens, and the weights to add them with */
    double *weight;
    int64_t *chosen; /* [tokens, k] */
    double *mix;     /* [tokens, k] */
} run;

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

/* ---- routing ------------------------------------------------------------------------------------
 */

/* The k highest of a router row, the later of equals first. */
static void choose(const run *r, const double *score, int64_t *chosen)
{
    for (int64_t i = 0; i < r->k; i++) {
        int64_t best = -1;
        for (int64_t e = 0; e < r->experts; e++) {
            bool taken = false;
            for (int64_t j = 0; j < i; j++) taken |= chosen[j] == e;
            if (!taken && (best < 0 || score[e] >= score[best])) best = e;
        }
        chosen[i] = best;
    }
}

/* What the chosen are added with: their softmax among all experts, or among the chosen when
   normalised; with a mix its values, normalised to the sum 1. */
static void weigh(const run *r, const lamina_tensor *mix, int64_t t, const double *score,
                  bool normalise)
{
    const int64_t *chosen = r->chosen + t * r->k;
    const double top = score[chosen[0]];
    double *w = r->mix + t * r->k, sum = 0.0;
    for (int64_t i = 0; i < r->k; i++) {
        w[i] = mix ? lmn_get_f64(mix, t * r->experts + chosen[i]) : exp(score[chosen[i]] - top);
        sum += w[i];
    }
    if (mix && !normalise) return;
    for (int64_t e = 0; !normalise && e < r->experts; e++)
        sum = (e ? sum : 0.0) + exp(score[e] - top);
    for (int64_t i = 0; i < r->k; i++) w[i] = sum == 0.0 ? 0.0 : w[i] / sum;
}

static lamina_status route(lmn_eval *ec, run *r)
{
    const lamina_tensor *router = lmn_in(ec, 1), *mix = r->m->mix;
    const bool normalise =
        lmn_attr_i(ec->node, "normalize_routing_weights", 0) != 0 || (r->m->among_chosen && !mix);
    const double *score;
    LMN_TRY(lmn_wide_in(ec, router, &score));
    r->chosen = lmn_wide_scratch(ec, r->tokens * r->k + 1, sizeof *r->chosen);
    r->mix = lmn_wide_scratch(ec, r->tokens * r->k + 1, sizeof *r->mix);
    r->token = lmn_wide_scratch(ec, r->tokens + 1, sizeof *r->token);
    r->weight = lmn_wide_scratch(ec, r->tokens + 1, sizeof *r->weight);
    if (!r->chosen || !r->mix || !r->token || !r->weight) return LAMINA_E_NOMEM;
    for (int64_t t = 0; t < r->tokens; t++) {
        choose(r, score + t * r->experts, r->chosen + t * r->k);
        weigh(r, mix, t, score + t * r->experts, normalise);
    }
    return LAMINA_OK;
}

static void gather_tokens(run *r, int64_t expert)
{
    r->expert = expert;
    r->n_tokens = 0;
    for (int64_t i = 0; i < r->tokens * r->k; i++)
        if (r->chosen[i] == expert && r->mix[i] != 0.0) {
            r->token[r->n_tokens] = i / r->k;
            r->weight[r->n_tokens++] = r->mix[i];
        }
}

/* ---- experts ------------------------------------------------------------------------------------
 */

static double dot(const float *x, const float *y, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += (double)x[i + k] * (double)y[i + k];
    for (; i < n; i++) s[0] += (double)x[i] * (double)y[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static const float *weight_row(const run *r, const lmn_moe_layer *l, int64_t row, int32_t worker,
                               double *bias)
{
    float *w = r->area + worker * r->area_n;
    const int64_t at = r->expert * l->rows + row;
    l->row(l->ctx, at, w);
    *bias = l->bias ? lmn_get_f64(l->bias, at) : 0.0;
    return w;
}

static void up_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const run *r = arg;
    const int64_t rows = r->m->fc1.rows, end = lmn_min_i64(rows, (chunk + 1) * ROWS_PER_CHUNK);
    double bias;
    for (int64_t j = chunk * ROWS_PER_CHUNK; j < end; j++) {
        const float *w = weight_row(r, &r->m->fc1, j, worker, &bias);
        for (int64_t t = 0; t < r->n_tokens; t++)
            r->h[t * rows + j] = (float)(dot(r->x + r->token[t] * r->hidden, w, r->hidden) + bias);
        if (!r->m->fc3.row) continue;
        w = weight_row(r, &r->m->fc3, j, worker, &bias);
        for (int64_t t = 0; t < r->n_tokens; t++)
            r->g[t * rows + j] = (float)(dot(r->x + r->token[t] * r->hidden, w, r->hidden) + bias);
    }
}

static void down_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const run *r = arg;
    const int64_t rows = r->m->fc2.rows, end = lmn_min_i64(rows, (chunk + 1) * ROWS_PER_CHUNK);
    double bias;
    for (int64_t j = chunk * ROWS_PER_CHUNK; j < end; j++) {
        const float *w = weight_row(r, &r->m->fc2, j, worker, &bias);
        for (int64_t t = 0; t < r->n_tokens; t++)
            r->y[r->token[t] * r->hidden + j] +=
                r->weight[t] * (dot(r->h + t * r->m->fc1.rows, w, r->inter) + bias);
    }
}

static double swiglu(const run *r, double gate, double linear)
{
    gate = gate < r->limit ? gate : r->limit;
    linear = linear < -r->limit ? -r->limit : linear > r->limit ? r->limit : linear;
    return gate / (1.0 + exp(-r->alpha * gate)) * (linear + r->beta);
}

static double activate(const run *r, double x)
{
    if (r->act == ACT_RELU) return x > 0.0 ? x : 0.0;
    if (r->act == ACT_GELU)
        return 0.5 * x * (1.0 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    return r->act == ACT_SILU ? x / (1.0 + exp(-x)) : x;
}

/* The activated values of a token move to the front of its row. */
static void activate_row(const run *r, float *h, const float *g)
{
    const int64_t n = r->inter;
    if (r->act != ACT_SWIGLU) {
        for (int64_t i = 0; i < n; i++)
            h[i] = (float)(activate(r, (double)h[i]) * (g ? (double)g[i] : 1.0));
    } else if (r->fusion == 1) {
        for (int64_t i = 0; i < n; i++)
            h[i] = (float)swiglu(r, (double)h[2 * i], (double)h[2 * i + 1]);
    } else {
        for (int64_t i = 0; i < n; i++)
            h[i] = (float)swiglu(r, (double)h[i], (double)(r->fusion ? h[n + i] : g[i]));
    }
}

static lamina_status run_experts(lmn_eval *ec, run *r)
{
    const int64_t up = r->m->fc1.rows;
    for (int64_t e = 0; e < r->experts; e++) {
        if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        gather_tokens(r, e);
        if (r->n_tokens == 0) continue;
        lmn_par_for(ec->par, (up + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK, up_chunk, r);
        for (int64_t t = 0; t < r->n_tokens; t++)
            activate_row(r, r->h + t * up, r->m->fc3.row ? r->g + t * up : NULL);
        lmn_par_for(ec->par, (r->hidden + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK, down_chunk, r);
    }
    return LAMINA_OK;
}

static lamina_status check(lmn_eval *ec, run *r)
{
    const lamina_tensor *x = lmn_in(ec, 0), *router = lmn_in(ec, 1);
    const lmn_moe *m = r->m;
    if (x->rank < 2 || x->rank > 3 || router->rank != 2)
        return bad(ec, "the input must have rank 2 or 3, the router rank 2");
    r->hidden = x->dims[x->rank - 1];
    r->experts = router->dims[1];
    r->tokens = router->dims[0];
    r->k = lmn_attr_i(ec->node, "k", 1);
    if (r->experts < 1 || r->experts > MAX_EXPERTS || r->k < 1 || r->k > r->experts ||
        r->tokens * r->hidden != lmn_count(x))
        return bad(ec, "the router needs one row a token and k experts or more");
    if (m->mix && !lmn_dims_equal(m->mix->rank, m->mix->dims, 2, router->dims))
        return bad(ec, "router_weights must have the router's shape");
    r->inter = m->fc2.cols;
    const bool fused = r->act == ACT_SWIGLU && r->fusion != 0;
    if (m->fc1.cols != r->hidden || m->fc2.rows != r->hidden ||
        m->fc1.rows != (fused ? 2 : 1) * r->inter)
        return bad(ec, "the experts' weights do not fit hidden and inner extents");
    if (m->fc3.row && (m->fc3.cols != r->hidden || m->fc3.rows != r->inter))
        return bad(ec, "the third layer does not fit hidden and inner extents");
    if (r->act == ACT_SWIGLU && !fused && !m->fc3.row)
        return bad(ec, "swiglu without fusion needs the third layer");
    const lmn_moe_layer *const layers[] = {&m->fc1, &m->fc2, &m->fc3};
    for (int32_t i = 0; i < 3; i++)
        if (layers[i]->bias && lmn_count(layers[i]->bias) != r->experts * layers[i]->rows)
            return bad(ec, "a bias does not fit its layer");
    return LAMINA_OK;
}

lamina_status lmn_moe_run(lmn_eval *ec, lmn_moe *m)
{
    const lmn_opnode *n = ec->node;
    run r = {.m = m,
             .act = activation_of(n),
             .fusion = (int32_t)lmn_attr_i(n, "swiglu_fusion", 0),
             .alpha = (double)lmn_attr_f(n, "activation_alpha", 1.0f),
             .beta = (double)lmn_attr_f(n, "activation_beta", 0.0f),
             .limit = (double)lmn_attr_f(n, "swiglu_limit", INFINITY)};
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    LMN_TRY(check(ec, &r));
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    LMN_TRY(lmn_f32_in(ec, x, &r.x));
    LMN_TRY(lmn_wide_out(ec, y, &r.y));
    memset(r.y, 0, (size_t)lmn_count(y) * sizeof *r.y);
    r.area_n = lmn_max_i64(r.hidden, r.inter);
    r.area = lmn_wide_scratch(ec, r.area_n * lmn_par_width(ec->par), sizeof *r.area);
    r.h = lmn_wide_scratch(ec, r.tokens * m->fc1.rows, sizeof *r.h);
    r.g = lmn_wide_scratch(ec, r.tokens * m->fc1.rows, sizeof *r.g);
    if (!r.area || !r.h || !r.g) return LAMINA_E_NOMEM;
    LMN_TRY(route(ec, &r));
    LMN_TRY(run_experts(ec, &r));
    lmn_wide_store(y, r.y);
    return LAMINA_OK;
}

void lmn_moe_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c)
{
    if (out[0].rank < 2 || !in[2] || in[2]->rank != 3) return;
    c->flops *= 4.0 * (double)lmn_attr_i(n, "k", 1) * lmn_cost_dim(in[2]->dims[1]);
}
