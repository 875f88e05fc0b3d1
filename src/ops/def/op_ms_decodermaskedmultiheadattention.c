/*
 * DecoderMaskedMultiHeadAttention (com.microsoft, since 1): MultiHeadAttention of one new token,
 * its inputs in another order. Beams (cache_indirection) are not supported.
 */
#include "ops/msmap.h"

static lamina_status canon_decodermaskedmultiheadattention(lmn_canon *c)
{
    static const char *const OWN[] = {"mask_filter_value", "num_heads", "scale", NULL};
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[3];
    if (lmn_map_in(&m, 9))
        (void)lmn_map_fail(&m, LAMINA_E_UNSUPPORTED, NULL,
                           "cache_indirection (beams) is not supported");
    const lmn_ref in[9] = {lmn_map_in(&m, 0),  lmn_map_in(&m, 1), lmn_map_in(&m, 2),
                           lmn_map_in(&m, 10), lmn_map_in(&m, 3), lmn_map_in(&m, 4),
                           lmn_map_in(&m, 5),  lmn_map_in(&m, 6), lmn_map_in(&m, 7)};
    lmn_map_nodes(&m, "com.microsoft:MultiHeadAttention", in, 9, attrs,
                  lmn_map_copy(&m, OWN, attrs), m.out, c->n_out < 4 ? c->n_out : 4);
    return lmn_map_end(&m);
}

#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"query", 'T', 0, LMN_D_FLOAT},
                              {"key", 'T', OPT, LMN_D_FLOAT},
                              {"value", 'T', OPT, LMN_D_FLOAT},
                              {"mask_index", 0, OPT, LMN_D_I32},
                              {"attention_bias", 'T', OPT, LMN_D_FLOAT},
                              {"past_key", 'T', OPT, LMN_D_FLOAT},
                              {"past_value", 'T', OPT, LMN_D_FLOAT},
                              {"past_sequence_length", 0, OPT, LMN_D_I32},
                              {"beam_width", 0, OPT, LMN_D_I32},
                              {"cache_indirection", 0, OPT, LMN_D_I32},
                              {"bias", 'T', OPT, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT},
                               {"present_key", 'T', OPT, LMN_D_FLOAT},
                               {"present_value", 'T', OPT, LMN_D_FLOAT},
                               {"qk", 'T', OPT, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"mask_filter_value", LMN_ATTR_FLOAT, 0},
                                        {"num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"output_qk", LMN_ATTR_INT, 0},
                                        {"past_present_share_buffer", LMN_ATTR_INT, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {0}};

LMN_MS_MAPPED(DecoderMaskedMultiHeadAttention, canon_decodermaskedmultiheadattention);
