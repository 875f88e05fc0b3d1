/*
 * Scaler (ai.onnx.ml, since 1): (x - offset) * scale, one pair for all elements or one a feature.
 */
#include "ops/f64io.h"
#include "ops/ml.h"
#include "ops/wide.h"

static lamina_status eval_scaler(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const lmn_ml_list offset = lmn_ml_list_of(ec->node, NULL, NULL, "offset", NULL);
    const lmn_ml_list scale = lmn_ml_list_of(ec->node, NULL, NULL, "scale", NULL);
    const int64_t width = x->rank > 0 ? x->dims[x->rank - 1] : 1;
    double *o, *s;
    lamina_tensor *y;
    LMN_TRY(lmn_ml_values(ec, &offset, offset.n == 1 ? 1 : width, 0.0, &o));
    LMN_TRY(lmn_ml_values(ec, &scale, scale.n == 1 ? 1 : width, 1.0, &s));
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    for (int64_t i = 0; y && i < lmn_count(x); i++) {
        const int64_t f = i % width;
        lmn_set_f64(y, i, (lmn_get_f64(x, i) - o[offset.n == 1 ? 0 : f]) * s[scale.n == 1 ? 0 : f]);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"offset", LMN_ATTR_FLOATS, 0}, {"scale", LMN_ATTR_FLOATS, 0}, {0}};

const lmn_op_def lmn_op_Scaler = {
    .name = "Scaler",
    .domain = "ai.onnx.ml",
    .since = 1,
    .flags = LMN_OP_SAME,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_scaler,
};
