/*
 * Pad (com.microsoft, since 1): ai.onnx Pad whose pads may have shape [1, 2 * rank] and whose value
 * may have shape [1].
 */
#include "ops/msmap.h"

static lamina_status canon_pad(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    static const char *const OWN[] = {"mode", NULL};
    lmn_attr attrs[1];
    const int32_t n = lmn_map_copy(&m, OWN, attrs);
    const lmn_ref pads = lmn_map_reshape(&m, lmn_map_in(&m, 1), (int64_t[]){-1}, 1);
    const lmn_ref value = lmn_map_in(&m, 2) ? lmn_map_reshape(&m, lmn_map_in(&m, 2), NULL, 0) : 0;
    m.out[0] = lmn_map_node(&m, "Pad", (lmn_ref[]){lmn_map_in(&m, 0), pads, value}, 3, attrs, n);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_FLOAT},
                              {"pads", 0, 0, LMN_D_I64},
                              {"value", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"mode", LMN_ATTR_STRING, 0}, {0}};

LMN_MS_MAPPED(Pad, canon_pad);
