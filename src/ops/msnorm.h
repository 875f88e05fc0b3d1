/*
 * What the com.microsoft normalisations share: the sum that they normalise, and the statistics that
 * RMSNormalization does not give.
 */
#ifndef LMN_OPS_MSNORM_H
#define LMN_OPS_MSNORM_H

#include "ops/msmap.h"

/* LayerNormalization over the last axis: out[0..n_out) are Y, Mean, InvStdDev. beta may be absent.
 */
void lmn_map_layer_norm(lmn_map *m, lmn_ref x, lmn_ref gamma, lmn_ref beta, float eps, lmn_ref *out,
                        int32_t n_out);
lmn_ref lmn_map_rms_norm(lmn_map *m, lmn_ref x, lmn_ref gamma, int64_t axis, float eps);
/* 1 / sqrt(mean(x^2) + eps) over the axes from `axis` on, f32. */
lmn_ref lmn_map_inv_rms(lmn_map *m, lmn_ref x, int64_t axis, float eps);

/* GroupNormalization of x by inputs 1 and 2 and the node's attributes groups, epsilon,
   channels_last and activation. */
lmn_ref lmn_map_group_norm(lmn_map *m, lmn_ref x);

/* The sums of embeddings behind EmbedLayerNormalization and its quantised form. */
typedef struct lmn_map_embed {
    lmn_ref ids, segment_ids, position_ids, mask; /* all but ids may be absent */
    lmn_ref word, position, segment;
} lmn_map_embed;
lmn_ref lmn_map_embed_sum(lmn_map *m, const lmn_map_embed *e);
/* Number of ones in every row of the mask, int32; zeros without a mask. */
lmn_ref lmn_map_mask_index(lmn_map *m, const lmn_map_embed *e);

#endif
