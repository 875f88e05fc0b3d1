/*
 * RandomUniformLike (ai.onnx, since 1): RandomUniform in the shape of the input; type by attribute
 * dtype, else that of a float input, else float32.
 */
#include "ops/random.h"

static lamina_status eval_randomuniformlike(lmn_eval *ec)
{
    const lamina_tensor *x;
    LMN_TRY(lmn_need(ec, 0, &x));
    return lmn_random_uniform(ec, lmn_random_like_dtype(ec->node, x->dtype), x->rank, x->dims);
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dtype", LMN_ATTR_INT, 0},
                                        {"high", LMN_ATTR_FLOAT, 0},
                                        {"low", LMN_ATTR_FLOAT, 0},
                                        {"seed", LMN_ATTR_FLOAT, 0},
                                        {0}};

const lmn_op_def lmn_op_RandomUniformLike = {
    .name = "RandomUniformLike",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_RANDOM,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_random_infer_like,
    .eval = eval_randomuniformlike,
};
