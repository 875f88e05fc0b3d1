/*
 * BiasGelu (com.microsoft, since 1): Gelu of A + B.
 */
#include "ops/msmap.h"

static lamina_status canon_biasgelu(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref sum = lmn_map_add(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    m.out[0] = lmn_map_un(&m, "Gelu", sum);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_FLOAT}, {"B", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"C", 'T', 0, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(BiasGelu, canon_biasgelu);
