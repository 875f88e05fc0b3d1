/*
 * Operators that are not products between quantised sides (qdq.h): sums, joins, means, and what
 * only moves elements. Moving is exact on the integers: with one scale and zero point before and
 * behind, QuantizeLinear undoes DequantizeLinear to the bit, and the largest element stays the
 * largest. The others are the float operator between the same roundings, so they add nothing.
 */
#include "graph/passes/qdq.h"

#include <string.h>

static lamina_status binary(lmn_match *m, const lmn_qchain *c, lmn_gnode *n, const char *op)
{
    lmn_qside a, b;
    if (n->op.n_in != 2 || !lmn_qside_from(m, n->in[0], &a) || !lmn_qside_from(m, n->in[1], &b))
        return LAMINA_OK;
    if (!lmn_qside_plain8(&a) || !lmn_qside_plain8(&b) || a.dtype != b.dtype ||
        a.dtype != c->to.dtype)
        return LAMINA_OK;
    const lmn_vid in[8] = {a.data,
                           a.scale_v,
                           lmn_qside_zero(m, &a),
                           b.data,
                           b.scale_v,
                           lmn_qside_zero(m, &b),
                           c->to.scale_v,
                           lmn_qside_zero(m, &c->to)};
    if (!in[2] || !in[5] || !in[7]) return LAMINA_E_NOMEM;
    lmn_rewrite to = {.domain = "com.microsoft", .op = op, .in = in, .n_in = 8};
    return lmn_qchain_become(m, c, n, &to);
}

lamina_status lmn_qdq_add(lmn_match *m, const lmn_qchain *c, lmn_gnode *n)
{
    bool done;
    LMN_TRY(lmn_qdq_matmul_add(m, c, n, &done));
    return done ? LAMINA_OK : binary(m, c, n, "QLinearAdd");
}

lamina_status lmn_qdq_mul(lmn_match *m, const lmn_qchain *c, lmn_gnode *n)
{
    return binary(m, c, n, "QLinearMul");
}

lamina_status lmn_qdq_concat(lmn_match *m, const lmn_qchain *c, lmn_gnode *n)
{
    enum { MAX_PARTS = 64 };
    lmn_vid in[2 + 3 * MAX_PARTS];
    lmn_qside s;
    bool same = true;
    if (n->op.n_in < 1 || n->op.n_in > MAX_PARTS) return LAMINA_OK;
    for (int32_t i = 0; i < n->op.n_in; i++) {
        if (!lmn_qside_from(m, n->in[i], &s) || !lmn_qside_plain8(&s) || s.dtype != c->to.dtype)
            return LAMINA_OK;
        same = same && lmn_qside_same(&s, &c->to);
        in[2 + 3 * i] = s.data, in[3 + 3 * i] = s.scale_v;
        in[4 + 3 * i] = lmn_qside_zero(m, &s);
        if (!in[4 + 3 * i]) return LAMINA_E_NOMEM;
    }
    in[0] = c->to.scale_v, in[1] = lmn_qside_zero(m, &c->to);
    if (!in[1]) return LAMINA_E_NOMEM;
    for (int32_t i = 0; same && i < n->op.n_in; i++) in[i] = in[2 + 3 * i];
    lmn_rewrite to = {.domain = same ? "" : "com.microsoft",
                      .op = same ? "Concat" : "QLinearConcat",
                      .in = in,
                      .n_in = same ? n->op.n_in : 2 + 3 * n->op.n_in,
                      .attrs = n->op.attrs,
                      .n_attrs = n->op.n_attrs,
                      .takes = n};
    return lmn_qchain_become(m, c, n, &to);
}

lamina_status lmn_qdq_average(lmn_match *m, const lmn_qchain *c, lmn_gnode *n)
{
    lmn_qside x;
    const int64_t *dilations;
    if (n->op.n_in != 1 || !lmn_qside_from(m, n->in[0], &x) || !lmn_qside_plain8(&x) ||
        x.dtype != c->to.dtype)
        return LAMINA_OK;
    for (int32_t i = lmn_attr_ints(&n->op, "dilations", &dilations); i > 0; i--)
        if (dilations[i - 1] != 1) return LAMINA_OK;
    const lmn_vid in[5] = {x.data, x.scale_v, lmn_qside_zero(m, &x), c->to.scale_v,
                           lmn_qside_zero(m, &c->to)};
    if (!in[2] || !in[4]) return LAMINA_E_NOMEM;
    const bool global = lmn_match_op(n, "GlobalAveragePool");
    lmn_rewrite to = {.domain = "com.microsoft",
                      .op = global ? "QLinearGlobalAveragePool" : "QLinearAveragePool",
                      .in = in,
                      .n_in = 5,
                      .attrs = n->op.attrs,
                      .n_attrs = n->op.n_attrs,
                      .takes = n};
    return lmn_qchain_become(m, c, n, &to);
}

