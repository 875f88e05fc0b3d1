/*
 * ShortLayerNorm (lamina, since 1): LayerNormalization of f32 along the last axes, rounded to bf16;
 * output 1, where it is wanted, is the same before rounding.
 */
#include "ops/mapeval.h"

static lamina_status canon_shortlayernorm(lmn_canon *c)
{
    static const char *const NAMES[] = {"axis", "epsilon", NULL};
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[2];
    const lmn_ref in[3] = {lmn_map_in(&m, 0), lmn_map_in(&m, 1), lmn_map_in(&m, 2)};
    const int32_t n_attrs = lmn_map_copy(&m, NAMES, attrs);
    m.out[1] = lmn_map_node(&m, "LayerNormalization", in, in[2] ? 3 : 2, attrs, n_attrs);
    m.out[0] = lmn_map_cast(&m, m.out[1], LAMINA_BF16);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_F32},
                              {"Scale", 0, 0, LMN_D_F32},
                              {"B", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {0}};
static const lmn_port OUT[] = {
    {"S", 0, 0, LMN_DBIT(LAMINA_BF16)}, {"Y", 0, LMN_PORT_OPTIONAL, LMN_D_F32}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"epsilon", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_ShortLayerNorm = {
    .domain = "lamina",
    .name = "ShortLayerNorm",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_shortlayernorm,
};
