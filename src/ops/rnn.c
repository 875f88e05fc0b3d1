/*
 * The walk behind RNN, GRU and LSTM (see rnn.h): inference, activations, evaluation.
 */
#include "ops/rnn.h"
#include "ops/linalg.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

/* ---- activations --------------------------------------------------------------------------------
 */

static double act_relu(double x, double a, double b)
{
    (void)a, (void)b;
    return x > 0.0 || isnan(x) ? x : 0.0;
}
static double act_tanh(double x, double a, double b)
{
    (void)a, (void)b;
    return tanh(x);
}
static double act_sigmoid(double x, double a, double b)
{
    (void)a, (void)b;
    return 1.0 / (1.0 + exp(-x));
}
static double act_affine(double x, double a, double b)
{
    return a * x + b;
}
static double act_leaky(double x, double a, double b)
{
    (void)b;
    return x >= 0.0 ? x : a * x;
}
static double act_threshold(double x, double a, double b)
{
    (void)b;
    return x >= a ? x : 0.0;
}
static double act_scaled_tanh(double x, double a, double b)
{
    return a * tanh(b * x);
}
static double act_hard_sigmoid(double x, double a, double b)
{
    return fmin(fmax(a * x + b, 0.0), 1.0);
}
static double act_elu(double x, double a, double b)
{
    (void)b;
    return x >= 0.0 ? x : a * expm1(x);
}
static double act_softsign(double x, double a, double b)
{
    (void)a, (void)b;
    return x / (1.0 + fabs(x));
}
static double act_softplus(double x, double a, double b)
{
    (void)a, (void)b;
    return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

typedef struct act_row {
    const char *name; /* lower case: names are compared without case */
    double (*f)(double, double, double);
    int32_t params; /* 0 none, 1 alpha, 2 alpha and beta */
    double alpha, beta;
} act_row;

static const act_row ACTS[] = {{"relu", act_relu, 0, 0, 0},
                               {"tanh", act_tanh, 0, 0, 0},
                               {"sigmoid", act_sigmoid, 0, 0, 0},
                               {"affine", act_affine, 2, 1, 0},
                               {"leakyrelu", act_leaky, 1, 0.01, 0},
                               {"thresholdedrelu", act_threshold, 1, 1, 0},
                               {"scaledtanh", act_scaled_tanh, 2, 1, 1},
                               {"hardsigmoid", act_hard_sigmoid, 2, 0.2, 0.5},
                               {"elu", act_elu, 1, 1, 0},
                               {"softsign", act_softsign, 0, 0, 0},
                               {"softplus", act_softplus, 0, 0, 0}};

static const act_row *find_act(const char *name, size_t n)
{
    for (size_t i = 0; i < LMN_COUNT(ACTS); i++) {
        if (strlen(ACTS[i].name) != n) continue;
        size_t k = 0;
        while (k < n && (name[k] | 32) == ACTS[i].name[k]) k++;
        if (k == n) return &ACTS[i];
    }
    return NULL;
}

/*
 * Parameters are listed in the order of the functions. Exporters differ on whether functions
 * without parameters take a place: a list as long as the functions is positional, a shorter one is
 * consumed only by those that need one.
 */
static lamina_status read_acts(lmn_eval *ec, const lmn_rnn *a, lmn_rnn_dir *dirs)
{
    const float *alpha, *beta;
    const int32_t n_alpha = lmn_attr_floats(ec->node, "activation_alpha", &alpha);
    const int32_t n_beta = lmn_attr_floats(ec->node, "activation_beta", &beta);
    const lmn_attr *names = lmn_attr_find(ec->node, "activations");
    const int32_t total = a->kind->acts * a->dirs;
    int32_t next_alpha = 0, next_beta = 0;
    if (names && (names->type != LMN_ATTR_STRINGS || names->n != total))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "activations must name %d functions", total);
    for (int32_t i = 0; i < total; i++) {
        const char *def = a->kind->default_acts[i % a->kind->acts];
        const lmn_str *s = names ? &names->u.strings[i] : NULL;
        const act_row *row = s ? find_act(s->p ? s->p : "", s->n) : find_act(def, strlen(def));
        if (!row) {
            char got[64];
            (void)lmn_format_name(got, sizeof got, s && s->p ? s->p : "", s ? s->n : 0);
            return lmn_eval_fail(ec, LAMINA_E_INVALID,
                                 "activation %d, \"%s\", is not a known function", i, got);
        }
        lmn_rnn_act *out = &dirs[i / a->kind->acts].act[i % a->kind->acts];
        *out = (lmn_rnn_act){row->f, row->alpha, row->beta};
        const int32_t at_a = n_alpha == total ? i : next_alpha,
                      at_b = n_beta == total ? i : next_beta;
        if (row->params >= 1 && at_a < n_alpha) out->alpha = alpha[at_a], next_alpha++;
        if (row->params >= 2 && at_b < n_beta) out->beta = beta[at_b], next_beta++;
    }
    return LAMINA_OK;
}

