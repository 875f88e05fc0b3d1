/*
 * MatMulInteger (ai.onnx, since 10): numpy matmul of 8-bit integers into int32, exact; sums wrap at
 * 32 bits. The zero point of A may be one per row, that of B one per column.
 */
#include "ops/qmatmul.h"
#include "ops/quant.h"
#include "ops/wide.h"

static lamina_status infer_matmulinteger(lmn_infer *ic)
{
    return lmn_qmatmul_infer(ic, 0, 1);
}

static lamina_status eval_matmulinteger(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    lmn_qmatmul q;
    LMN_TRY(lmn_qmatmul_setup(ec, a, b, &q));
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_I32, q.rank, q.dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_quant_centred(ec, a, lmn_in(ec, 2), a->rank - 2, &q.a));
    LMN_TRY(lmn_quant_centred(ec, b, lmn_in(ec, 3), b->rank - 1, &q.b));
    LMN_TRY(lmn_wide_out(ec, y, &q.y));
    lmn_qmatmul_run(ec->par, &q);
    lmn_quant_store_i32(y, q.y);
    return LAMINA_OK;
}

static void cost_matmulinteger(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                               lmn_cost *c)
{
    (void)n;
    lmn_qmatmul_cost(in[0], &out[0], c);
}

#define INT8S (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8))
static const lmn_port IN[] = {{"A", 'A', 0, INT8S},
                              {"B", 'B', 0, INT8S},
                              {"a_zero_point", 'A', LMN_PORT_OPTIONAL, INT8S},
                              {"b_zero_point", 'B', LMN_PORT_OPTIONAL, INT8S},
                              {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_I32)}, {0}};

const lmn_op_def lmn_op_MatMulInteger = {
    .name = "MatMulInteger",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .infer = infer_matmulinteger,
    .eval = eval_matmulinteger,
    .cost = cost_matmulinteger,
};
