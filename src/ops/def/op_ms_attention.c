/*
 * Attention (com.microsoft, since 1): the input projected by merged weights, then
 * MultiHeadAttention. The cache holds keys and values stacked, [2, B, N, length, H].
 */
#include "ops/msproject.h"

static lamina_status canon_attention(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const int64_t *sizes = NULL;
    if (lmn_attr_ints(c->node, "qkv_hidden_sizes", &sizes) != 3) sizes = NULL;
    if (lmn_map_in(&m, 6))
        (void)lmn_map_fail(&m, LAMINA_E_UNSUPPORTED, "give the cache its own length",
                           "a cache shared between past and present is not supported");
    const lmn_ref qkv = lmn_map_bin(&m, "MatMul", lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    const lmn_map_projected p = {.qkv = lmn_map_add(&m, qkv, lmn_map_in(&m, 2)),
                                 .mask = lmn_map_in(&m, 3),
                                 .past = lmn_map_in(&m, 4),
                                 .attention_bias = lmn_map_in(&m, 5),
                                 .sizes = sizes};
    lmn_map_project(&m, &p);
    return lmn_map_end(&m);
}

#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"weights", 'T', 0, LMN_D_FLOAT},
                              {"bias", 'T', OPT, LMN_D_FLOAT},
                              {"mask_index", 0, OPT, LMN_D_I32},
                              {"past", 'T', OPT, LMN_D_FLOAT},
                              {"attention_bias", 'T', OPT, LMN_D_FLOAT},
                              {"past_sequence_length", 0, OPT, LMN_D_I32},
                              {0}};
static const lmn_port OUT[] = {
    {"output", 'T', 0, LMN_D_FLOAT}, {"present", 'T', OPT, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"do_rotary", LMN_ATTR_INT, 0},
                                        {"mask_filter_value", LMN_ATTR_FLOAT, 0},
                                        {"num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"past_present_share_buffer", LMN_ATTR_INT, 0},
                                        {"qkv_hidden_sizes", LMN_ATTR_INTS, 0},
                                        {"rotary_embedding_dim", LMN_ATTR_INT, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"unidirectional", LMN_ATTR_INT, 0},
                                        {0}};

LMN_MS_MAPPED(Attention, canon_attention);