double lmn_rnn_apply(const lmn_rnn *a, const lmn_rnn_dir *d, int32_t k, double x)
{
    if (x > a->clip) x = a->clip;
    if (x < -a->clip) x = -a->clip;
    return d->act[k].f(x, d->act[k].alpha, d->act[k].beta);
}

/* Dot of a row of R with h, four sums wide; R stays as short as it is. */
#define DOT(name, type)                                                      \
    static double name(const type *r, const double *h, int64_t n)            \
    {                                                                        \
        double s[4] = {0};                                                   \
        int64_t k = 0;                                                       \
        for (; k + 4 <= n; k += 4)                                           \
            for (int j = 0; j < 4; j++) s[j] += (double)r[k + j] * h[k + j]; \
        for (; k < n; k++) s[0] += (double)r[k] * h[k];                      \
        return (s[0] + s[1]) + (s[2] + s[3]);                                \
    }
DOT(dot_f32, float)
DOT(dot_f64, double)

void lmn_rnn_recur(const lmn_rnn *a, const lmn_rnn_dir *d, int64_t row, const double *h,
                   double *out)
{
    const int64_t n = a->hidden;
    for (int64_t i = 0; i < n; i++)
        out[i] =
            d->r32 ? dot_f32(d->r32 + (row + i) * n, h, n) : dot_f64(d->r + (row + i) * n, h, n);
}

/* ---- inference ----------------------------------------------------------------------------------
 */

static int32_t direction_count(const lmn_opnode *n)
{
    return lmn_attr_is(n, "direction", "bidirectional", "forward") ? 2 : 1;
}

static lamina_status check_rank(lmn_infer *ic, int32_t i, int32_t rank)
{
    if (!lmn_infer_has(ic, i) || ic->in[i]->rank < 0 || ic->in[i]->rank == rank) return LAMINA_OK;
    return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "input %d has rank %d, must be %d", i,
                          ic->in[i]->rank, rank);
}

