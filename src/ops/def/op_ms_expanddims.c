/*
 * ExpandDims (com.microsoft, since 1): Unsqueeze at one int32 axis.
 */
#include "ops/msmap.h"

static lamina_status canon_expanddims(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref axis = lmn_map_reshape(&m, lmn_map_in(&m, 1), (int64_t[]){1}, 1);
    m.out[0] = lmn_map_bin(&m, "Unsqueeze", lmn_map_in(&m, 0), lmn_map_cast(&m, axis, LAMINA_I64));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ALL}, {"axis", 0, 0, LMN_D_I32}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ALL}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(ExpandDims, canon_expanddims);
