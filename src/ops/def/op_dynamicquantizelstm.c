/*
 * DynamicQuantizeLSTM (com.microsoft, since 1): an LSTM whose weights are int8 or uint8,
 * input-major [directions, in, 4 hidden], with a scale and zero point per direction or per column.
 * Rewritten at import to LSTM on the weights these stand for. Activations stay f32: other engines
 * round them to 8 bits as well, so their results differ by that rounding.
 */
#include "ops/op.h"

static lmn_ref apply(const lmn_canon *c, const char *op, lmn_ref x, lmn_ref y, const lmn_attr *a)
{
    const lmn_ref in[2] = {x, y};
    lmn_ref out = 0;
    return x && c->b->node(c->b->ctx, op, in, y ? 2 : 1, a, a ? 1 : 0, &out, 1) ? out : 0;
}

static lmn_ref to_f32(const lmn_canon *c, lmn_ref x)
{
    const lmn_attr to = {.name = "to", .type = LMN_ATTR_INT, .n = 1, .u.i = LAMINA_F32};
    return apply(c, "Cast", x, 0, &to);
}

/* [D] as [D, 1, 1], [D, 4H] as [D, 1, 4H]. */
static lmn_ref beside_weights(const lmn_canon *c, lmn_ref x)
{
    static const int64_t AXES[2] = {1, 2};
    const int32_t rank = c->b->fact(c->b->ctx, x)->rank;
    if (rank != 1 && rank != 2) return 0;
    const int64_t n = 3 - rank;
    return apply(c, "Unsqueeze", x, c->b->constant(c->b->ctx, LAMINA_I64, 1, &n, AXES), NULL);
}

/* Weights in input w with scale in s and zero point in s + 1, gate-major as LSTM takes them. */
static lmn_ref weights(const lmn_canon *c, int32_t w, int32_t s)
{
    static const int64_t PERM[3] = {0, 2, 1};
    const lmn_attr perm = {.name = "perm", .type = LMN_ATTR_INTS, .n = 3, .u.ints = PERM};
    const lmn_ref scale = beside_weights(c, c->in[s]);
    const lmn_ref zero = c->in[s + 1] ? beside_weights(c, to_f32(c, c->in[s + 1])) : 0;
    lmn_ref x = to_f32(c, c->in[w]);
    if (c->in[s + 1]) x = zero ? apply(c, "Sub", x, zero, NULL) : 0;
    x = scale ? apply(c, "Mul", x, scale, NULL) : 0;
    return apply(c, "Transpose", x, 0, &perm);
}

static lamina_status canon_dynamicquantizelstm(lmn_canon *c)
{
    if (c->n_in != 12 || !c->in[1] || !c->in[2] || !c->in[8] || !c->in[10])
        return lmn_canon_fail(c, LAMINA_E_INVALID, NULL,
                              "12 inputs are needed, weights and scales among them");
    c->in[1] = weights(c, 1, 8);
    c->in[2] = weights(c, 2, 10);
    if (!c->in[1] || !c->in[2])
        return lmn_canon_fail(c, LAMINA_E_SHAPE, NULL,
                              "scales need one value per direction, or per direction and column");
    c->n_in = 8;
    c->op = "LSTM";
    return LAMINA_OK;
}

#define T_F32 LMN_DBIT(LAMINA_F32)
#define T_8 (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8))
static const lmn_port IN[] = {{"X", 0, 0, T_F32},
                              {"W", 0, 0, T_8},
                              {"R", 0, 0, T_8},
                              {"B", 0, LMN_PORT_OPTIONAL, T_F32},
                              {"sequence_lens", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I32)},
                              {"initial_h", 0, LMN_PORT_OPTIONAL, T_F32},
                              {"initial_c", 0, LMN_PORT_OPTIONAL, T_F32},
                              {"P", 0, LMN_PORT_OPTIONAL, T_F32},
                              {"W_scale", 0, 0, T_F32},
                              {"W_zero_point", 0, LMN_PORT_OPTIONAL, T_8},
                              {"R_scale", 0, 0, T_F32},
                              {"R_zero_point", 0, LMN_PORT_OPTIONAL, T_8},
                              {0}};
static const lmn_port OUT[] = {{"Y", 0, LMN_PORT_OPTIONAL, T_F32},
                               {"Y_h", 0, LMN_PORT_OPTIONAL, T_F32},
                               {"Y_c", 0, LMN_PORT_OPTIONAL, T_F32},
                               {0}};
static const lmn_attr_schema ATTRS[] = {
    {"activation_alpha", LMN_ATTR_FLOATS, 0}, {"activation_beta", LMN_ATTR_FLOATS, 0},
    {"activations", LMN_ATTR_STRINGS, 0},     {"clip", LMN_ATTR_FLOAT, 0},
    {"direction", LMN_ATTR_STRING, 0},        {"hidden_size", LMN_ATTR_INT, 0},
    {"input_forget", LMN_ATTR_INT, 0},        {0}};

const lmn_op_def lmn_op_DynamicQuantizeLSTM = {
    .name = "DynamicQuantizeLSTM",
    .domain = "com.microsoft",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .canon = canon_dynamicquantizelstm,
};
