/*
 * Gradient rules: what an operator passes back to its inputs, as nodes of a builder. The rule sees
 * the derivatives of its outputs and sets those of its inputs, each in the input's own shape.
 */
#ifndef LMN_OPS_GRAD_H
#define LMN_OPS_GRAD_H

#include "ops/op.h"

typedef struct lmn_grad {
    const lmn_opnode *node;
    const lmn_ref *in;   /* node->n_in */
    const lmn_ref *out;  /* node->n_out */
    const lmn_ref *dout; /* node->n_out; 0 = the result does not depend on it */
    lmn_ref *din;        /* node->n_in, all 0 before; 0 after = nothing passes back */
    const lmn_builder *b;
} lmn_grad;

/* False: the builder failed, or ranks are unknown or not covered. */
typedef bool (*lmn_grad_fn)(const lmn_grad *g);

/* The rule of an operator; NULL if none is known. */
lmn_grad_fn lmn_grad_rule(const lmn_op_def *def);

#endif
