/*
 * Operators between DequantizeLinear and QuantizeLinear become operators on the integers: QDQ
 * graphs run on integer kernels whatever their zero points are.
 *
 * Tolerance: the integers are what the evaluation in floats gives, but for one step where a sum
 * falls next to the middle between two steps: integer sums are exact, and the error of their one
 * multiplication (two roundings in f32) and of a bias as a whole number (half a step at most, see
 * qdq_weights.c) is less than a step. Bounds of Relu and Clip are applied to the integers and add
 * nothing (qdq.h).
 *
 * A DequantizeLinear that others read stays for them. A QuantizeLinear is never removed unless it
 * undoes the DequantizeLinear before it.
 */
#include "graph/passes/qdq.h"

typedef struct rule {
    const char *op;
    lamina_status (*apply)(lmn_match *m, const lmn_qchain *c, lmn_gnode *n);
} rule;

static const rule RULES[] = {{"Conv", lmn_qdq_conv}, {"MatMul", lmn_qdq_matmul}};

static lamina_status try_node(lmn_match *m, lmn_gnode *q)
{
    lmn_qchain c;
    if (!lmn_match_op(q, "QuantizeLinear") || !lmn_qchain_of(m, q, &c)) return LAMINA_OK;
    lmn_gnode *n = lmn_match_maker(m, c.y);
    for (size_t i = 0; n && i < LMN_COUNT(RULES); i++)
        if (lmn_match_op(n, RULES[i].op)) return RULES[i].apply(m, &c, n);
    return LAMINA_OK;
}

static lamina_status run(lmn_match *m)
{
    for (size_t i = 0; i < m->g->n_nodes; i++)
        if (!m->g->nodes[i].dead) LMN_TRY(try_node(m, &m->g->nodes[i]));
    return LAMINA_OK;
}

lamina_status lmn_pass_qdq(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_qdq(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    ctx->fold_weights = true;
    return st;
}
