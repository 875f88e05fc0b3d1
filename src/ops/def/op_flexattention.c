/*
 * FlexAttention (ai.onnx.preview, since 1): softmax(score_mod(scale * Q K')) through prob_mod,
 * times V, over rank 4 inputs with grouped heads. The two optional subgraphs see and return the
 * whole matrix [batch, heads, queries, keys] in softmax_precision (float32, or float64 for float64
 * inputs). A row of scores that is -inf everywhere gives zero probabilities.
 */
#include "ops/linalg.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>

static lamina_dtype precision_of(const lmn_opnode *n, lamina_dtype in)
{
    return (lamina_dtype)lmn_attr_i(n, "softmax_precision",
                                    in == LAMINA_F64 ? LAMINA_F64 : LAMINA_F32);
}

/* Types and shapes of a modifier: what goes in must come out. */
static lamina_status infer_mod(lmn_infer *ic, const char *name, const lmn_fact *scores)
{
    const lmn_attr *g = lmn_attr_find(ic->node, name);
    const lmn_fact *in[1 + LMN_CANON_MAX_IN];
    lmn_fact out = lmn_fact_unknown(), both = *scores;
    const int32_t caps = ic->node->n_caps;
    if (!g || !ic->subgraph || caps > LMN_CANON_MAX_IN) return LAMINA_OK;
    in[0] = scores;
    for (int32_t i = 0; i < caps; i++) in[1 + i] = ic->in[ic->node->n_in - caps + i];
    LMN_TRY(ic->subgraph(ic, g, in, 1 + caps, &out, 1));
    if (out.kind == LMN_FACT_UNKNOWN || lmn_fact_unify(ic->dims, &both, &out)) return LAMINA_OK;
    char want[160], got[160];
    (void)lmn_fact_format(ic->dims, scores, want, sizeof want);
    (void)lmn_fact_format(ic->dims, &out, got, sizeof got);
    return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "%s returns %s, must return %s", name, got,
                          want);
}

static lamina_status infer_flex(lmn_infer *ic)
{
    const lmn_fact *q = ic->in[0], *k = ic->in[1], *v = ic->in[2];
    for (int32_t i = 0; i < 3; i++)
        if (ic->in[i]->rank >= 0 && ic->in[i]->rank != 4)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "input %d has rank %d, must be 4", i,
                                  ic->in[i]->rank);
    const bool has_q = q->rank == 4;
    lmn_fact *y = &ic->out[0];
    y->rank = 4;
    for (int32_t i = 0; i < 3; i++) y->dims[i] = has_q ? q->dims[i] : LMN_DIM_UNKNOWN;
    y->dims[3] = v->rank == 4 ? v->dims[3] : LMN_DIM_UNKNOWN;
    if (!q->dtype) return LAMINA_OK;
    lmn_fact scores = lmn_fact_tensor(precision_of(ic->node, q->dtype), 4);
    for (int32_t i = 0; i < 3; i++) scores.dims[i] = y->dims[i];
    scores.dims[3] = k->rank == 4 ? k->dims[2] : LMN_DIM_UNKNOWN;
    LMN_TRY(infer_mod(ic, "score_mod", &scores));
    return infer_mod(ic, "prob_mod", &scores);
}

typedef struct flex {
    const lamina_tensor *q, *k, *v;
    lamina_dtype prec;
    int64_t batch, hq, hk, lq, lk, d, dv;
    int64_t *q_off, *k_off, *v_off, *p_off;
} flex;

static lamina_status read_args(lmn_eval *ec, flex *f)
{
    f->q = ec->in[0], f->k = ec->in[1], f->v = ec->in[2];
    if (f->q->rank != 4 || f->k->rank != 4 || f->v->rank != 4)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "Q, K and V must have rank 4");
    f->batch = f->q->dims[0], f->hq = f->q->dims[1], f->lq = f->q->dims[2], f->d = f->q->dims[3];
    f->hk = f->k->dims[1], f->lk = f->k->dims[2], f->dv = f->v->dims[3];
    const int64_t k[4] = {f->batch, -1, -1, f->d}, v[4] = {f->batch, f->hk, f->lk, -1};
    if (!lmn_shape_is(f->k, 4, k) || !lmn_shape_is(f->v, 4, v) || f->hk < 1 || f->hq % f->hk != 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "Q, K and V do not fit each other");
    f->prec = precision_of(ec->node, f->q->dtype);
    if (f->prec < 0 || f->prec >= LAMINA_DTYPE_COUNT || !(LMN_D_FLOAT & LMN_DBIT(f->prec)))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "softmax_precision must be a float type");
    const int64_t n = f->batch * f->hq;
    f->q_off = lmn_scratch(ec, (size_t)(n > 0 ? n : 1) * 4 * sizeof *f->q_off);
    if (!f->q_off)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld heads", (long long)n);
    f->k_off = f->q_off + n, f->v_off = f->k_off + n, f->p_off = f->v_off + n;
    for (int64_t i = 0; i < n; i++) {
        const int64_t head = i / f->hq * f->hk + i % f->hq / (f->hq / f->hk);
        f->q_off[i] = i * f->lq * f->d, f->p_off[i] = i * f->lq * f->lk;
        f->k_off[i] = head * f->lk * f->d, f->v_off[i] = head * f->lk * f->dv;
    }
    return LAMINA_OK;
}

