/*
 * Pooling in any spatial rank, in f64, one plane (image, channel) at a time.
 */
#ifndef LMN_OPS_POOLCORE_H
#define LMN_OPS_POOLCORE_H

#include "ops/convcore.h"

typedef enum lmn_pool_kind { LMN_POOL_MAX, LMN_POOL_AVERAGE, LMN_POOL_LP } lmn_pool_kind;

/* Evaluate a windowed pool of input 0 into output 0 (and Indices into output 1 for MAX). */
lamina_status lmn_pool_eval(lmn_eval *ec, lmn_pool_kind kind);
lamina_status lmn_pool_infer(lmn_infer *ic);
/* The whole plane as one window: output [N, C, 1, ...]. */
lamina_status lmn_global_pool_eval(lmn_eval *ec, lmn_pool_kind kind);
lamina_status lmn_global_pool_infer(lmn_infer *ic);
/* Version 1 of the Lp pools had a float p: whole numbers only. */
lamina_status lmn_pool_canon_p(lmn_canon *c);
void lmn_pool_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                   lmn_cost *c);

#endif
