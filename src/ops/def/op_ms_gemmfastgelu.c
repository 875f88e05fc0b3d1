/*
 * GemmFastGelu (com.microsoft, since 1): the tanh form of Gelu of X W + bias.
 */
#include "ops/msmap.h"

static lamina_status canon_gemmfastgelu(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_attr by_tanh = lmn_map_s("approximate", "tanh");
    const lmn_ref product = lmn_map_bin(&m, "MatMul", lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    const lmn_ref sum = lmn_map_add(&m, product, lmn_map_in(&m, 2));
    m.out[0] = lmn_map_node(&m, "Gelu", &sum, 1, &by_tanh, 1);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', 0, LMN_D_FLOAT},
                              {"bias", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(GemmFastGelu, canon_gemmfastgelu);
