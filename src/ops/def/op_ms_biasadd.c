/*
 * BiasAdd (com.microsoft, since 1): X + bias + skip.
 */
#include "ops/msmap.h"

static lamina_status canon_biasadd(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref sum = lmn_map_add(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    m.out[0] = lmn_map_add(&m, sum, lmn_map_in(&m, 2));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT}, {"bias", 'T', 0, LMN_D_FLOAT}, {"skip", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(BiasAdd, canon_biasadd);