lamina_status lmn_rnn_infer(lmn_infer *ic, const lmn_rnn_kind *k)
{
    const lmn_fact *x = ic->in[0], *r = ic->in[2];
    const bool batch_first = lmn_attr_i(ic->node, "layout", 0) == 1;
    for (int32_t i = 0; i < 3; i++) LMN_TRY(check_rank(ic, i, 3));
    const lmn_dim dirs = lmn_dim_c(direction_count(ic->node));
    const lmn_dim x0 = x->rank == 3 ? x->dims[0] : LMN_DIM_UNKNOWN,
                  x1 = x->rank == 3 ? x->dims[1] : LMN_DIM_UNKNOWN;
    const lmn_dim seq = batch_first ? x1 : x0, batch = batch_first ? x0 : x1;
    const int64_t size = lmn_attr_i(ic->node, "hidden_size", -1);
    lmn_dim hidden = size > 0 ? lmn_dim_c(size) : LMN_DIM_UNKNOWN, gates, both;
    if (r->rank == 3) {
        if (!lmn_dim_unify(ic->dims, hidden, r->dims[2], &hidden))
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                                  "hidden_size is %lld but R has another last extent",
                                  (long long)size);
        gates = lmn_dim_mul(ic->dims, hidden, lmn_dim_c(k->gates));
        if (!lmn_dim_unify(ic->dims, r->dims[1], gates, &both) ||
            !lmn_dim_unify(ic->dims, r->dims[0], dirs, &both)) {
            char text[160];
            (void)lmn_fact_format(ic->dims, r, text, sizeof text);
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                                  "R is %s, must be [directions, %d * hidden, hidden]", text,
                                  k->gates);
        }
    }
    const lmn_dim y[2][4] = {{seq, dirs, batch, hidden}, {batch, seq, dirs, hidden}};
    const lmn_dim h[2][3] = {{dirs, batch, hidden}, {batch, dirs, hidden}};
    for (int32_t o = 0; o < ic->node->n_out; o++) {
        lmn_fact *f = &ic->out[o];
        f->rank = o == 0 ? 4 : 3;
        for (int32_t i = 0; i < f->rank; i++)
            f->dims[i] = o == 0 ? y[batch_first][i] : h[batch_first][i];
    }
    return LAMINA_OK;
}

lamina_status lmn_rnn_canon(lmn_canon *c)
{
    lmn_canon_drop_attr(c, "output_sequence");
    return LAMINA_OK;
}

