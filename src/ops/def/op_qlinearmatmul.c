/*
 * QLinearMatMul (ai.onnx, since 10): numpy matmul between quantised tensors,
 * y = saturate(round_half_even(acc * (a_scale * b_scale / y_scale)) + y_zero_point). Between 8-bit
 * integers acc is an int32 sum (modulo 2^32), multiplied in f32, unless a scale varies along
 * another axis than b's columns. a's parameters may be per row, b's per column; those of y are
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

/* One factor a column, or one for all. */
static void requantise_sums(const lmn_eval *ec, const lmn_qmatmul *q, lamina_dtype dt, double ys,
                            double yz)
{
    const lamina_tensor *bs = lmn_in(ec, 4);
    const float a_scale = (float)lmn_get_f64(lmn_in(ec, 1), 0);
    const int64_t rows = q->n_batch * q->m, n_bs = lmn_count(bs);
    if (n_bs == 1) {
        const float mul = a_scale * (float)lmn_get_f64(bs, 0) / (float)ys;
        lmn_quant_requant_sums(dt, q->y, rows * q->n, mul, yz);
        return;
    }
    for (int64_t j = 0; j < q->n; j++) {
        const float mul = a_scale * (float)lmn_get_f64(bs, j) / (float)ys;
        for (int64_t i = 0; i < rows; i++)
            lmn_quant_requant_sums(dt, q->y + i * q->n + j, 1, mul, yz);
    }
}

static lamina_status eval_sums(lmn_eval *ec, lmn_qmatmul *q, lamina_tensor *y, double ys, double yz)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 3);
    LMN_TRY(lmn_quant_centred(ec, a, lmn_in(ec, 2), a->rank - 2, &q->a));
    LMN_TRY(lmn_quant_centred(ec, b, lmn_in(ec, 5), b->rank - 1, &q->b));
    LMN_TRY(lmn_wide_out(ec, y, &q->y));
    lmn_qmatmul_run(ec->par, q);
    requantise_sums(ec, q, y->dtype, ys, yz);
    lmn_wide_store(y, q->y);
    return LAMINA_OK;
}

/* 8-bit integers in and out, and scales that a factor a column can say. */
static bool takes_sums(const lmn_eval *ec, const lmn_qmatmul *q, lamina_dtype y)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 3), *bs = lmn_in(ec, 4);
    const lamina_dtype dt[3] = {a->dtype, b->dtype, y};
    for (int i = 0; i < 3; i++)
        if (dt[i] != LAMINA_U8 && dt[i] != LAMINA_I8) return false;
    const int64_t n_bs = lmn_count(bs);
    return lmn_count(lmn_in(ec, 1)) == 1 &&
           (n_bs == 1 || (b->rank > 1 && n_bs == q->n && (bs->rank == 1 || bs->rank == b->rank) &&
                          bs->dims[bs->rank - 1] == q->n));
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
    if (takes_sums(ec, &q, y->dtype)) return eval_sums(ec, &q, y, ys, yz);
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
