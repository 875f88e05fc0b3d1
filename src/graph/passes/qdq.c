/*
 * Quantised sides, chains to a QuantizeLinear, and what replaces them (qdq.h).
 */
#include "graph/passes/qdq.h"
#include "ops/wide.h"

#include <math.h>

/* ---- sides -------------------------------------------------------------------------------------
 */

static bool scales_fit(const lamina_tensor *t)
{
    for (int64_t i = 0, n = lmn_count(t); i < n; i++) {
        const double s = lmn_get_f64(t, i);
        /* 2^17 steps still finite: dividing what was multiplied gives back the number. */
        if (!(s > 0) || !isfinite((float)(s * 131072.0))) return false;
    }
    return true;
}

/* Scale and zero point of a Q or DQ node over a value of this fact. */
static bool read_side(const lmn_match *m, const lmn_gnode *n, const lmn_fact *x, lmn_qside *s)
{
    s->scale_v = n->in[1];
    s->scale = lmn_match_const(m, n->in[1]);
    s->zp_v = n->op.n_in > 2 ? n->in[2] : 0;
    s->zp = s->zp_v ? lmn_match_const(m, s->zp_v) : NULL;
    s->axis = -1;
    s->block = lmn_attr_i(&n->op, "block_size", 0);
    int64_t lo, hi;
    if (!s->scale || s->scale->dtype != LAMINA_F32 || (s->zp_v && !s->zp) || s->block < 0)
        return false;
    if (!lmn_int_range(s->dtype, &lo, &hi) || (s->zp && s->zp->dtype != s->dtype)) return false;
    s->n = lmn_count(s->scale);
    if (s->n < 1 || (s->zp && lmn_count(s->zp) != 1 && lmn_count(s->zp) != s->n)) return false;
    if (!scales_fit(s->scale)) return false;
    if (s->n == 1 && (s->scale->rank <= 1 || s->block == 0)) return s->block = 0, true;
    int64_t axis = lmn_attr_i(&n->op, "axis", 1);
    if (x->kind != LMN_FACT_TENSOR || x->rank < 1 || axis < -x->rank || axis >= x->rank)
        return false;
    s->axis = (int32_t)(axis < 0 ? axis + x->rank : axis);
    return s->block > 0 || (s->scale->rank == 1 && x->dims[s->axis] == lmn_dim_c(s->n));
}

bool lmn_qside_from(const lmn_match *m, lmn_vid v, lmn_qside *s)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "DequantizeLinear");
    *s = (lmn_qside){0};
    if (!n || n->op.n_in < 2 || !n->in[0] || !lmn_match_is_f32(m, v)) return false;
    s->data = n->in[0];
    s->dtype = m->g->values[s->data].fact.dtype;
    return read_side(m, n, &m->g->values[v].fact, s);
}

bool lmn_qside_to(const lmn_match *m, const lmn_gnode *n, lmn_qside *s)
{
    *s = (lmn_qside){0};
    if (!lmn_match_op(n, "QuantizeLinear") || n->op.n_in < 2 || !n->in[0] || !n->out[0])
        return false;
    const int64_t precision = lmn_attr_i(&n->op, "precision", LAMINA_F32);
    if (!lmn_match_is_f32(m, n->in[0]) || (precision != 0 && precision != LAMINA_F32)) return false;
    s->data = n->out[0];
    s->dtype = m->g->values[s->data].fact.dtype;
    return read_side(m, n, &m->g->values[n->in[0]].fact, s);
}

bool lmn_qside_plain8(const lmn_qside *s)
{
    return s->axis < 0 && (s->dtype == LAMINA_I8 || s->dtype == LAMINA_U8);
}

double lmn_qside_scale(const lmn_qside *s, int64_t i)
{
    return lmn_get_f64(s->scale, s->n == 1 ? 0 : i);
}

int64_t lmn_qside_zp(const lmn_qside *s, int64_t i)
{
    return s->zp ? lmn_get_i64(s->zp, lmn_count(s->zp) == 1 ? 0 : i) : 0;
}

bool lmn_qside_same(const lmn_qside *a, const lmn_qside *b)
{
    return a->axis < 0 && b->axis < 0 && a->dtype == b->dtype &&
           lmn_qside_scale(a, 0) == lmn_qside_scale(b, 0) &&
           lmn_qside_zp(a, 0) == lmn_qside_zp(b, 0);
}

int64_t lmn_qside_quantise(const lmn_qside *s, double v)
{
    int64_t lo = 0, hi = 0;
    (void)lmn_int_range(s->dtype, &lo, &hi);
    const float quotient = (float)v / (float)lmn_qside_scale(s, 0);
    const double q = rint((double)quotient) + (double)lmn_qside_zp(s, 0);
    return q <= (double)lo ? lo : q >= (double)hi ? hi : (int64_t)q;
}

