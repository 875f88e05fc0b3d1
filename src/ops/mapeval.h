/*
 * Operators that a mapping (msmap.h) takes apart at import and a pass may put together again: they
 * are inferred and evaluated by their own mapping, whose nodes are inferred or run one after the
 * other as they are appended. So the whole equals its parts bit for bit; devices bind faster
 * kernels to the whole.
 */
#ifndef LMN_OPS_MAPEVAL_H
#define LMN_OPS_MAPEVAL_H

#include "ops/msmap.h"

lamina_status lmn_mapped_infer(lmn_infer *ic);
lamina_status lmn_mapped_eval(lmn_eval *ec);

/* As LMN_MS_MAPPED, for an operator that graphs may hold after import. */
#define LMN_MS_WHOLE(Name, canon_fn)                               \
    const lmn_op_def lmn_op_Ms##Name = {.domain = LMN_MS,          \
                                        .name = #Name,             \
                                        .since = 1,                \
                                        .in = IN,                  \
                                        .out = OUT,                \
                                        .attrs = ATTRS,            \
                                        .infer = lmn_mapped_infer, \
                                        .eval = lmn_mapped_eval,   \
                                        .canon = canon_fn}

#endif
