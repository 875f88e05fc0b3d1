/*
 * MatMulNBits (com.microsoft, since 1): A [..., K] times the transpose of N rows of K weights
 * packed into 2, 4 or 8 bits, with a scale and zero point (default 2^(bits - 1)) for every block of
 * a row, plus a bias. accuracy_level permits engines to round A, which the definition does not do.
 */
#include "ops/linalg.h"
#include "ops/packbits.h"
#include "ops/wide.h"

static lamina_status infer_matmulnbits(lmn_infer *ic)
{
    const int64_t bits = lmn_attr_i(ic->node, "bits", 4);
    if (bits != 2 && bits != 4 && bits != 8)
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "use 2, 4 or 8 bits",
                              "attribute \"bits\" is %lld", (long long)bits);
    if (lmn_attr_i(ic->node, "weight_prepacked", 0))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "export the weights unpacked",
                              "weights in a layout of one GPU cannot be read");
    return lmn_weights_infer(ic, lmn_attr_i(ic->node, "N", 0), lmn_attr_i(ic->node, "K", 0));
}

static void weight_row(const void *ctx, int64_t row, float *dst)
{
    lmn_packbits_row(ctx, row, dst);
}

static lamina_status eval_matmulnbits(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    lmn_packbits w;
    LMN_TRY(lmn_packbits_read(ec, &w));
    return lmn_weights_matmul(ec, weight_row, &w, w.rows, w.cols, lmn_in(ec, 5));
}

static void cost_matmulnbits(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                             lmn_cost *c)
{
    (void)in;
    c->flops = 2.0 * lmn_cost_count(out) * (double)lmn_attr_i(n, "K", 1);
}

#define REAL (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
#define U8 LMN_DBIT(LAMINA_U8)
#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"A", 'T', 0, REAL},
                              {"B", 0, 0, U8},
                              {"scales", 'T', 0, REAL},
                              {"zero_points", 0, OPT, REAL | U8},
                              {"g_idx", 0, OPT, LMN_DBIT(LAMINA_I32)},
                              {"bias", 'T', OPT, REAL},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"K", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"N", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"accuracy_level", LMN_ATTR_INT, 0},
                                        {"bits", LMN_ATTR_INT, 0},
                                        {"block_size", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"weight_prepacked", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_MsMatMulNBits = {
    .domain = "com.microsoft",
    .name = "MatMulNBits",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_matmulnbits,
    .eval = eval_matmulnbits,
    .cost = cost_matmulnbits,
};
