/*
 * FusedConv (com.microsoft, since 1): Conv, then + Z, then an activation.
 */
#include "ops/convgeom.h"
#include "ops/mslinear.h"

static lamina_status canon_fusedconv(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    m.out[0] = lmn_map_conv(&m, false);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"Z", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS,
                                        {"activation", LMN_ATTR_STRING, 0},
                                        {"activation_params", LMN_ATTR_FLOATS, 0},
                                        {0}};

LMN_MS_MAPPED(FusedConv, canon_fusedconv);
