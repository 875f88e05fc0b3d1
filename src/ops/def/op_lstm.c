/*
 * LSTM (ai.onnx, since 1): gates i, o, f, c in this order, peepholes i, o, f; Ct = f Ct-1 + i c,
 * Ht = o h(Ct). input_forget couples f = 1 - i. clip bounds the inputs of the gates' functions, not
 * that of h. Lengths and directions: rnn.h.
 */
#include "ops/rnn.h"

static void cell_lstm(const lmn_rnn *a, const lmn_rnn_dir *d, const double *x, double *h, double *c,
                      double *tmp)
{
    const int64_t n = a->hidden;
    for (int64_t g = 0; g < 4; g++) lmn_rnn_recur(a, d, g * n, h, tmp + g * n);
    for (int64_t i = 0; i < 4 * n; i++) tmp[i] += x[i] + d->wb[i] + d->rb[i];
    for (int64_t i = 0; i < n; i++) {
        const double *p = d->p;
        const double in = lmn_rnn_apply(a, d, 0, tmp[i] + (p ? p[i] * c[i] : 0.0));
        const double forget =
            a->flag ? 1.0 - in
                    : lmn_rnn_apply(a, d, 0, tmp[2 * n + i] + (p ? p[2 * n + i] * c[i] : 0.0));
        c[i] = forget * c[i] + in * lmn_rnn_apply(a, d, 1, tmp[3 * n + i]);
        const double out = lmn_rnn_apply(a, d, 0, tmp[n + i] + (p ? p[n + i] * c[i] : 0.0));
        h[i] = out * d->act[2].f(c[i], d->act[2].alpha, d->act[2].beta);
    }
}

static const char *const DEFAULT_ACTS[] = {"Sigmoid", "Tanh", "Tanh"};
static const lmn_rnn_kind KIND = {
    .gates = 4, .acts = 3, .has_cell = true, .default_acts = DEFAULT_ACTS, .cell = cell_lstm};

static lamina_status infer_lstm(lmn_infer *ic)
{
    return lmn_rnn_infer(ic, &KIND);
}
static lamina_status eval_lstm(lmn_eval *ec)
{
    return lmn_rnn_eval(ec, &KIND, "input_forget");
}

static const lmn_port IN[] = {LMN_RNN_IN,
                              {"initial_c", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"P", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {LMN_RNN_OUT, {"Y_c", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_RNN_ATTRS, {"input_forget", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_LSTM = {
    .name = "LSTM",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_lstm,
    .eval = eval_lstm,
    .canon = lmn_rnn_canon,
    .cost = lmn_rnn_cost,
};
