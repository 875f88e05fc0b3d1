/*
 * MoE (com.microsoft, since 1): a mixture of experts with float weights, fc1 [E, inner, hidden] and
 * fc2 [E, hidden, inner]; a third layer multiplies the activated first. Routing and activations:
 * ops/moe.h.
 */
#include "ops/moe.h"
#include "ops/wide.h"

typedef struct floats {
    const float *w;
    int64_t cols;
} floats;

static void float_row(const void *ctx, int64_t row, float *dst)
{
    const floats *f = ctx;
    for (int64_t i = 0; i < f->cols; i++) dst[i] = f->w[row * f->cols + i];
}

static lamina_status layer(lmn_eval *ec, int32_t i, floats *f, lmn_moe_layer *l)
{
    const lamina_tensor *t = lmn_in(ec, i), *router = lmn_in(ec, 1);
    if (!t) return LAMINA_OK;
    if (t->rank != 3 || router->rank != 2 || t->dims[0] != router->dims[1])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d must be [experts, rows, columns]", i);
    LMN_TRY(lmn_f32_in(ec, t, &f->w));
    f->cols = t->dims[2];
    *l = (lmn_moe_layer){float_row, f, t->dims[1], t->dims[2], lmn_in(ec, i + 1)};
    return LAMINA_OK;
}

static lamina_status eval_moe(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    lmn_moe m = {0};
    floats f[3];
    LMN_TRY(layer(ec, 2, &f[0], &m.fc1));
    LMN_TRY(layer(ec, 4, &f[1], &m.fc2));
    LMN_TRY(layer(ec, 6, &f[2], &m.fc3));
    return lmn_moe_run(ec, &m);
}

#define REAL (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"input", 'T', 0, REAL},
                              {"router_probs", 'T', 0, REAL},
                              {"fc1_experts_weights", 'T', 0, REAL},
                              {"fc1_experts_bias", 'T', OPT, REAL},
                              {"fc2_experts_weights", 'T', 0, REAL},
                              {"fc2_experts_bias", 'T', OPT, REAL},
                              {"fc3_experts_weights", 'T', OPT, REAL},
                              {"fc3_experts_bias", 'T', OPT, REAL},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_MOE_ATTRS, {0}};

const lmn_op_def lmn_op_MsMoE = {
    .domain = "com.microsoft",
    .name = "MoE",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_moe_infer,
    .eval = eval_moe,
    .cost = lmn_moe_cost,
};
