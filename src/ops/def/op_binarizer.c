/*
 * Binarizer (ai.onnx.ml, since 1): 1 where an element is greater than the threshold, else 0 (NaN
 * too).
 */
#include "ops/ml.h"
#include "ops/wide.h"

static lamina_status eval_binarizer(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const double threshold = lmn_attr_f(ec->node, "threshold", 0.0F);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    for (int64_t i = 0; y && i < lmn_count(x); i++)
        lmn_set_i64(y, i, lmn_get_f64(x, i) > threshold);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ML}, {0}};
static const lmn_attr_schema ATTRS[] = {{"threshold", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_Binarizer = {
    .name = "Binarizer",
    .domain = "ai.onnx.ml",
    .since = 1,
    .flags = LMN_OP_SAME,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_binarizer,
};
