/*
 * QBlockMatMul (lamina, since 1): QLinearMatMul whose second operand has a scale and zero point for
 * every block of `block_size` rows of a column: b [K, N], b_scale and b_zero_point [blocks, N].
 * What the pass `qdq` makes of a quantised value times weights quantised by blocks; the parts are
 * DequantizeLinear of both, MatMul, QuantizeLinear.
 */
#include "ops/mapeval.h"

static lamina_status canon_qblockmatmul(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_attr blocks[2] = {lmn_map_i("axis", 0),
                                lmn_map_i("block_size", lmn_attr_i(c->node, "block_size", 0))};
    const lmn_ref a =
        lmn_map_dequantize(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1), lmn_map_in(&m, 2));
    const lmn_ref in[3] = {lmn_map_in(&m, 3), lmn_map_in(&m, 4), lmn_map_in(&m, 5)};
    const lmn_ref b = lmn_map_node(&m, "DequantizeLinear", in, 3, blocks, 2);
    const lmn_ref y = lmn_map_bin(&m, "MatMul", a, b);
    m.out[0] = lmn_map_quantize(&m, y, lmn_map_in(&m, 6), lmn_map_in(&m, 7), LAMINA_DTYPE_NONE);
    return lmn_map_end(&m);
}

#define WEIGHTS (LMN_D_8BIT | LMN_DBIT(LAMINA_I4) | LMN_DBIT(LAMINA_U4))
static const lmn_port IN[] = {{"a", 'A', 0, LMN_D_8BIT},
                              {"a_scale", 0, 0, LMN_D_F32},
                              {"a_zero_point", 'A', 0, LMN_D_8BIT},
                              {"b", 'B', 0, WEIGHTS},
                              {"b_scale", 0, 0, LMN_D_F32},
                              {"b_zero_point", 'B', LMN_PORT_OPTIONAL, WEIGHTS},
                              {"y_scale", 0, 0, LMN_D_F32},
                              {"y_zero_point", 'C', 0, LMN_D_8BIT},
                              {0}};
static const lmn_port OUT[] = {{"y", 'C', 0, LMN_D_8BIT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"block_size", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_QBlockMatMul = {
    .domain = "lamina",
    .name = "QBlockMatMul",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_qblockmatmul,
};
