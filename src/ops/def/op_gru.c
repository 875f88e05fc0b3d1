/*
 * GRU (ai.onnx, since 1): gates z, r, h in this order; Ht = (1 - z) h + z Ht-1. linear_before_reset
 * moves the reset gate behind the recurrent product and its bias. Lengths and directions: rnn.h.
 */
#include "ops/rnn.h"

static void cell_gru(const lmn_rnn *a, const lmn_rnn_dir *d, const double *x, double *h, double *c,
                     double *tmp)
{
    const int64_t n = a->hidden;
    double *z = tmp, *r = tmp + n, *g = tmp + 2 * n, *rh = tmp + 3 * n;
    (void)c;
    lmn_rnn_recur(a, d, 0, h, z);
    lmn_rnn_recur(a, d, n, h, r);
    for (int64_t i = 0; i < 2 * n; i++)
        tmp[i] = lmn_rnn_apply(a, d, 0, x[i] + tmp[i] + d->wb[i] + d->rb[i]);
    for (int64_t i = 0; i < n; i++) rh[i] = a->flag ? h[i] : r[i] * h[i];
    lmn_rnn_recur(a, d, 2 * n, rh, g);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = 2 * n + i;
        const double past = a->flag ? r[i] * (g[i] + d->rb[k]) : g[i] + d->rb[k];
        const double cand = lmn_rnn_apply(a, d, 1, x[k] + past + d->wb[k]);
        h[i] = (1.0 - z[i]) * cand + z[i] * h[i];
    }
}

static const char *const DEFAULT_ACTS[] = {"Sigmoid", "Tanh"};
static const lmn_rnn_kind KIND = {
    .gates = 3, .acts = 2, .default_acts = DEFAULT_ACTS, .cell = cell_gru};

static lamina_status infer_gru(lmn_infer *ic)
{
    return lmn_rnn_infer(ic, &KIND);
}
static lamina_status eval_gru(lmn_eval *ec)
{
    return lmn_rnn_eval(ec, &KIND, "linear_before_reset");
}

static const lmn_port IN[] = {LMN_RNN_IN, {0}};
static const lmn_port OUT[] = {LMN_RNN_OUT, {0}};
static const lmn_attr_schema ATTRS[] = {
    LMN_RNN_ATTRS, {"linear_before_reset", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_GRU = {
    .name = "GRU",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gru,
    .eval = eval_gru,
    .canon = lmn_rnn_canon,
    .cost = lmn_rnn_cost,
};
