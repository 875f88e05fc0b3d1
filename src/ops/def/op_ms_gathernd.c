/*
 * GatherND (com.microsoft, since 1): ai.onnx GatherND without batch axes; indices may be int32.
 */
#include "ops/msmap.h"

static lamina_status canon_gathernd(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref at = lmn_map_cast(&m, lmn_map_in(&m, 1), LAMINA_I64);
    m.out[0] = lmn_map_bin(&m, "GatherND", lmn_map_in(&m, 0), at);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL}, {"indices", 0, 0, LMN_D_I32 | LMN_D_I64}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(GatherND, canon_gathernd);
