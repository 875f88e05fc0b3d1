/*
 * GatedAdd (com.microsoft, since 1): X + Y * gate, the gate one value a row.
 */
#include "ops/msmap.h"

static lamina_status canon_gatedadd(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref gated = lmn_map_bin(&m, "Mul", lmn_map_in(&m, 1), lmn_map_in(&m, 2));
    m.out[0] = lmn_map_add(&m, lmn_map_in(&m, 0), gated);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT}, {"Y", 'T', 0, LMN_D_FLOAT}, {"gate", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(GatedAdd, canon_gatedadd);
