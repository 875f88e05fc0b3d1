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

/* ---- matrix products ---------------------------------------------------------------------------
 */

typedef struct product {
    lmn_gnode *n; /* MatMul or Gemm */
    lmn_vid bias; /* added to it, one a column; 0: none */
    bool trans_b;
    lmn_qside a, b;
    lmn_vid b_in[3]; /* b, its scale and zero point as they will be read */
    lmn_qweights w;  /* of b; t NULL: no constant */
    int64_t k, cols; /* of constant weights */
    int64_t block;   /* > 0: b has a scale for every block of so many rows of a column */
} product;

static bool by_blocks(const lmn_match *m, product *p)
{
    static const lmn_dset types =
        LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_I4) | LMN_DBIT(LAMINA_U4);
    const lamina_tensor *w = lmn_match_const(m, p->b.data), *s = p->b.scale;
    if (!w || w->rank != 2 || p->trans_b || p->b.axis != 0 || !(types & LMN_DBIT(w->dtype)))
        return false;
    p->block = p->b.block;
    p->b_in[0] = p->b.data, p->b_in[1] = p->b.scale_v, p->b_in[2] = p->b.zp_v;
    return s->rank == 2 && s->dims[1] == w->dims[1] &&
           s->dims[0] == w->dims[0] / p->block + (w->dims[0] % p->block != 0);
}

/* The second operand: constant weights, or a quantised value as it is. */
static lamina_status second(lmn_match *m, product *p, bool *ok)
{
    const lmn_fact *f = &m->g->values[p->n->in[1]].fact;
    *ok = p->b.block > 0 && by_blocks(m, p);
    if (p->b.block > 0 || (p->b.axis >= 0 && f->rank != 2)) return LAMINA_OK;
    LMN_TRY(lmn_qweights_make(m, &p->b, p->trans_b ? 0 : f->rank - 1, p->trans_b, &p->w, ok));
    if (*ok) {
        p->b_in[0] = p->w.w, p->b_in[1] = p->w.scale, p->b_in[2] = p->w.zp;
        const lamina_tensor *t = p->w.t;
        p->k = t->dims[t->rank - 2];
        p->cols = t->rank == 2 ? t->dims[1] : 0;
        return LAMINA_OK;
    }
    p->w.t = NULL;
    *ok = lmn_qside_plain8(&p->b) && !p->trans_b;
    if (!*ok) return LAMINA_OK;
    p->b_in[0] = p->b.data, p->b_in[1] = p->b.scale_v, p->b_in[2] = lmn_qside_zero(m, &p->b);
    return p->b_in[2] ? LAMINA_OK : LAMINA_E_NOMEM;
}

/* MatMul, or Gemm that only multiplies and adds a row: its operands, both quantised. */
static lamina_status read_product(lmn_match *m, lmn_gnode *n, const lmn_qside *to, product *p,
                                  bool *ok)
{
    const lmn_opnode *op = &n->op;
    const bool gemm = lmn_match_op(n, "Gemm");
    *p = (product){.n = n, .trans_b = gemm && lmn_attr_i(op, "transB", 0) != 0};
    *ok = false;
    if (op->n_in < 2 || op->n_in > 3 || (gemm && lmn_attr_i(op, "transA", 0)) ||
        lmn_attr_f(op, "alpha", 1) != 1 || lmn_attr_f(op, "beta", 1) != 1)
        return LAMINA_OK;
    p->bias = op->n_in > 2 ? n->in[2] : 0;
    if (!lmn_qside_from(m, n->in[0], &p->a) || !lmn_qside_plain8(&p->a) ||
        !lmn_qside_from(m, n->in[1], &p->b))
        return LAMINA_OK;
    const lmn_fact *fb = &m->g->values[n->in[1]].fact;
    if (fb->rank < 2 || m->g->values[n->in[0]].fact.rank < 2) return LAMINA_OK;
    const lmn_dim k = fb->dims[fb->rank - (p->trans_b ? 1 : 2)];
    if ((lmn_dim_is_const(k) && lmn_dim_value(k) > LMN_QDQ_MAX_K) ||
        !multipliers_fit(&p->a, &p->b, to))
        return LAMINA_OK;
    return second(m, p, ok);
}