void lmn_rnn_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c)
{
    (void)n, (void)out;
    if (!in[0] || in[0]->rank != 3) return;
    c->flops = 2.0 * lmn_cost_dim(in[0]->dims[0]) * lmn_cost_dim(in[0]->dims[1]) *
               (lmn_cost_count(in[1]) + lmn_cost_count(in[2]));
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

typedef struct walk {
    const lmn_rnn *a;
    lmn_rnn_dir dir[2];
    bool reverse[2];
    const double *xw; /* [dirs, rows of X, gates * hidden] */
    const lamina_tensor *lens, *h0, *c0;
    lamina_tensor *y, *yh, *yc;
    double *area; /* per worker */
    int64_t area_n;
} walk;

static int64_t state_at(const lmn_rnn *a, int64_t d, int64_t b)
{
    return (a->batch_first ? b * a->dirs + d : d * a->batch + b) * a->hidden;
}

static int64_t out_at(const lmn_rnn *a, int64_t d, int64_t b, int64_t t)
{
    return (a->batch_first ? (b * a->seq + t) * a->dirs + d : (t * a->dirs + d) * a->batch + b) *
           a->hidden;
}

static void run_row(void *arg, int64_t chunk, int32_t worker)
{
    const walk *w = arg;
    const lmn_rnn *a = w->a;
    const int64_t d = chunk / a->batch, b = chunk % a->batch, n = a->hidden,
                  wide = a->kind->gates * n;
    double *h = w->area + worker * w->area_n, *c = h + n, *tmp = c + n;
    const int64_t len = w->lens ? lmn_get_i64(w->lens, b) : a->seq;
    for (int64_t i = 0; i < n; i++) h[i] = c[i] = tmp[i] = 0.0;
    for (int64_t t = len; w->y && t < a->seq; t++) lmn_f64_store(w->y, out_at(a, d, b, t), n, tmp);
    if (w->h0) lmn_f64_load(w->h0, state_at(a, d, b), n, h);
    if (w->c0) lmn_f64_load(w->c0, state_at(a, d, b), n, c);
    for (int64_t s = 0; s < len; s++) {
        const int64_t t = w->reverse[d] ? len - 1 - s : s;
        const int64_t row = a->batch_first ? b * a->seq + t : t * a->batch + b;
        a->kind->cell(a, &w->dir[d], w->xw + (d * a->seq * a->batch + row) * wide, h, c, tmp);
        if (w->y) lmn_f64_store(w->y, out_at(a, d, b, t), n, h);
    }
    if (w->yh) lmn_f64_store(w->yh, state_at(a, d, b), n, h);
    if (w->yc) lmn_f64_store(w->yc, state_at(a, d, b), n, c);
}

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

lamina_status lmn_rnn_shapes(lmn_eval *ec, lmn_rnn *a)
{
    const lamina_tensor *x = ec->in[0], *w = ec->in[1], *r = ec->in[2];
    if (x->rank != 3 || w->rank != 3 || r->rank != 3) return bad(ec, "X, W and R must have rank 3");
    a->batch_first = lmn_attr_i(ec->node, "layout", 0) == 1;
    a->seq = x->dims[a->batch_first ? 1 : 0], a->batch = x->dims[a->batch_first ? 0 : 1];
    a->input = x->dims[2], a->hidden = r->dims[2];
    a->dirs = direction_count(ec->node);
    if (a->hidden > INT32_MAX) return bad(ec, "the hidden extent is too large");
    const int64_t size = lmn_attr_i(ec->node, "hidden_size", a->hidden),
                  wide = a->kind->gates * a->hidden;
    const int64_t ws[3] = {a->dirs, wide, a->input}, rs[3] = {a->dirs, wide, a->hidden};
    if (size != a->hidden || !lmn_shape_is(w, 3, ws) || !lmn_shape_is(r, 3, rs)) {
        char got[2][100], want[2][100];
        lmn_extents_text(3, w->dims, got[0], sizeof got[0]);
        lmn_extents_text(3, r->dims, got[1], sizeof got[1]);
        lmn_extents_text(3, ws, want[0], sizeof want[0]);
        lmn_extents_text(3, rs, want[1], sizeof want[1]);
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "W is %s and R %s. With hidden_size %lld W must be [directions, "
                             "gates * hidden, input], %s here, and R [directions, gates * hidden, "
                             "hidden], %s",
                             got[0], got[1], (long long)size, want[0], want[1]);
    }
    const int64_t bs[2] = {a->dirs, 2 * wide}, ps[2] = {a->dirs, 3 * a->hidden}, ls[1] = {a->batch};
    const int64_t hs[3] = {a->batch_first ? a->batch : a->dirs, a->batch_first ? a->dirs : a->batch,
                           a->hidden};
    const lamina_tensor *b = lmn_in(ec, 3), *lens = lmn_in(ec, 4), *h0 = lmn_in(ec, 5);
    const lamina_tensor *c0 = a->kind->has_cell ? lmn_in(ec, 6) : NULL,
                        *p = a->kind->has_cell ? lmn_in(ec, 7) : NULL;
    if (b && !lmn_shape_is(b, 2, bs)) return bad(ec, "B must be [directions, 2 * gates * hidden]");
    if (p && !lmn_shape_is(p, 2, ps)) return bad(ec, "P must be [directions, 3 * hidden]");
    if (lens && !lmn_shape_is(lens, 1, ls)) return bad(ec, "sequence_lens must be [batch]");
    if ((h0 && !lmn_shape_is(h0, 3, hs)) || (c0 && !lmn_shape_is(c0, 3, hs)))
        return bad(
            ec, "the initial states must be [directions, batch, hidden] (layout 1: batch first)");
    for (int64_t i = 0; lens && i < a->batch; i++)
        if (lmn_get_i64(lens, i) < 0 || lmn_get_i64(lens, i) > a->seq)
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "sequence_lens has the entry %lld, outside [0, %lld]",
                                 (long long)lmn_get_i64(lens, i), (long long)a->seq);
    return LAMINA_OK;
}

