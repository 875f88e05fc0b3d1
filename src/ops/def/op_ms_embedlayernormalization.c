/*
 * EmbedLayerNormalization (com.microsoft, since 1): the front of BERT. Rows of the word, position
 * and segment tables are added and normalised. Outputs: the result, the number of ones in every row
 * of the mask, the sum before normalisation.
 */
#include "ops/msnorm.h"

static lamina_status canon_embedlayernormalization(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_map_embed e = {.ids = lmn_map_in(&m, 0),
                             .segment_ids = lmn_map_in(&m, 1),
                             .position_ids = lmn_map_in(&m, 8),
                             .mask = lmn_map_in(&m, 7),
                             .word = lmn_map_in(&m, 2),
                             .position = lmn_map_in(&m, 3),
                             .segment = lmn_map_in(&m, 4)};
    const lmn_ref sum = lmn_map_embed_sum(&m, &e);
    lmn_map_layer_norm(&m, sum, lmn_map_in(&m, 5), lmn_map_in(&m, 6),
                       lmn_attr_f(c->node, "epsilon", 1e-12f), m.out, 1);
    if (c->n_out > 1) m.out[1] = lmn_map_mask_index(&m, &e);
    m.out[2] = sum;
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"input_ids", 0, 0, LMN_D_I32},
                              {"segment_ids", 0, LMN_PORT_OPTIONAL, LMN_D_I32},
                              {"word_embedding", 'T', 0, LMN_D_FLOAT},
                              {"position_embedding", 'T', 0, LMN_D_FLOAT},
                              {"segment_embedding", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"gamma", 'T', 0, LMN_D_FLOAT},
                              {"beta", 'T', 0, LMN_D_FLOAT},
                              {"mask", 0, LMN_PORT_OPTIONAL, LMN_D_I32},
                              {"position_ids", 0, LMN_PORT_OPTIONAL, LMN_D_I32},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT},
                               {"mask_index", 0, LMN_PORT_OPTIONAL, LMN_D_I32},
                               {"embedding_sum", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {
    {"epsilon", LMN_ATTR_FLOAT, 0}, {"mask_index_type", LMN_ATTR_INT, 0}, {0}};

LMN_MS_MAPPED(EmbedLayerNormalization, canon_embedlayernormalization);
