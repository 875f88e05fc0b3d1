/*
 * MatMul (ai.onnx, since 1): numpy.matmul with broadcast leading dims and rank 1 operands.
 * Floats accumulate in f64, integers wrap. An empty inner extent gives zeros.
 */
#include "ops/linalg.h"
#include "ops/wide.h"

static lamina_status infer_matmul(lmn_infer *ic)
{
    return lmn_matmul_infer(ic, 0, 1, false, false);
}

static lamina_status eval_matmul(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *a = ec->in[0], *b = ec->in[1];
    lamina_tensor *y;
    lmn_matmul_plan p;
    LMN_TRY(lmn_matmul_prepare(ec, a, b, false, false, &p));
    LMN_TRY(lmn_out(ec, 0, a->dtype, p.rank, p.dims, &y));
    if (!y) return LAMINA_OK;
    p.mm.out = y->data;
    return lmn_mm_run(ec, &p.mm);
}

static void cost_matmul(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                        lmn_cost *c)
{
    (void)n;
    if (in[0] && in[0]->rank > 0)
        c->flops = 2.0 * lmn_cost_count(out) * lmn_cost_dim(in[0]->dims[in[0]->rank - 1]);
}

static const lmn_port IN[] = {
    {"A", 'T', 0, LMN_D_MATMUL}, {"B", 'T', LMN_PORT_FAR, LMN_D_MATMUL}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_MATMUL}, {0}};

const lmn_op_def lmn_op_MatMul = {
    .name = "MatMul",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .infer = infer_matmul,
    .eval = eval_matmul,
    .cost = cost_matmul,
};
