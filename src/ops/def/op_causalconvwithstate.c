/*
 * CausalConvWithState (ai.onnx, since 27): depthwise causal convolution over [batch, channels,
 * length] with the last k - 1 inputs carried as state, optionally followed by SiLU ("silu",
 * "swish").
 */
#include "ops/linalg.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

static lamina_status infer_causal_conv(lmn_infer *ic)
{
    const lmn_fact *x = ic->in[0], *w = ic->in[1];
    for (int32_t i = 0; i < 2; i++)
        if (ic->in[i]->rank >= 0 && ic->in[i]->rank != 3)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "input %d has rank %d, must be 3", i,
                                  ic->in[i]->rank);
    lmn_infer_same(ic, 0, 0);
    if (ic->node->n_out < 2) return LAMINA_OK;
    lmn_fact *s = &ic->out[1];
    s->rank = 3;
    s->dims[0] = x->rank == 3 ? x->dims[0] : LMN_DIM_UNKNOWN;
    s->dims[1] = x->rank == 3 ? x->dims[1] : w->rank == 3 ? w->dims[0] : LMN_DIM_UNKNOWN;
    s->dims[2] = w->rank == 3 ? lmn_dim_sub(ic->dims, w->dims[2], lmn_dim_c(1)) : LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status eval_causal_conv(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0], *w = ec->in[1], *bias = lmn_in(ec, 2),
                        *past = lmn_in(ec, 3);
    const char *act = lmn_attr_s(ec->node, "activation", "none");
    const bool silu = strcmp(act, "silu") == 0 || strcmp(act, "swish") == 0;
    if (!silu && strcmp(act, "none") != 0)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "activation must be none, silu or swish");
    if (x->rank != 3 || w->rank != 3 || w->dims[1] != 1 || w->dims[0] != x->dims[1] ||
        w->dims[2] < 1)
        return bad(ec,
                   "the input must be [batch, channels, length] and the weight [channels, 1, k]");
    const int64_t batch = x->dims[0], chans = x->dims[1], len = x->dims[2], k = w->dims[2];
    const int64_t state[3] = {batch, chans, k - 1};
    if (bias && !lmn_shape_is(bias, 1, &chans)) return bad(ec, "the bias must be [channels]");
    if (past && !lmn_shape_is(past, 3, state))
        return bad(ec, "past_state must be [batch, channels, k - 1]");
    lamina_tensor *y, *s;
    double *row, *acc;
    LMN_TRY(lmn_out(ec, 0, x->dtype, 3, x->dims, &y));
    LMN_TRY(lmn_out(ec, 1, x->dtype, 3, state, &s));
    LMN_TRY(lmn_f64_alloc(ec, len + 2 * k, &row));
    LMN_TRY(lmn_f64_alloc(ec, len, &acc));
    double *taps = row + len + k - 1;
    for (int64_t i = 0; i < batch * chans; i++) {
        double b = bias ? lmn_get_f64(bias, i % chans) : 0.0;
        for (int64_t t = 0; t < k - 1; t++) row[t] = 0.0;
        if (past) lmn_f64_load(past, i * (k - 1), k - 1, row);
        lmn_f64_load(x, i * len, len, row + k - 1);
        lmn_f64_load(w, i % chans * k, k, taps);
        for (int64_t t = 0; t < len; t++) {
            double sum = b;
            for (int64_t j = 0; j < k; j++) sum += taps[j] * row[t + j];
            acc[t] = silu ? sum / (1.0 + exp(-sum)) : sum;
        }
        if (y) lmn_f64_store(y, i * len, len, acc);
        if (s) lmn_f64_store(s, i * (k - 1), k - 1, row + len);
    }
    return LAMINA_OK;
}

static void cost_causal_conv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                             lmn_cost *c)
{
    (void)n;
    if (in[1] && in[1]->rank == 3)
        c->flops = 2.0 * lmn_cost_count(out) * lmn_cost_dim(in[1]->dims[2]);
}

#define TYPES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {{"input", 'T', 0, TYPES},
                              {"weight", 'T', 0, TYPES},
                              {"bias", 'T', LMN_PORT_OPTIONAL, TYPES},
                              {"past_state", 'T', LMN_PORT_OPTIONAL, TYPES},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, TYPES}, {"present_state", 'T', LMN_PORT_OPTIONAL, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"activation", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_CausalConvWithState = {
    .name = "CausalConvWithState",
    .domain = "",
    .since = 27,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_causal_conv,
    .eval = eval_causal_conv,
    .cost = cost_causal_conv,
};
