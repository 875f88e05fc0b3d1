/*
 * QLinearConv (com.microsoft, since 1): ai.onnx QLinearConv; the channels of x and y may come last,
 * the weights stay [M, C / group, k...].
 */
#include "ops/convcore.h"
#include "ops/mapeval.h"
#include "ops/mslinear.h"

static lamina_status canon_qlinearconv(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const bool last = lmn_attr_i(c->node, "channels_last", 0) != 0;
    lmn_attr attrs[LMN_MS_CONV_ATTR_COUNT];
    lmn_ref in[9];
    int32_t rank = 0;
    for (int32_t i = 0; i < 9; i++) in[i] = lmn_map_in(&m, i);
    if (last) {
        rank = lmn_map_rank(&m, in[3], "the weights");
        in[0] = lmn_map_to_nchw(&m, in[0], rank);
    }
    const lmn_ref y = lmn_map_node(&m, "QLinearConv", in, 9, attrs, lmn_map_conv_attrs(&m, attrs));
    m.out[0] = last ? lmn_map_to_nhwc(&m, y, rank) : y;
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"x", 'A', 0, LMN_D_8BIT},
                              {"x_scale", 0, 0, LMN_D_F32},
                              {"x_zero_point", 'A', 0, LMN_D_8BIT},
                              {"w", 'B', 0, LMN_D_8BIT},
                              {"w_scale", 0, 0, LMN_D_F32},
                              {"w_zero_point", 'B', 0, LMN_D_8BIT},
                              {"y_scale", 0, 0, LMN_D_F32},
                              {"y_zero_point", 'C', 0, LMN_D_8BIT},
                              {"B", 0, LMN_PORT_OPTIONAL, LMN_D_I32},
                              {0}};
static const lmn_port OUT[] = {{"y", 'C', 0, LMN_D_8BIT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS, {"channels_last", LMN_ATTR_INT, 0}, {0}};

static void cost_qlinearconv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                             lmn_cost *c)
{
    lmn_conv_cost(n, in, 3, &out[0], c);
}

const lmn_op_def lmn_op_MsQLinearConv = {
    .domain = LMN_MS,
    .name = "QLinearConv",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_qlinearconv,
    .cost = cost_qlinearconv,
};
