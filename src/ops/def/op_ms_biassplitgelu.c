/*
 * BiasSplitGelu (com.microsoft, since 1): the left half of X + bias times Gelu of its right half.
 */
#include "ops/msmap.h"

static lamina_status canon_biassplitgelu(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_attr halves[2] = {lmn_map_i("axis", -1), lmn_map_i("num_outputs", 2)};
    const lmn_ref sum = lmn_map_add(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    lmn_ref half[2];
    lmn_map_nodes(&m, "Split", &sum, 1, halves, 2, half, 2);
    m.out[0] = lmn_map_bin(&m, "Mul", half[0], lmn_map_un(&m, "Gelu", half[1]));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {"bias", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(BiasSplitGelu, canon_biassplitgelu);
