/*
 * QEmbedLayerNormalization (com.microsoft, since 1): EmbedLayerNormalization whose tables, gamma
 * and beta are 8-bit. Constant tables are dequantised once, by folding.
 */
#include "ops/msnorm.h"

/* Input i with scale 8.. and zero point 13..: k counts the quantised tensors. */
static lmn_ref wide(lmn_map *m, lmn_ref x, int32_t k)
{
    return lmn_map_dequantize(m, x, lmn_map_in(m, 8 + k), lmn_map_in(m, 13 + k));
}

static lamina_status canon_qembedlayernormalization(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref segment = lmn_map_in(&m, 4);
    const lmn_map_embed e = {.ids = lmn_map_in(&m, 0),
                             .segment_ids = lmn_map_in(&m, 1),
                             .mask = lmn_map_in(&m, 7),
                             .word = wide(&m, lmn_map_in(&m, 2), 0),
                             .position = wide(&m, lmn_map_in(&m, 3), 1),
                             .segment = segment ? wide(&m, segment, 2) : 0};
    const lmn_ref sum = lmn_map_embed_sum(&m, &e);
    lmn_map_layer_norm(&m, sum, wide(&m, lmn_map_in(&m, 5), 3), wide(&m, lmn_map_in(&m, 6), 4),
                       lmn_attr_f(c->node, "epsilon", 1e-12f), m.out, 1);
    m.out[1] = lmn_map_mask_index(&m, &e);
    return lmn_map_end(&m);
}

#define OPT LMN_PORT_OPTIONAL
static const lmn_port IN[] = {{"input_ids", 0, 0, LMN_D_I32},
                              {"segment_ids", 0, OPT, LMN_D_I32},
                              {"word_embedding_quant", 'Q', 0, LMN_D_8BIT},
                              {"position_embedding_quant", 'Q', 0, LMN_D_8BIT},
                              {"segment_embedding", 'Q', OPT, LMN_D_8BIT},
                              {"gamma_quant", 'Q', 0, LMN_D_8BIT},
                              {"beta_quant", 'Q', 0, LMN_D_8BIT},
                              {"mask", 0, OPT, LMN_D_I32},
                              {"word_embedding_scale", 0, 0, LMN_D_F32},
                              {"position_embedding_scale", 0, 0, LMN_D_F32},
                              {"segment_embedding_scale", 0, OPT, LMN_D_F32},
                              {"gamma_scale", 0, 0, LMN_D_F32},
                              {"beta_scale", 0, 0, LMN_D_F32},
                              {"word_embedding_zero_point", 'Q', 0, LMN_D_8BIT},
                              {"position_embedding_zero_point", 'Q', 0, LMN_D_8BIT},
                              {"segment_embedding_zero_point", 'Q', OPT, LMN_D_8BIT},
                              {"gamma_zero_point", 'Q', 0, LMN_D_8BIT},
                              {"beta_zero_point", 'Q', 0, LMN_D_8BIT},
                              {0}};
static const lmn_port OUT[] = {
    {"layernorm_out", 0, 0, LMN_D_F32}, {"mask_index_out", 0, 0, LMN_D_I32}, {0}};
static const lmn_attr_schema ATTRS[] = {{"epsilon", LMN_ATTR_FLOAT, 0}, {0}};

LMN_MS_MAPPED(QEmbedLayerNormalization, canon_qembedlayernormalization);
