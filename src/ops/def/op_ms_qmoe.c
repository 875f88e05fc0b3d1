/*
 * QMoE (com.microsoft, since 1): MoE with weights packed into 2, 4 or 8 bits, a scale for every row
 * or, with block_size, for every block of a row; zero points (default 2^(bits - 1)) lie likewise.
 * quant_type "int" only. The softmax is that of the chosen experts, as onnxruntime has it on CPUs.
 */
#include "ops/moe.h"
#include "ops/wide.h"

enum { FC1 = 2, FC2 = 5, FC3 = 8, ZERO_POINTS = 11, MIX = 14 };

static lamina_status infer_qmoe(lmn_infer *ic)
{
    if (!lmn_attr_is(ic->node, "quant_type", "int", "int"))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "export integer weights",
                              "quant_type \"%.20s\" is not supported",
                              lmn_attr_s(ic->node, "quant_type", ""));
    if (lmn_attr_i(ic->node, "weights_prepacked", -1) > 0)
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "export the weights unpacked",
                              "weights in a layout of one GPU cannot be read");
    return lmn_moe_infer(ic);
}

static void packed_row(const void *ctx, int64_t row, float *dst)
{
    lmn_packbits_row(ctx, row, dst);
}

static lamina_status bad(lmn_eval *ec, int32_t i, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d: %s", i, what);
}

static lamina_status zero_points(lmn_eval *ec, int32_t i, lmn_packbits *w, int64_t rows,
                                 bool blocks)
{
    const lamina_tensor *zp = lmn_in(ec, i);
    if (!zp) return LAMINA_OK;
    if (zp->dtype != LAMINA_U8) return bad(ec, i, "zero points must be packed bytes");
    w->zp = zp->data;
    w->zp_bytes = blocks ? (w->n_blocks * w->bits + 7) / 8 : 0;
    if (!blocks && rows * w->bits % 8 != 0)
        return bad(ec, i, "an expert's zero points must fill whole bytes");
    const int64_t want = blocks ? w->rows * w->zp_bytes : w->rows * w->bits / 8;
    return lmn_count(zp) == want ? LAMINA_OK : bad(ec, i, "zero points do not fit the scales");
}

/* Layer k: weights at `i`, scales and bias behind them. */
static lamina_status layer(lmn_eval *ec, int32_t i, int32_t k, lmn_packbits *w, lmn_moe_layer *l)
{
    static const char *const BITS[] = {"fc1_expert_weight_bits", "fc2_expert_weight_bits",
                                       "fc3_expert_weight_bits"};
    const lamina_tensor *t = lmn_in(ec, i), *scales = lmn_in(ec, i + 1), *router = lmn_in(ec, 1);
    const int64_t bits =
        lmn_attr_i(ec->node, BITS[k], lmn_attr_i(ec->node, "expert_weight_bits", 4));
    const int64_t block = lmn_attr_i(ec->node, "block_size", 0);
    if (!t) return LAMINA_OK;
    if (bits != 2 && bits != 4 && bits != 8) return bad(ec, i, "weights need 2, 4 or 8 bits");
    if (t->rank != 3 || t->dtype != LAMINA_U8 || router->rank != 2 ||
        t->dims[0] != router->dims[1] || !scales || lmn_count(t) == 0 || block > INT32_MAX)
        return bad(ec, i, "must be bytes [experts, rows, packed columns] with scales");
    *w = (lmn_packbits){.q = t->data,
                        .rows = t->dims[0] * t->dims[1],
                        .cols = t->dims[2] * 8 / bits,
                        .bits = (int32_t)bits,
                        .row_bytes = t->dims[2]};
    w->block = block > 0 ? block : lmn_max_i64(1, w->cols);
    w->n_blocks = (w->cols + w->block - 1) / w->block;
    if (w->block * bits % 8 != 0 || lmn_count(scales) != w->rows * w->n_blocks)
        return bad(ec, i + 1, "the scales do not fit the weights");
    LMN_TRY(lmn_f32_in(ec, scales, &w->scales));
    LMN_TRY(zero_points(ec, ZERO_POINTS + k, w, t->dims[1], block > 0));
    *l = (lmn_moe_layer){packed_row, w, t->dims[1], w->cols, lmn_in(ec, i + 2)};
    return LAMINA_OK;
}

static lamina_status eval_qmoe(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    lmn_moe m = {.mix = lmn_in(ec, MIX), .among_chosen = true};
    lmn_packbits w[3];
    LMN_TRY(layer(ec, FC1, 0, &w[0], &m.fc1));
    LMN_TRY(layer(ec, FC2, 1, &w[1], &m.fc2));
    LMN_TRY(layer(ec, FC3, 2, &w[2], &m.fc3));
    return lmn_moe_run(ec, &m);
}

#define REAL (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
#define BYTES (LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_F8E4M3FN))
#define SCALES (REAL | LMN_DBIT(LAMINA_F8E8M0) | LMN_DBIT(LAMINA_F8E4M3FN))
#define F32 LMN_DBIT(LAMINA_F32)
#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"input", 'T', 0, REAL},
                              {"router_probs", 'T', 0, REAL},
                              {"fc1_experts_weights", 0, 0, BYTES},
                              {"fc1_scales", 0, OPT, SCALES},
                              {"fc1_experts_bias", 'T', OPT, REAL},
                              {"fc2_experts_weights", 0, 0, BYTES},
                              {"fc2_scales", 0, OPT, SCALES},
                              {"fc2_experts_bias", 'T', OPT, REAL},
                              {"fc3_experts_weights", 0, OPT, BYTES},
                              {"fc3_scales", 0, OPT, SCALES},
                              {"fc3_experts_bias", 'T', OPT, REAL},
                              {"fc1_zero_points", 0, OPT, BYTES},
                              {"fc2_zero_points", 0, OPT, BYTES},
                              {"fc3_zero_points", 0, OPT, BYTES},
                              {"router_weights", 'T', OPT, REAL},
                              {"fc1_global_scale", 0, OPT, F32},
                              {"fc2_global_scale", 0, OPT, F32},
                              {"fc1_act_scale", 0, OPT, F32},
                              {"fc2_act_scale", 0, OPT, F32},
                              {"fc1_act_block_scale", 0, OPT, SCALES},
                              {"fc2_act_block_scale", 0, OPT, SCALES},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_MOE_ATTRS,
                                        {"accuracy_level", LMN_ATTR_INT, 0},
                                        {"block_size", LMN_ATTR_INT, 0},
                                        {"expert_weight_bits", LMN_ATTR_INT, 0},
                                        {"fc1_expert_weight_bits", LMN_ATTR_INT, 0},
                                        {"fc2_expert_weight_bits", LMN_ATTR_INT, 0},
                                        {"fc3_expert_weight_bits", LMN_ATTR_INT, 0},
                                        {"quant_type", LMN_ATTR_STRING, 0},
                                        {"weights_prepacked", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_MsQMoE = {
    .domain = "com.microsoft",
    .name = "QMoE",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_qmoe,
    .eval = eval_qmoe,
    .cost = lmn_moe_cost,
};
