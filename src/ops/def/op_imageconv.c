/*
 * ImageConv (lamina, since 1): Conv of bf16 images whose channels come last by f32 weights
 * [M, C / group, k...] and bias, x / (1 + e^-x) of that where `silu` is set, plus a residual Z,
 * between lo and hi; rounded once. Weights may
 * be rounded to bf16 as well.
 */
#include "ops/convcore.h"
#include "ops/mapeval.h"
#include "ops/mslinear.h"

static lamina_status canon_imageconv(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[LMN_MS_CONV_ATTR_COUNT];
    const int32_t rank = lmn_map_rank(&m, lmn_map_in(&m, 1), "the weights");
    const lmn_ref x = lmn_map_cast(&m, lmn_map_in(&m, 0), LAMINA_F32);
    const lmn_ref in[3] = {lmn_map_to_nchw(&m, x, rank), lmn_map_in(&m, 1), lmn_map_in(&m, 2)};
    lmn_ref y = lmn_map_node(&m, "Conv", in, 3, attrs, lmn_map_conv_attrs(&m, attrs));
    y = lmn_map_to_nhwc(&m, y, rank);
    if (lmn_attr_i(c->node, "silu", 0)) y = lmn_map_node(&m, "Swish", &y, 1, NULL, 0);
    if (lmn_map_in(&m, 3)) y = lmn_map_add(&m, y, lmn_map_cast(&m, lmn_map_in(&m, 3), LAMINA_F32));
    if (lmn_attr_find(c->node, "lo") || lmn_attr_find(c->node, "hi")) {
        const lmn_ref clip[3] = {
            y, lmn_map_scalar(&m, LAMINA_F32, (double)lmn_attr_f(c->node, "lo", -__builtin_inff())),
            lmn_map_scalar(&m, LAMINA_F32, (double)lmn_attr_f(c->node, "hi", __builtin_inff()))};
        y = lmn_map_node(&m, "Clip", clip, 3, NULL, 0);
    }
    m.out[0] = lmn_map_cast(&m, y, LAMINA_BF16);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_DBIT(LAMINA_BF16)},
                              {"W", 0, 0, LMN_D_F32},
                              {"B", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {"Z", 'T', LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_BF16)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_DBIT(LAMINA_BF16)}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS,
                                        {"hi", LMN_ATTR_FLOAT, 0},
                                        {"lo", LMN_ATTR_FLOAT, 0},
                                        {"silu", LMN_ATTR_INT, 0},
                                        {0}};

static void cost_imageconv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                           lmn_cost *c)
{
    lmn_conv_cost(n, in, 1, &out[0], c);
}

const lmn_op_def lmn_op_ImageConv = {
    .domain = "lamina",
    .name = "ImageConv",
    .since = 1,
    .flags = LMN_OP_INPLACE_LAST, /* a residual */
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_imageconv,
    .cost = cost_imageconv,
};
