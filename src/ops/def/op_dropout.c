/*
 * Dropout (ai.onnx, since 1; ratio and training_mode as inputs since 12): the input itself outside
 * training; in training each element is kept with probability 1 - ratio and scaled by 1 / (1 -
 * ratio). The mask tells what was kept: all true outside training.
 */
#include "ops/random.h"
#include "ops/wide.h"

#include <string.h>

static lamina_status infer_dropout(lmn_infer *ic)
{
    lmn_infer_same(ic, 0, 0);
    if (ic->node->n_out > 1) {
        lmn_infer_same(ic, 1, 0);
        ic->out[1].dtype = LAMINA_BOOL;
    }
    return LAMINA_OK;
}

static lamina_status pass(lmn_eval *ec, const lamina_tensor *x)
{
    lamina_tensor *mask;
    LMN_TRY(lmn_out(ec, 1, LAMINA_BOOL, x->rank, x->dims, &mask));
    if (mask && mask->data_bytes) memset(mask->data, 1, mask->data_bytes);
    return lmn_out_alias(ec, 0, 0, x->rank, x->dims);
}

static lamina_status eval_dropout(lmn_eval *ec)
{
    const lamina_tensor *x, *ratio_in = lmn_in(ec, 1);
    lamina_tensor *y, *mask;
    int64_t training;
    lmn_rng r;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_int(ec, 2, 0, &training));
    if (ratio_in && (lmn_count(ratio_in) != 1 || ratio_in->dtype == LAMINA_STRING))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "ratio must be one number");
    const double ratio = ratio_in ? lmn_get_f64(ratio_in, 0) : 0.5;
    if (!training || ratio == 0) return pass(ec, x);
    if (!(ratio > 0 && ratio < 1))
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "ratio %g is outside [0, 1)", ratio);
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_BOOL, x->rank, x->dims, &mask));
    lmn_random_begin(ec, &r);
    const int64_t n = lmn_count(x);
    for (int64_t i = 0; i < n; i++) {
        const bool keep = lmn_rng_f64(&r) >= ratio;
        if (y) lmn_set_f64(y, i, keep ? lmn_get_f64(x, i) / (1 - ratio) : 0);
        if (mask) ((uint8_t *)mask->data)[i] = keep;
    }
    return LAMINA_OK;
}

/* Before opset 10 the mask had the type of the data. */
static lamina_status cast_mask(lmn_canon *c)
{
    const lmn_fact *x = c->b->fact(c->b->ctx, c->in[0]);
    lmn_attr seed[1];
    lmn_ref outs[2], cast;
    int32_t n = 0;
    for (int32_t i = 0; i < c->n_attrs && n < 1; i++)
        if (strcmp(c->attrs[i].name, "seed") == 0) seed[n++] = c->attrs[i];
    const lmn_attr to = {
        .name = "to", .type = LMN_ATTR_INT, .n = 1, .u.i = x && x->dtype ? x->dtype : LAMINA_F32};
    if (!c->b->node(c->b->ctx, "Dropout", c->in, c->n_in, seed, n, outs, 2) ||
        !c->b->node(c->b->ctx, "Cast", &outs[1], 1, &to, 1, &cast, 1))
        return LAMINA_E_NOMEM;
    c->out[0] = outs[0];
    c->out[1] = cast;
    c->replaced = true;
    return LAMINA_OK;
}

static lamina_status canon_dropout(lmn_canon *c)
{
    static const uint8_t YES = 1;
    if (c->opset >= 12) return LAMINA_OK;
    const float ratio = lmn_attr_f(c->node, "ratio", 0.5f);
    const bool training = c->opset < 7 && lmn_attr_i(c->node, "is_test", 0) == 0;
    lmn_canon_drop_attr(c, "ratio");
    lmn_canon_drop_attr(c, "is_test");
    lmn_canon_drop_attr(c, "consumed_inputs");
    if (!lmn_canon_in_f32(c, 1, ratio)) return LAMINA_E_NOMEM;
    if (training && !lmn_canon_set_in(c, 2, c->b->constant(c->b->ctx, LAMINA_BOOL, 0, NULL, &YES)))
        return LAMINA_E_NOMEM;
    return c->opset < 10 && c->n_out > 1 ? cast_mask(c) : LAMINA_OK;
}

#define TYPES (LMN_D_FLOAT | LMN_D_FP8)
static const lmn_port IN[] = {{"data", 'T', 0, TYPES},
                              {"ratio", 0, LMN_PORT_OPTIONAL, TYPES},
                              {"training_mode", 0, LMN_PORT_OPTIONAL, LMN_D_BOOL},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, TYPES}, {"mask", 0, LMN_PORT_OPTIONAL, LMN_D_BOOL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"seed", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Dropout = {
    .name = "Dropout",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_RANDOM,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_dropout,
    .eval = eval_dropout,
    .canon = canon_dropout,
};
