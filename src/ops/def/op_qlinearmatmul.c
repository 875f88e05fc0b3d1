/*
 * QLinearMatMul (ai.onnx, since 10): numpy matmul between quantised tensors,
 * y = saturate(round_half_even(acc * a_scale * b_scale / y_scale) + y_zero_point). With scalar
 * scales acc is an exact integer. a's parameters may be per row, b's per column; those of y are
 * scalars.
 */
#include "ops/qmatmul.h"
#include "ops/quant.h"
#include "ops/wide.h"

static lamina_status infer_qlinearmatmul(lmn_infer *ic)
{
    return lmn_qmatmul_infer(ic, 0, 3);
}

/* Operand without zero point; a scale of several entries is multiplied in, a scalar one into *mul.
 */
static lamina_status operand(lmn_eval *ec, int32_t i, int32_t axis, double *mul, const double **out)
{
    const lamina_tensor *t = lmn_in(ec, i), *s = lmn_in(ec, i + 1);
    LMN_TRY(lmn_quant_centred(ec, t, lmn_in(ec, i + 2), axis, out));
    if (lmn_count(s) == 1) {
        *mul *= lmn_get_f64(s, 0);
        return LAMINA_OK;
    }
    lmn_spread sp;
    LMN_TRY(lmn_spread_init(ec, t->rank, t->dims, s, axis, &sp));
    return lmn_spread_apply(ec, &sp, s, '*', (double *)(uintptr_t)*out); /* scratch of ours */
}

static lamina_status eval_qlinearmatmul(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 3);
    lmn_qmatmul q;
    LMN_TRY(lmn_qmatmul_setup(ec, a, b, &q));
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 7)->dtype, q.rank, q.dims, &y));
    if (!y) return LAMINA_OK;
    double mul = 1.0, ys, yz;
    LMN_TRY(lmn_quant_scalar(ec, 6, &ys));
    LMN_TRY(lmn_quant_scalar(ec, 7, &yz));
    LMN_TRY(operand(ec, 0, a->rank - 2, &mul, &q.a));
    LMN_TRY(operand(ec, 3, b->rank - 1, &mul, &q.b));
    LMN_TRY(lmn_wide_out(ec, y, &q.y));
    lmn_qmatmul_run(ec->par, &q);
    lmn_quant_requant(y->dtype, q.y, lmn_count(y), mul / ys, yz);
    lmn_wide_store(y, q.y);
    return LAMINA_OK;
}

static void cost_qlinearmatmul(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                               lmn_cost *c)
{
    (void)n;
    lmn_qmatmul_cost(in[0], &out[0], c);
}

#define QS (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8) | LMN_D_FP8)
#define SCALES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {
    {"a", 'A', 0, QS},           {"a_scale", 'S', 0, SCALES},  {"a_zero_point", 'A', 0, QS},
    {"b", 'B', 0, QS},           {"b_scale", 'S', 0, SCALES},  {"b_zero_point", 'B', 0, QS},
    {"y_scale", 'S', 0, SCALES}, {"y_zero_point", 'C', 0, QS}, {0}};
static const lmn_port OUT[] = {{"y", 'C', 0, QS}, {0}};

const lmn_op_def lmn_op_QLinearMatMul = {
    .name = "QLinearMatMul",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .infer = infer_qlinearmatmul,
    .eval = eval_qlinearmatmul,
    .cost = cost_qlinearmatmul,
};