/* ---- moves -------------------------------------------------------------------------------------
 */

static const char *const MOVES[] = {"Reshape",      "Flatten",  "Squeeze",        "Unsqueeze",
                                    "Transpose",    "Slice",    "Gather",         "Expand",
                                    "Tile",         "MaxPool",  "GatherElements", "DepthToSpace",
                                    "SpaceToDepth", "GatherND", "Resize",         "Identity"};

/* Does n only move elements of input 0, or pick the largest, on integers of type dt? */
static bool is_move(const lmn_gnode *n, lamina_dtype dt)
{
    size_t i = 0;
    while (i < LMN_COUNT(MOVES) && !lmn_match_op(n, MOVES[i])) i++;
    if (i == LMN_COUNT(MOVES) || n->op.n_in < 1 || !n->in[0]) return false;
    for (int32_t k = 1; k < n->op.n_out; k++)
        if (n->out[k]) return false;
    if (!(lmn_port_at(n->op.def->in, 0)->types & LMN_DBIT(dt))) return false;
    return !lmn_match_op(n, "Resize") || (lmn_attr_is(&n->op, "mode", "nearest", "nearest") &&
                                          !lmn_attr_is(&n->op, "coordinate_transformation_mode",
                                                       "tf_crop_and_resize", "half_pixel"));
}

static lamina_status read_instead(lmn_match *m, lmn_gnode *n, lmn_vid data)
{
    lmn_vid *in = lmn_arena_dup(&m->tmp, n->in, (size_t)n->op.n_in * sizeof *in);
    if (!in) return LAMINA_E_NOMEM;
    in[0] = data;
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = n->op.def->domain,
                                           .op = n->op.def->name,
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = n->op.n_in,
                                           .attrs = n->op.attrs,
                                           .n_attrs = n->op.n_attrs});
}

/* q over the integers y: the bounds of its chain, or nothing. */
static lamina_status end_chain(lmn_match *m, lmn_gnode *q, const lmn_qchain *c, lmn_vid y)
{
    const bool lo = c->q && c->has_lo, hi = c->q && c->has_hi;
    const lmn_vid in[3] = {y, lo ? lmn_qdq_scalar(m, c->to.dtype, c->lo) : 0,
                           hi ? lmn_qdq_scalar(m, c->to.dtype, c->hi) : 0};
    if ((lo && !in[1]) || (hi && !in[2])) return LAMINA_E_NOMEM;
    return lmn_match_become(m, q,
                            &(lmn_rewrite){.domain = "",
                                           .op = lo || hi ? "Clip" : "Identity",
                                           .name = lo || hi ? c->act->op.name : q->op.name,
                                           .opset = q->op.opset,
                                           .in = in,
                                           .n_in = hi   ? 3
                                                   : lo ? 2
                                                        : 1});
}

lamina_status lmn_qdq_move(lmn_match *m, lmn_gnode *q)
{
    lmn_qchain c;
    lmn_qside from, to;
    if (!lmn_qside_to(m, q, &to) || to.axis >= 0 || lamina_dtype_bits(to.dtype) < 8)
        return LAMINA_OK;
    if (!lmn_qchain_of(m, q, &c)) c = (lmn_qchain){.y = q->in[0]};
    lmn_gnode *first = NULL;
    lmn_vid v = c.y;
    for (lmn_gnode *n = lmn_match_maker(m, v); n && is_move(n, to.dtype) && lmn_match_once(m, v);
         n = lmn_match_maker(m, v)) {
        first = n;
        v = n->in[0];
    }
    if (!lmn_qside_from(m, v, &from) || !lmn_qside_same(&from, &to)) return LAMINA_OK;
    for (lmn_vid y = c.y; y != v; y = lmn_match_maker(m, y)->in[0])
        m->g->values[y].fact.dtype = to.dtype;
    if (first) LMN_TRY(read_instead(m, first, from.data));
    return end_chain(m, q, &c, first ? c.y : from.data);
}
