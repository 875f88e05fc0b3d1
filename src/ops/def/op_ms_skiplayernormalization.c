/*
 * SkipLayerNormalization (com.microsoft, since 1): LayerNormalization of input + skip + bias over
 * the last axis; the sum is output 3. The skip may lack the batch axis.
 */
#include "ops/msnorm.h"

static lamina_status canon_skiplayernormalization(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_ref sum = lmn_map_add(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    sum = lmn_map_add(&m, sum, lmn_map_in(&m, 4));
    lmn_map_layer_norm(&m, sum, lmn_map_in(&m, 2), lmn_map_in(&m, 3),
                       lmn_attr_f(c->node, "epsilon", 1e-12f), m.out, c->n_out < 3 ? c->n_out : 3);
    m.out[3] = sum;
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"skip", 'T', 0, LMN_D_FLOAT},
                              {"gamma", 'T', 0, LMN_D_FLOAT},
                              {"beta", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"bias", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT},
                               {"mean", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                               {"inv_std_var", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                               {"input_skip_bias_sum", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"epsilon", LMN_ATTR_FLOAT, 0}, {0}};

LMN_MS_MAPPED(SkipLayerNormalization, canon_skiplayernormalization);
