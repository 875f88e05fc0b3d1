/*
 * Gemm (ai.onnx, since 1): Y = alpha * A' * B' + beta * C with C broadcast to [M, N].
 * Floats accumulate in f64 and round once. Integers are exact while alpha and beta are 1, otherwise
 * the scaled f64 value is truncated. Opset < 7 had a `broadcast` attribute: broadcasting is always
 * on.
 */
#include "ops/linalg.h"
#include "ops/wide.h"

static lamina_status infer_gemm(lmn_infer *ic)
{
    const bool ta = lmn_attr_i(ic->node, "transA", 0) != 0,
               tb = lmn_attr_i(ic->node, "transB", 0) != 0;
    for (int32_t i = 0; i < 2; i++)
        if (lmn_infer_has(ic, i) && ic->in[i]->rank >= 0 && ic->in[i]->rank != 2)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE,
                                  "put a Flatten or Reshape before it, or use MatMul",
                                  "input %d has rank %d, Gemm takes matrices", i, ic->in[i]->rank);
    LMN_TRY(lmn_matmul_infer(ic, 0, 1, ta, tb));
    if (ic->out[0].rank < 0) { /* one operand unknown: still a matrix */
        const lmn_fact *a = ic->in[0], *b = ic->in[1];
        ic->out[0].rank = 2;
        ic->out[0].dims[0] = a->rank == 2 ? a->dims[ta ? 1 : 0] : LMN_DIM_UNKNOWN;
        ic->out[0].dims[1] = b->rank == 2 ? b->dims[tb ? 0 : 1] : LMN_DIM_UNKNOWN;
    }
    if (!lmn_infer_has(ic, 2)) return LAMINA_OK;
    const lmn_fact *c = ic->in[2];
    for (int32_t i = 0; i < c->rank; i++) {
        const lmn_dim want = i + 2 - c->rank >= 0 ? ic->out[0].dims[i + 2 - c->rank] : lmn_dim_c(1);
        lmn_dim got = c->dims[i], both;
        if (got == lmn_dim_c(1) || lmn_dim_unify(ic->dims, got, want, &both)) continue;
        char text[160], y[160];
        (void)lmn_fact_format(ic->dims, c, text, sizeof text);
        (void)lmn_fact_format(ic->dims, &ic->out[0], y, sizeof y);
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "C %s does not broadcast to the product %s",
                              text, y);
    }
    return LAMINA_OK;
}

static lamina_status eval_gemm(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *a = ec->in[0], *b = ec->in[1], *c = lmn_in(ec, 2);
    lamina_tensor *y;
    lmn_matmul_plan p;
    if (a->rank != 2 || b->rank != 2)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "Gemm takes matrices, got ranks %d and %d",
                             a->rank, b->rank);
    LMN_TRY(lmn_matmul_prepare(ec, a, b, lmn_attr_i(ec->node, "transA", 0) != 0,
                               lmn_attr_i(ec->node, "transB", 0) != 0, &p));
    p.mm.alpha = lmn_attr_f(ec->node, "alpha", 1.0F);
    p.mm.beta = lmn_attr_f(ec->node, "beta", 1.0F);
    if (c && p.mm.beta != 0.0) {
        int64_t cols = c->rank > 0 ? c->dims[c->rank - 1] : 1;
        int64_t rows = c->rank > 1 ? c->dims[c->rank - 2] : 1;
        bool ok = (cols == 1 || cols == p.mm.n) && (rows == 1 || rows == p.mm.m);
        for (int32_t i = 0; i + 2 < c->rank; i++) ok = ok && c->dims[i] == 1;
        if (!ok)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "C does not broadcast to [%lld, %lld]",
                                 (long long)p.mm.m, (long long)p.mm.n);
        p.mm.c = c->data;
        p.mm.c_cs = cols == 1 ? 0 : 1;
        p.mm.c_rs = rows == 1 ? 0 : cols;
    }
    LMN_TRY(lmn_out(ec, 0, a->dtype, p.rank, p.dims, &y));
    if (!y) return LAMINA_OK;
    p.mm.out = y->data;
    return lmn_mm_run(ec, &p.mm);
}

static lamina_status canon_gemm(lmn_canon *c)
{
    lmn_canon_drop_attr(c, "broadcast");
    return LAMINA_OK;
}

static void cost_gemm(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                      lmn_cost *c)
{
    const int32_t k = lmn_attr_i(n, "transA", 0) ? 0 : 1;
    if (in[0] && in[0]->rank == 2)
        c->flops = 2.0 * lmn_cost_count(out) * lmn_cost_dim(in[0]->dims[k]);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_MATMUL},
                              {"B", 'T', LMN_PORT_FAR, LMN_D_MATMUL},
                              {"C", 'T', LMN_PORT_OPTIONAL, LMN_D_MATMUL},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_MATMUL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0},
                                        {"beta", LMN_ATTR_FLOAT, 0},
                                        {"transA", LMN_ATTR_INT, 0},
                                        {"transB", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_Gemm = {
    .name = "Gemm",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gemm,
    .eval = eval_gemm,
    .canon = canon_gemm,
    .cost = cost_gemm,
};
