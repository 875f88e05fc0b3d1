/*
 * RNN (ai.onnx, since 1): Ht = f(Xt W' + Ht-1 R' + Wb + Rb). Rules of lengths and directions in
 * rnn.h.
 */
#include "ops/rnn.h"

static void cell_rnn(const lmn_rnn *a, const lmn_rnn_dir *d, const double *x, double *h, double *c,
                     double *tmp)
{
    (void)c;
    lmn_rnn_recur(a, d, 0, h, tmp);
    for (int64_t i = 0; i < a->hidden; i++)
        h[i] = lmn_rnn_apply(a, d, 0, x[i] + tmp[i] + d->wb[i] + d->rb[i]);
}

static const char *const DEFAULT_ACTS[] = {"Tanh"};
static const lmn_rnn_kind KIND = {
    .gates = 1, .acts = 1, .default_acts = DEFAULT_ACTS, .cell = cell_rnn};

static lamina_status infer_rnn(lmn_infer *ic)
{
    return lmn_rnn_infer(ic, &KIND);
}
static lamina_status eval_rnn(lmn_eval *ec)
{
    return lmn_rnn_eval(ec, &KIND, NULL);
}

static const lmn_port IN[] = {LMN_RNN_IN, {0}};
static const lmn_port OUT[] = {LMN_RNN_OUT, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_RNN_ATTRS, {0}};

const lmn_op_def lmn_op_RNN = {
    .name = "RNN",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_rnn,
    .eval = eval_rnn,
    .canon = lmn_rnn_canon,
    .cost = lmn_rnn_cost,
};