static lamina_status read_dirs(lmn_eval *ec, const lmn_rnn *a, walk *w)
{
    const int64_t wide = a->kind->gates * a->hidden;
    const lamina_tensor *b = lmn_in(ec, 3), *p = a->kind->has_cell ? lmn_in(ec, 7) : NULL;
    double *r = NULL, *bias, *peep = NULL;
    const float *r32 = ec->in[2]->dtype == LAMINA_F32 ? ec->in[2]->data : NULL;
    if (!r32) LMN_TRY(lmn_f64_all(ec, ec->in[2], &r));
    if (p) LMN_TRY(lmn_f64_all(ec, p, &peep));
    if (b)
        LMN_TRY(lmn_f64_all(ec, b, &bias));
    else {
        LMN_TRY(lmn_f64_alloc(ec, a->dirs * 2 * wide, &bias));
        memset(bias, 0, (size_t)(a->dirs * 2 * wide) * sizeof *bias);
    }
    for (int32_t d = 0; d < a->dirs; d++) {
        const int64_t at = d * wide * a->hidden;
        w->dir[d] = (lmn_rnn_dir){.r32 = r32 ? r32 + at : NULL,
                                  .r = r ? r + at : NULL,
                                  .wb = bias + d * 2 * wide,
                                  .rb = bias + d * 2 * wide + wide,
                                  .p = peep ? peep + d * 3 * a->hidden : NULL};
        w->reverse[d] = d == 1 || lmn_attr_is(ec->node, "direction", "reverse", "forward");
    }
    return read_acts(ec, a, w->dir);
}

/* X W' of both directions in f64, no bias. */
static lamina_status project(lmn_eval *ec, const lmn_rnn *a, walk *w)
{
    const int64_t rows = a->seq * a->batch, wide = a->kind->gates * a->hidden;
    int64_t n;
    double *xw;
    if (!lmn_mul_i64(rows, wide * a->dirs, &n)) return bad(ec, "the sequence is too long");
    LMN_TRY(lmn_f64_alloc(ec, n, &xw));
    const int64_t x_off[2] = {0, 0}, w_off[2] = {0, wide * a->input};
    lmn_mm mm = {.batch = a->dirs,
                 .m = rows,
                 .n = wide,
                 .k = a->input,
                 .dt = ec->in[0]->dtype,
                 .a = ec->in[0]->data,
                 .b = ec->in[1]->data,
                 .a_rs = a->input,
                 .a_cs = 1,
                 .b_rs = 1,
                 .b_cs = a->input,
                 .a_off = x_off,
                 .b_off = w_off,
                 .alpha = 1.0,
                 .out_dt = LAMINA_F64,
                 .out = xw};
    w->xw = xw;
    return lmn_mm_run(ec, &mm);
}

lamina_status lmn_rnn_eval(lmn_eval *ec, const lmn_rnn_kind *k, const char *flag_attr)
{
    LMN_TRY(lmn_eval_ready(ec));
    lmn_rnn a = {.kind = k, .clip = INFINITY};
    walk w = {.a = &a};
    if (flag_attr) a.flag = lmn_attr_i(ec->node, flag_attr, 0) != 0;
    if (lmn_attr_find(ec->node, "clip")) a.clip = fabs((double)lmn_attr_f(ec->node, "clip", 0.0F));
    LMN_TRY(lmn_rnn_shapes(ec, &a));
    LMN_TRY(read_dirs(ec, &a, &w));
    LMN_TRY(project(ec, &a, &w));
    w.lens = lmn_in(ec, 4), w.h0 = lmn_in(ec, 5), w.c0 = k->has_cell ? lmn_in(ec, 6) : NULL;
    const lamina_dtype dt = ec->in[0]->dtype;
    const int64_t y[2][4] = {{a.seq, a.dirs, a.batch, a.hidden},
                             {a.batch, a.seq, a.dirs, a.hidden}};
    const int64_t h[2][3] = {{a.dirs, a.batch, a.hidden}, {a.batch, a.dirs, a.hidden}};
    LMN_TRY(lmn_out(ec, 0, dt, 4, y[a.batch_first], &w.y));
    LMN_TRY(lmn_out(ec, 1, dt, 3, h[a.batch_first], &w.yh));
    if (k->has_cell) LMN_TRY(lmn_out(ec, 2, dt, 3, h[a.batch_first], &w.yc));
    w.area_n = (3 + k->gates) * a.hidden;
    LMN_TRY(lmn_f64_alloc(ec, w.area_n * lmn_par_width(ec->par), &w.area));
    lmn_par_for(ec->par, a.dirs * a.batch, run_row, &w);
    return LAMINA_OK;
}
