/*
 * SkipGroupNorm (com.microsoft, since 1): GroupNorm of X + skip + bias; the sum is output 1. The
 * skip may have one pixel or only channels.
 */
#include "ops/msnorm.h"

static lamina_status canon_skipgroupnorm(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    static const int64_t LAST[2] = {1, 2}, FIRST[2] = {2, 3};
    const bool last = lmn_attr_i(c->node, "channels_last", 1) != 0;
    lmn_ref skip = lmn_map_in(&m, 3), bias = lmn_map_in(&m, 4);
    if (lmn_map_rank(&m, skip, "the skip") == 2)
        skip = lmn_map_bin(&m, "Unsqueeze", skip, lmn_map_i64s(&m, last ? LAST : FIRST, 2));
    if (bias && !last) bias = lmn_map_bin(&m, "Unsqueeze", bias, lmn_map_i64s(&m, LAST, 2));
    lmn_ref sum = lmn_map_add(&m, lmn_map_in(&m, 0), skip);
    sum = lmn_map_add(&m, sum, bias);
    m.out[0] = lmn_map_group_norm(&m, sum);
    m.out[1] = sum;
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"gamma", 'M', 0, LMN_D_FLOAT},
                              {"beta", 'M', 0, LMN_D_FLOAT},
                              {"skip", 'T', 0, LMN_D_FLOAT},
                              {"bias", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {
    {"Y", 'T', 0, LMN_D_FLOAT}, {"S", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"activation", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"channels_last", LMN_ATTR_INT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"groups", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {0}};

LMN_MS_MAPPED(SkipGroupNorm, canon_skipgroupnorm);
