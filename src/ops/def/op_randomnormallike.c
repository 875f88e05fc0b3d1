/*
 * RandomNormalLike (ai.onnx, since 1): RandomNormal in the shape of the input; type by attribute
 * dtype, else that of a float input, else float32.
 */
#include "ops/random.h"

static lamina_status eval_randomnormallike(lmn_eval *ec)
{
    const lamina_tensor *x;
    LMN_TRY(lmn_need(ec, 0, &x));
    return lmn_random_normal(ec, lmn_random_like_dtype(ec->node, x->dtype), x->rank, x->dims);
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dtype", LMN_ATTR_INT, 0},
                                        {"mean", LMN_ATTR_FLOAT, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"seed", LMN_ATTR_FLOAT, 0},
                                        {0}};

const lmn_op_def lmn_op_RandomNormalLike = {
    .name = "RandomNormalLike",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_RANDOM,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_random_infer_like,
    .eval = eval_randomnormallike,
};
