/*
 * The node and the call as devices see them (lamina/op.h): thin views of what operators see.
 */
#ifndef LMN_OPS_NODE_H
#define LMN_OPS_NODE_H

#include "lamina/op.h"
#include "lamina/session.h"
#include "ops/op.h"
#include "ops/prepack.h"

struct lamina_node {
    const lmn_opnode *op;
    const lmn_fact *const *in;            /* op->n_in; NULL = absent */
    const lamina_tensor *const *in_const; /* op->n_in; NULL = not constant */
    const lmn_fact *out;                  /* op->n_out */
    lamina_precision precision;           /* of the session */
    lmn_prepack *prepack;                 /* of the session; NULL: weights cannot be packed */
    struct lmn_tune_site *site;           /* tuned choices; lives as long as the kernel */
};

/* A call is an evaluation context; the in-tree devices go through here instead of the accessors. */
static inline lmn_eval *lmn_call_eval(lamina_call *call)
{
    return (lmn_eval *)call;
}
static inline lamina_call *lmn_eval_call(lmn_eval *ec)
{
    return (lamina_call *)ec;
}

#endif
