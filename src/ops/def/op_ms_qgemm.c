/*
 * QGemm (com.microsoft, since 1): Gemm of 8-bit tensors with an int32 C of scale alpha * a_scale *
 * b_scale; f32 out, or quantised by y_scale and y_zero_point where they are given.
 */
#include "ops/mapeval.h"
#include "ops/mslinear.h"

static lmn_ref matrix(lmn_map *m, int32_t i, const char *trans)
{
    static const int64_t SWAP[2] = {1, 0};
    const lmn_ref x = lmn_map_in(m, i);
    return lmn_attr_i(m->c->node, trans, 0) ? lmn_map_transpose(m, x, SWAP, 2) : x;
}

static lamina_status canon_qgemm(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const float alpha = lmn_attr_f(c->node, "alpha", 1.0f);
    const lmn_ref a = matrix(&m, 0, "transA"), b = matrix(&m, 3, "transB");
    lmn_ref acc = lmn_map_node(&m, "MatMulInteger",
                               (lmn_ref[]){a, b, lmn_map_in(&m, 2), lmn_map_in(&m, 5)}, 4, NULL, 0);
    acc = lmn_map_cast(&m, lmn_map_add(&m, acc, lmn_map_in(&m, 6)), LAMINA_F32);
    lmn_ref scale = lmn_map_bin(&m, "Mul", lmn_map_in(&m, 1), lmn_map_in(&m, 4));
    if (alpha != 1.0f)
        scale = lmn_map_bin(&m, "Mul", scale, lmn_map_scalar(&m, LAMINA_F32, (double)alpha));
    const lmn_ref y = lmn_map_bin(&m, "Mul", acc, scale);
    m.out[0] = lmn_map_in(&m, 7) ? lmn_map_quantize(&m, y, lmn_map_in(&m, 7), lmn_map_in(&m, 8),
                                                    lmn_map_fact(&m, lmn_map_in(&m, 0))->dtype)
                                 : y;
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'A', 0, LMN_D_8BIT},
                              {"a_scale", 0, 0, LMN_D_F32},
                              {"a_zero_point", 'A', 0, LMN_D_8BIT},
                              {"B", 'B', 0, LMN_D_8BIT},
                              {"b_scale", 0, 0, LMN_D_F32},
                              {"b_zero_point", 'B', 0, LMN_D_8BIT},
                              {"C", 0, LMN_PORT_OPTIONAL, LMN_D_I32},
                              {"y_scale", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {"y_zero_point", 0, LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_F32 | LMN_D_8BIT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"alpha", LMN_ATTR_FLOAT, 0}, {"transA", LMN_ATTR_INT, 0}, {"transB", LMN_ATTR_INT, 0}, {0}};

LMN_MS_WHOLE(QGemm, canon_qgemm);