/* A value that lives in scratch until the node is done. */
static lamina_status scratch_tensor(lmn_eval *ec, lamina_dtype dt, const int64_t *dims,
                                    lamina_tensor *t)
{
    LMN_TRY(lmn_tensor_describe(t, ec->engine, dt, 4, dims));
    t->data = lmn_scratch(ec, t->data_bytes ? t->data_bytes : 1);
    return t->data ? LAMINA_OK : lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the scores");
}

/* Runs a modifier if there is one: copies its result over t. */
static lamina_status apply_mod(lmn_eval *ec, const char *name, lamina_tensor *t)
{
    const lmn_attr *g = lmn_attr_find(ec->node, name);
    lamina_tensor *in[1 + LMN_CANON_MAX_IN], *out = NULL;
    const int32_t caps = ec->node->n_caps;
    if (!g) return LAMINA_OK;
    if (caps > LMN_CANON_MAX_IN)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "%s captures more than %d values", name,
                             LMN_CANON_MAX_IN);
    in[0] = t;
    for (int32_t i = 0; i < caps; i++) in[1 + i] = ec->in[ec->n_in - caps + i];
    LMN_TRY(lmn_run_graph(ec, g, in, 1 + caps, &out, 1));
    const bool fits = out && out->kind == LAMINA_KIND_TENSOR && out->dtype == t->dtype &&
                      !out->strided && lmn_dims_equal(out->rank, out->dims, t->rank, t->dims);
    if (fits) lmn_convert(t->dtype, t->data, out->dtype, out->data, lmn_count(t), false);
    lamina_tensor_unref(out);
    return fits ? LAMINA_OK
                : lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                "%s does not return the type and shape it receives", name);
}

static void softmax(lamina_tensor *t, int64_t rows, int64_t n, double *s)
{
    for (int64_t r = 0; r < rows; r++) {
        double top = -INFINITY, sum = 0.0;
        bool nan = false;
        lmn_f64_load(t, r * n, n, s);
        for (int64_t j = 0; j < n; j++) {
            nan = nan || isnan(s[j]);
            if (s[j] > top) top = s[j];
        }
        const bool blind = !nan && top == -INFINITY;
        for (int64_t j = 0; j < n; j++) sum += s[j] = blind ? 0.0 : exp(s[j] - top);
        for (int64_t j = 0; j < n && !blind; j++) s[j] /= sum;
        lmn_f64_store(t, r * n, n, s);
    }
}

static lamina_status eval_flex(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    flex f = {0};
    lamina_tensor *y, p = {0}, v = {0};
    double *line;
    LMN_TRY(read_args(ec, &f));
    const int64_t dims[4] = {f.batch, f.hq, f.lq, f.lk}, out[4] = {f.batch, f.hq, f.lq, f.dv};
    LMN_TRY(scratch_tensor(ec, f.prec, dims, &p));
    lmn_mm qk = {.batch = f.batch * f.hq,
                 .m = f.lq,
                 .n = f.lk,
                 .k = f.d,
                 .dt = f.q->dtype,
                 .a = f.q->data,
                 .b = f.k->data,
                 .a_rs = f.d,
                 .a_cs = 1,
                 .b_rs = 1,
                 .b_cs = f.d,
                 .a_off = f.q_off,
                 .b_off = f.k_off,
                 .out_dt = f.prec,
                 .out = p.data,
                 .alpha = lmn_attr_find(ec->node, "scale") ? lmn_attr_f(ec->node, "scale", 1.0F)
                                                           : 1.0 / sqrt((double)f.d)};
    LMN_TRY(lmn_mm_run(ec, &qk));
    LMN_TRY(apply_mod(ec, "score_mod", &p));
    LMN_TRY(lmn_f64_alloc(ec, f.lk, &line));
    if (lmn_count(&p) > 0) softmax(&p, f.batch * f.hq * f.lq, f.lk, line);
    LMN_TRY(apply_mod(ec, "prob_mod", &p));
    LMN_TRY(lmn_out(ec, 0, f.q->dtype, 4, out, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(scratch_tensor(ec, f.prec, f.v->dims, &v));
    lmn_convert(f.prec, v.data, f.v->dtype, f.v->data, lmn_count(f.v), false);
    lmn_mm pv = {.batch = f.batch * f.hq,
                 .m = f.lq,
                 .n = f.dv,
                 .k = f.lk,
                 .dt = f.prec,
                 .a = p.data,
                 .b = v.data,
                 .a_rs = f.lk,
                 .a_cs = 1,
                 .b_rs = f.dv,
                 .b_cs = 1,
                 .a_off = f.p_off,
                 .b_off = f.v_off,
                 .out_dt = f.q->dtype,
                 .out = y->data,
                 .alpha = 1.0};
    return lmn_mm_run(ec, &pv);
}

static void cost_flex(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                      lmn_cost *c)
{
    (void)n;
    if (in[1] && in[1]->rank == 4)
        c->flops = 4.0 * lmn_cost_count(out) * lmn_cost_dim(in[1]->dims[2]);
}

static const lmn_port IN[] = {
    {"Q", 'T', 0, LMN_D_FLOAT}, {"K", 'T', 0, LMN_D_FLOAT}, {"V", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"prob_mod", LMN_ATTR_GRAPH, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"score_mod", LMN_ATTR_GRAPH, 0},
                                        {"softmax_precision", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_FlexAttention = {
    .name = "FlexAttention",
    .domain = "ai.onnx.preview",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_flex,
    .eval = eval_flex,
    .cost = cost_flex,
};
