/*
 * DepthToSpace and SpaceToDepth: one six-axis move, read in two directions.
 */
#ifndef LMN_OPS_BLOCKS_H
#define LMN_OPS_BLOCKS_H

#include "ops/op.h"

/* to_space: depth becomes blocks of the image; otherwise the reverse. */
lamina_status lmn_blocks_infer(lmn_infer *ic, bool to_space);
lamina_status lmn_blocks_eval(lmn_eval *ec, bool to_space);

#endif
