/*
 * GroupNorm (com.microsoft, since 1): GroupNormalization with scale and shift a channel, channels
 * last unless channels_last is 0, then Swish where activation is 1.
 */
#include "ops/msnorm.h"

static lamina_status canon_groupnorm(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    m.out[0] = lmn_map_group_norm(&m, lmn_map_in(&m, 0));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT}, {"gamma", 'M', 0, LMN_D_FLOAT}, {"beta", 'M', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"activation", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"channels_last", LMN_ATTR_INT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"groups", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {0}};

LMN_MS_MAPPED(GroupNorm, canon_groupnorm);
