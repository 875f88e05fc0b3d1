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

static const rule RULES[] = {{"Conv", lmn_qdq_conv},
                             {"MatMul", lmn_qdq_matmul},
                             {"Gemm", lmn_qdq_matmul},
                             {"Add", lmn_qdq_add},
                             {"Mul", lmn_qdq_mul},
                             {"Concat", lmn_qdq_concat},
                             {"AveragePool", lmn_qdq_average},
                             {"GlobalAveragePool", lmn_qdq_average}};

static lamina_status try_chain(lmn_match *m, lmn_gnode *q)
{
    lmn_qchain c;
    if (!lmn_qchain_of(m, q, &c) || !lmn_match_once(m, c.y)) return LAMINA_OK;
    lmn_gnode *n = lmn_match_maker(m, c.y);
    for (size_t i = 0; n && i < LMN_COUNT(RULES); i++)
        if (lmn_match_op(n, RULES[i].op)) return RULES[i].apply(m, &c, n);
    return LAMINA_OK;
}

static lamina_status run(lmn_match *m)
{
    lmn_graph *g = m->g;
    for (size_t i = 0; i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        if (!n->dead && lmn_match_op(n, "QuantizeLinear")) LMN_TRY(try_chain(m, n));
        if (!n->dead && lmn_match_op(n, "QuantizeLinear")) LMN_TRY(lmn_qdq_move(m, n));
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        lmn_gnode *n = &g->nodes[i];
        if (!n->dead && (lmn_match_op(n, "MatMul") || lmn_match_op(n, "Gemm")))
            LMN_TRY(lmn_qdq_to_float(m, n));
        if (!n->dead && lmn_match_op(n, "MatMul")) LMN_TRY(lmn_qdq_nbits(m, n));
        if (!n->dead) LMN_TRY(lmn_qdq_written_out(m, n));
    }
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
