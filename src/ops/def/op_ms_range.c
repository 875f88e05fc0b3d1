/*
 * Range (com.microsoft, since 1): ai.onnx Range whose operands may have shape [1] and whose delta
 * defaults to 1.
 */
#include "ops/msmap.h"

static lmn_ref scalar(lmn_map *m, lmn_ref r)
{
    return lmn_map_fact(m, r)->rank == 0 ? r : lmn_map_reshape(m, r, NULL, 0);
}

static lamina_status canon_range(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_ref in[3];
    for (int32_t i = 0; i < 3; i++) in[i] = lmn_map_in(&m, i) ? scalar(&m, lmn_map_in(&m, i)) : 0;
    if (lmn_map_ok(&m) && !in[2]) in[2] = lmn_map_scalar(&m, lmn_map_fact(&m, in[0])->dtype, 1.0);
    m.out[0] = lmn_map_node(&m, "Range", in, 3, NULL, 0);
    return lmn_map_end(&m);
}

#define TYPES (LMN_D_F32 | LMN_DBIT(LAMINA_F64) | LMN_DBIT(LAMINA_I16) | LMN_D_I32 | LMN_D_I64)
static const lmn_port IN[] = {{"start", 'T', 0, TYPES},
                              {"limit", 'T', 0, TYPES},
                              {"delta", 'T', LMN_PORT_OPTIONAL, TYPES},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, TYPES}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(Range, canon_range);
