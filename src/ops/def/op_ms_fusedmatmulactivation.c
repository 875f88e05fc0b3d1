/*
 * FusedMatMulActivation (com.microsoft, since 1): FusedMatMul and an activation.
 */
#include "ops/mslinear.h"

static lamina_status canon_fusedmatmulactivation(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref y = lmn_map_matmul(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    m.out[0] = lmn_map_named_activation(&m, y);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_FLOAT}, {"B", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_MS_MATMUL_ATTRS,
                                        {"activation", LMN_ATTR_STRING, LMN_ATTR_REQUIRED},
                                        {"activation_alpha", LMN_ATTR_FLOAT, 0},
                                        {"activation_axis", LMN_ATTR_INT, 0},
                                        {"activation_beta", LMN_ATTR_FLOAT, 0},
                                        {"activation_gamma", LMN_ATTR_FLOAT, 0},
                                        {0}};

LMN_MS_MAPPED(FusedMatMulActivation, canon_fusedmatmulactivation);
