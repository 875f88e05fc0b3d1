/*
 * MatMulBnb4 (com.microsoft, since 1): A [..., K] times the transpose of N x K weights of four bits
 * that name one of 16 values (FP4 or NF4 of bitsandbytes), scaled by absmax for every block of the
 * flattened weights. The high half of a byte comes first.
 */
#include "ops/linalg.h"
#include "ops/packbits.h"
#include "ops/wide.h"

static const float FP4[16] = {
    0.0f,  5.208333333e-03f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
    -0.0f, -5.208333333e-03f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f};
static const float NF4[16] = {-1.0f,
                              -0.6961928009986877f,
                              -0.5250730514526367f,
                              -0.39491748809814453f,
                              -0.28444138169288635f,
                              -0.18477343022823334f,
                              -0.09105003625154495f,
                              0.0f,
                              0.07958029955625534f,
                              0.16093020141124725f,
                              0.24611230194568634f,
                              0.33791524171829224f,
                              0.44070982933044434f,
                              0.5626170039176941f,
                              0.7229568362236023f,
                              1.0f};

typedef struct bnb4 {
    const uint8_t *q;
    const float *absmax, *values;
    int64_t k, block;
} bnb4;

static lamina_status infer_matmulbnb4(lmn_infer *ic)
{
    if (!lmn_attr_i(ic->node, "transB", 1))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, NULL, "transB 0 is not supported");
    return lmn_weights_infer(ic, lmn_attr_i(ic->node, "N", 0), lmn_attr_i(ic->node, "K", 0));
}

static void weight_row(const void *ctx, int64_t row, float *dst)
{
    const bnb4 *b = ctx;
    for (int64_t j = 0; j < b->k; j++) {
        const int64_t e = row * b->k + j;
        const uint8_t two = b->q[e / 2];
        dst[j] = b->values[e % 2 ? two & 15 : two >> 4] * b->absmax[e / b->block];
    }
}

static lamina_status eval_matmulbnb4(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *q = lmn_in(ec, 1), *absmax = lmn_in(ec, 2);
    const int64_t n = lmn_attr_i(ec->node, "N", 0);
    bnb4 b = {.q = q->data,
              .values = lmn_attr_i(ec->node, "quant_type", 0) ? NF4 : FP4,
              .k = lmn_attr_i(ec->node, "K", 0),
              .block = lmn_attr_i(ec->node, "block_size", 0)};
    if (n <= 0 || b.k <= 0 || b.block <= 0 || n > INT32_MAX || b.k > INT32_MAX)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "N, K and block_size must be positive");
    if (lmn_count(q) != (n * b.k + 1) / 2 || lmn_count(absmax) != (n * b.k - 1) / b.block + 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "B or absmax do not hold N * K weights");
    LMN_TRY(lmn_f32_in(ec, absmax, &b.absmax));
    return lmn_weights_matmul(ec, weight_row, &b, n, b.k, NULL);
}

static void cost_matmulbnb4(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                            lmn_cost *c)
{
    (void)in;
    c->flops = 2.0 * lmn_cost_count(out) * (double)lmn_attr_i(n, "K", 1);
}

#define REAL (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {
    {"A", 'T', 0, REAL}, {"B", 0, 0, LMN_DBIT(LAMINA_U8)}, {"absmax", 'T', 0, REAL}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"K", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"N", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"block_size", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"quant_type", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"training_mode", LMN_ATTR_INT, 0},
                                        {"transB", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_MsMatMulBnb4 = {
    .domain = "com.microsoft",
    .name = "MatMulBnb4",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_matmulbnb4,
    .eval = eval_matmulbnb4,
    .cost = cost_matmulbnb4,
};
