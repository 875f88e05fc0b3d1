/*
 * CausalConvWithState (com.microsoft, since 1): ai.onnx CausalConvWithState of one spatial axis,
 * channels first, undilated, with one state.
 */
#include "ops/msmap.h"

static lamina_status canon_causalconvwithstate(lmn_canon *c)
{
    static const char *const OWN[] = {"activation", NULL};
    const lmn_opnode *n = c->node;
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[1];
    if (lmn_attr_i(n, "ndim", 1) != 1 || lmn_attr_i(n, "dilation", 1) != 1 ||
        lmn_attr_i(n, "channels_last", 0) != 0 || lmn_attr_i(n, "state_window", 0) != 0)
        (void)lmn_map_fail(&m, LAMINA_E_UNSUPPORTED, NULL,
                           "only ndim 1, dilation 1, channels_last 0 and state_window 0 are "
                           "supported");
    lmn_map_nodes(&m, "CausalConvWithState", c->in, c->n_in, attrs, lmn_map_copy(&m, OWN, attrs),
                  m.out, 2);
    return lmn_map_end(&m);
}

#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"weight", 'T', 0, LMN_D_FLOAT},
                              {"bias", 'T', OPT, LMN_D_FLOAT},
                              {"past_state", 'T', OPT, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, LMN_D_FLOAT}, {"present_state", 'T', OPT, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"activation", LMN_ATTR_STRING, 0}, {"channels_last", LMN_ATTR_INT, 0},
    {"dilation", LMN_ATTR_INT, 0},      {"ndim", LMN_ATTR_INT, 0},
    {"state_window", LMN_ATTR_INT, 0},  {0}};

LMN_MS_MAPPED(CausalConvWithState, canon_causalconvwithstate);
