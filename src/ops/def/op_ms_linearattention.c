/*
 * LinearAttention (com.microsoft, since 1): ai.onnx LinearAttention with one state.
 */
#include "ops/msmap.h"

static lamina_status canon_linearattention(lmn_canon *c)
{
    static const char *const OWN[] = {"chunk_size", "kv_num_heads", "q_num_heads",
                                      "scale",      "update_rule",  NULL};
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[5];
    if (lmn_attr_i(c->node, "state_window", 0) != 0)
        (void)lmn_map_fail(&m, LAMINA_E_UNSUPPORTED, NULL, "a window of states is not supported");
    lmn_map_nodes(&m, "LinearAttention", c->in, c->n_in, attrs, lmn_map_copy(&m, OWN, attrs), m.out,
                  2);
    return lmn_map_end(&m);
}

#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"query", 'T', 0, LMN_D_FLOAT},
                              {"key", 'T', 0, LMN_D_FLOAT},
                              {"value", 'T', 0, LMN_D_FLOAT},
                              {"past_state", 'S', OPT, LMN_D_FLOAT},
                              {"decay", 'T', OPT, LMN_D_FLOAT},
                              {"beta", 'T', OPT, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, LMN_D_FLOAT}, {"present_state", 'S', OPT, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"chunk_size", LMN_ATTR_INT, 0},
                                        {"kv_num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"q_num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"state_window", LMN_ATTR_INT, 0},
                                        {"update_rule", LMN_ATTR_STRING, 0},
                                        {0}};

LMN_MS_MAPPED(LinearAttention, canon_linearattention);
