/*
 * Convolutions and matrix products between quantised sides (qdq.h). Their sums are exact integers;
 * what differs from the evaluation in floats is the rounding of one multiplication and of the bias:
 * less than one step of the result together.
 */
#include "graph/passes/qdq.h"

#include <math.h>

/* Do the multipliers of all channels stay normal numbers? */
static bool multipliers_fit(const lmn_qside *x, const lmn_qside *w, const lmn_qside *y)
{
    for (int64_t i = 0; i < w->n; i++) {
        const float mul = (float)lmn_qside_scale(x, 0) * (float)lmn_qside_scale(w, i) /
                          (y ? (float)lmn_qside_scale(y, 0) : 1.0f);
        if (!isnormal(mul)) return false;
    }
    return true;
}

lamina_status lmn_qdq_conv(lmn_match *m, const lmn_qchain *c, lmn_gnode *conv)
{
    lmn_qside x, ws;
    lmn_qweights w;
    bool ok;
    if (conv->op.n_in < 2 || !lmn_qside_from(m, conv->in[0], &x) || !lmn_qside_plain8(&x) ||
        !lmn_qside_from(m, conv->in[1], &ws))
        return LAMINA_OK;
    const lamina_tensor *t = lmn_match_const(m, ws.data);
    if (!t || t->rank < 3 || t->dims[0] < 1) return LAMINA_OK;
    const int64_t k = lmn_count(t) / t->dims[0];
    if (k > LMN_QDQ_MAX_K || !multipliers_fit(&x, &ws, &c->to)) return LAMINA_OK;
    LMN_TRY(lmn_qweights_make(m, &ws, 0, false, &w, &ok));
    if (!ok) return LAMINA_OK;
    lmn_vid bias = 0;
    const bool has_bias = conv->op.n_in > 2 && conv->in[2];
    if (has_bias) {
        const lmn_qbias b = {
            .bias = conv->in[2], .w = &w, .x = &x, .to = &c->to, .n = t->dims[0], .k = k};
        LMN_TRY(lmn_qbias_make(m, &b, &bias));
        if (!bias) return LAMINA_OK;
    }
    const lmn_vid xz = lmn_qside_zero(m, &x), yz = lmn_qside_zero(m, &c->to);
    if (!xz || !yz) return LAMINA_E_NOMEM;
    const lmn_vid in[9] = {x.data, x.scale_v, xz, w.w, w.scale, w.zp, c->to.scale_v, yz, bias};
    lmn_rewrite to = {.domain = "",
                      .op = "QLinearConv",
                      .in = in,
                      .n_in = has_bias ? 9 : 8,
                      .attrs = conv->op.attrs,
                      .n_attrs = conv->op.n_attrs,
                      .takes = conv};
    return lmn_qchain_become(m, c, conv, &to);
}

/* The second operand: constant weights, or a quantised value as it is. */
static lamina_status second(lmn_match *m, const lmn_qside *b, int32_t rank, lmn_vid in[3], bool *ok)
{
    lmn_qweights w;
    *ok = false;
    if (b->axis >= 0 && rank != 2) return LAMINA_OK;
    LMN_TRY(lmn_qweights_make(m, b, rank - 1, false, &w, ok));
    if (*ok) {
        in[0] = w.w, in[1] = w.scale, in[2] = w.zp;
        return LAMINA_OK;
    }
    *ok = lmn_qside_plain8(b);
    if (!*ok) return LAMINA_OK;
    in[0] = b->data, in[1] = b->scale_v, in[2] = lmn_qside_zero(m, b);
    return in[2] ? LAMINA_OK : LAMINA_E_NOMEM;
}

lamina_status lmn_qdq_matmul(lmn_match *m, const lmn_qchain *c, lmn_gnode *matmul)
{
    lmn_qside a, b;
    lmn_vid in[8];
    bool ok;
    if (matmul->op.n_in != 2 || !lmn_qside_from(m, matmul->in[0], &a) || !lmn_qside_plain8(&a) ||
        !lmn_qside_from(m, matmul->in[1], &b))
        return LAMINA_OK;
    const lmn_fact *fb = &m->g->values[matmul->in[1]].fact;
    if (fb->rank < 2 || m->g->values[matmul->in[0]].fact.rank < 2) return LAMINA_OK;
    const lmn_dim k = fb->dims[fb->rank - 2];
    if ((lmn_dim_is_const(k) && lmn_dim_value(k) > LMN_QDQ_MAX_K) ||
        !multipliers_fit(&a, &b, &c->to))
        return LAMINA_OK;
    LMN_TRY(second(m, &b, fb->rank, in + 3, &ok));
    if (!ok) return LAMINA_OK;
    in[0] = a.data, in[1] = a.scale_v, in[2] = lmn_qside_zero(m, &a);
    in[6] = c->to.scale_v, in[7] = lmn_qside_zero(m, &c->to);
    if (!in[2] || !in[7]) return LAMINA_E_NOMEM;
    lmn_rewrite to = {.domain = "", .op = "QLinearMatMul", .in = in, .n_in = 8};
    return lmn_qchain_become(m, c, matmul, &to);
}