static lamina_status product_without_bias(lmn_match *m, const lmn_qchain *c, const product *p)
{
    const lmn_vid in[8] = {
        p->a.data,  p->a.scale_v,  lmn_qside_zero(m, &p->a), p->b_in[0], p->b_in[1],
        p->b_in[2], c->to.scale_v, lmn_qside_zero(m, &c->to)};
    if (!in[2] || !in[7]) return LAMINA_E_NOMEM;
    const lmn_attr block = {.name = "block_size", .type = LMN_ATTR_INT, .n = 1, .u.i = p->block};
    lmn_rewrite to = {.domain = p->block ? "lamina" : "",
                      .op = p->block ? "QBlockMatMul" : "QLinearMatMul",
                      .in = in,
                      .n_in = 8,
                      .attrs = &block,
                      .n_attrs = p->block ? 1 : 0};
    return lmn_qchain_become(m, c, p->n, &to);
}

static lamina_status product_with_bias(lmn_match *m, const lmn_qchain *c, const product *p)
{
    const lmn_qbias b = {.bias = p->bias,
                         .w = &p->w,
                         .x = &p->a,
                         .to = &c->to,
                         .n = p->cols,
                         .k = p->k,
                         .columns = true};
    lmn_vid bias;
    if (!p->w.t || !p->cols) return LAMINA_OK;
    LMN_TRY(lmn_qbias_make(m, &b, &bias));
    if (!bias) return LAMINA_OK;
    const lmn_vid in[9] = {p->a.data,  p->a.scale_v,  lmn_qside_zero(m, &p->a),
                           p->b_in[0], p->b_in[1],    p->b_in[2],
                           bias,       c->to.scale_v, lmn_qside_zero(m, &c->to)};
    if (!in[2] || !in[8]) return LAMINA_E_NOMEM;
    lmn_rewrite to = {.domain = "com.microsoft", .op = "QGemm", .in = in, .n_in = 9};
    return lmn_qchain_become(m, c, p->n, &to);
}

lamina_status lmn_qdq_matmul(lmn_match *m, const lmn_qchain *c, lmn_gnode *n)
{
    product p;
    bool ok;
    LMN_TRY(read_product(m, n, &c->to, &p, &ok));
    if (!ok) return LAMINA_OK;
    return p.bias ? product_with_bias(m, c, &p) : product_without_bias(m, c, &p);
}

/* The product that one operand of an Add is, read by it alone; the other operand is its bias. */
static lmn_gnode *product_under(const lmn_match *m, const lmn_gnode *add, lmn_vid *bias)
{
    for (int32_t k = 0; add->op.n_in == 2 && k < 2; k++) {
        lmn_gnode *n = lmn_match_made_by(m, add->in[k], "MatMul");
        *bias = add->in[1 - k];
        if (n && lmn_match_once(m, add->in[k])) return n;
    }
    return NULL;
}

lamina_status lmn_qdq_matmul_add(lmn_match *m, const lmn_qchain *c, lmn_gnode *add, bool *done)
{
    product p;
    lmn_vid bias;
    bool ok;
    lmn_gnode *n = product_under(m, add, &bias);
    *done = false;
    if (!n || m->g->values[c->y].fact.rank != m->g->values[n->out[0]].fact.rank) return LAMINA_OK;
    const uint32_t before = m->ctx->n_changed;
    LMN_TRY(read_product(m, n, &c->to, &p, &ok));
    p.bias = bias;
    if (ok) LMN_TRY(product_with_bias(m, c, &p));
    *done = m->ctx->n_changed != before;
    return LAMINA_OK;
}

/* A product whose result stays f32: the bias does too. */
lamina_status lmn_qdq_to_float(lmn_match *m, lmn_gnode *n)
{
    product p;
    bool ok;
    LMN_TRY(read_product(m, n, NULL, &p, &ok));
    if (!ok || p.block || !lmn_match_is_f32(m, n->out[0])) return LAMINA_OK;
    if (p.bias) {
        const lmn_fact *f = &m->g->values[p.bias].fact;
        if (!lmn_match_is_f32(m, p.bias) || f->rank != 1) return LAMINA_OK;
    }
    const lmn_vid in[7] = {p.a.data,  p.b_in[0], p.a.scale_v, p.b_in[1], lmn_qside_zero(m, &p.a),
                           p.b_in[2], p.bias};
    if (!in[4]) return LAMINA_E_NOMEM;
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "com.microsoft",
                                           .op = "MatMulIntegerToFloat",
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = p.bias ? 7 : 6});
}