/* ---- constants ---------------------------------------------------------------------------------
 */

lmn_vid lmn_qdq_constant(lmn_match *m, lamina_tensor *owned)
{
    const lmn_vid v = lmn_graph_constant(m->g, "", owned);
    lamina_tensor_unref(owned);
    return v;
}

lmn_vid lmn_qdq_scalar(lmn_match *m, lamina_dtype dt, int64_t v)
{
    lamina_tensor *t;
    if (lamina_tensor_create(m->g->engine, dt, 0, NULL, &t) != LAMINA_OK) return 0;
    lmn_set_i64(t, 0, v);
    return lmn_qdq_constant(m, t);
}

lmn_vid lmn_qside_zero(lmn_match *m, const lmn_qside *s)
{
    return s->zp_v ? s->zp_v : lmn_qdq_scalar(m, s->dtype, 0);
}

bool lmn_qdq_afford(lmn_match *m, size_t bytes)
{
    lmn_pass_ctx *ctx = m->ctx;
    if (bytes > ctx->max_const_bytes || ctx->folded_bytes + bytes > 4 * ctx->max_const_bytes)
        return false;
    ctx->folded_bytes += bytes;
    return true;
}

/* ---- chains ------------------------------------------------------------------------------------
 */

/* The bounds that an activation sets; false if it is none of the kind. */
static bool bounds_of(const lmn_match *m, const lmn_gnode *n, double *lo, double *hi)
{
    *lo = -(double)INFINITY;
    *hi = (double)INFINITY;
    if (lmn_match_op(n, "Relu")) return *lo = 0, true;
    if (!lmn_match_op(n, "Clip")) return false;
    for (int32_t k = 1; k < n->op.n_in; k++)
        if (n->in[k] && !lmn_match_scalar(m, n->in[k], k == 1 ? lo : hi)) return false;
    return !isnan(*lo) && !isnan(*hi);
}

bool lmn_qchain_of(const lmn_match *m, lmn_gnode *q, lmn_qchain *c)
{
    *c = (lmn_qchain){.q = q};
    if (!lmn_qside_to(m, q, &c->to) || !lmn_qside_plain8(&c->to)) return false;
    double lo = -(double)INFINITY, hi = (double)INFINITY, a, b;
    for (c->y = q->in[0]; lmn_match_once(m, c->y);) {
        lmn_gnode *n = lmn_match_maker(m, c->y);
        if (!n || n->op.n_out != 1 || !n->in[0] || !bounds_of(m, n, &a, &b)) break;
        /* Clip by (lo, hi) after clip by (a, b) is one clip; where bounds cross, the upper wins. */
        const double low = fmin(fmax(fmin(a, b), lo), hi);
        hi = fmin(fmax(b, lo), hi);
        lo = low;
        c->act = n;
        c->y = n->in[0];
    }
    int64_t first = 0, last = 0;
    (void)lmn_int_range(c->to.dtype, &first, &last);
    c->lo = lmn_qside_quantise(&c->to, lo);
    c->hi = lmn_qside_quantise(&c->to, hi);
    c->has_lo = c->lo > first;
    c->has_hi = c->hi < last;
    return true;
}

static lamina_status clip_after(lmn_match *m, const lmn_qchain *c)
{
    const lmn_vid in[3] = {c->act->out[0], c->has_lo ? lmn_qdq_scalar(m, c->to.dtype, c->lo) : 0,
                           c->has_hi ? lmn_qdq_scalar(m, c->to.dtype, c->hi) : 0};
    if ((c->has_lo && !in[1]) || (c->has_hi && !in[2])) return LAMINA_E_NOMEM;
    return lmn_match_become(m, c->q,
                            &(lmn_rewrite){.domain = "",
                                           .op = "Clip",
                                           .name = c->act->op.name,
                                           .opset = c->act->op.opset,
                                           .in = in,
                                           .n_in = c->has_hi ? 3 : 2});
}

lamina_status lmn_qchain_become(lmn_match *m, const lmn_qchain *c, const lmn_gnode *base,
                                lmn_rewrite *to)
{
    const bool clips = c->act && (c->has_lo || c->has_hi);
    lmn_gnode *at = clips ? c->act : c->q;
    const uint32_t id = base->op.id;
    to->opset = base->op.opset;
    to->name = c->act && !clips ? lmn_match_trace(m, &base->op, &c->act->op) : base->op.name;
    if (!to->name) return LAMINA_E_NOMEM;
    if (clips) LMN_TRY(clip_after(m, c)); /* first: it takes over the activation's name */
    LMN_TRY(lmn_match_become(m, at, to));
    at->op.id = id;
    m->g->values[at->out[0]].fact.dtype = c->to.dtype;
    return LAMINA_OK;
}
