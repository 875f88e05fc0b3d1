/*
 * SimplifiedLayerNormalization (since 1): what onnxruntime called RMSNormalization before the
 * standard had it. Its files carry it in the default domain, so it lives there.
 */
#include "ops/msnorm.h"

static lamina_status canon_simplifiedlayernormalization(lmn_canon *c)
{
    const float eps = lmn_attr_f(c->node, "epsilon", 1e-5f);
    const int64_t axis = lmn_attr_i(c->node, "axis", -1);
    lmn_map m = lmn_map_begin(c);
    m.out[0] = lmn_map_rms_norm(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1), axis, eps);
    if (c->n_out > 1) m.out[1] = lmn_map_inv_rms(&m, lmn_map_in(&m, 0), axis, eps);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {"scale", 'V', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {
    {"Y", 'V', 0, LMN_D_FLOAT}, {"inv_std_var", 0, LMN_PORT_OPTIONAL, LMN_D_F32}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"stash_type", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_SimplifiedLayerNormalization = {
    .domain = "",
    .name = "SimplifiedLayerNormalization",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .canon = canon_simplifiedlayernormalization,
};
