/*
 * RandomUniform (ai.onnx, since 1): uniform numbers in [low, high) in attribute shape. Seeded by
 * attribute seed or by the run; equal for any number of threads.
 */
#include "ops/random.h"

static lamina_status eval_randomuniform(lmn_eval *ec)
{
    int64_t dims[LMN_MAX_RANK];
    int32_t rank;
    LMN_TRY(lmn_random_shape(ec, &rank, dims));
    return lmn_random_uniform(ec, lmn_attr_dtype(ec->node, "dtype", LAMINA_F32), rank, dims);
}

static const lmn_port IN[] = {{0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dtype", LMN_ATTR_INT, 0},
                                        {"high", LMN_ATTR_FLOAT, 0},
                                        {"low", LMN_ATTR_FLOAT, 0},
                                        {"seed", LMN_ATTR_FLOAT, 0},
                                        {"shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {0}};

const lmn_op_def lmn_op_RandomUniform = {
    .name = "RandomUniform",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_RANDOM,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_random_infer_shape,
    .eval = eval_randomuniform,
};
