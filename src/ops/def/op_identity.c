/*
 * Identity (ai.onnx, since 1): the value itself, of any kind.
 */
#include "ops/op.h"

static lamina_status infer_identity(lmn_infer *ic)
{
    if (ic->in[0]) ic->out[0] = *ic->in[0];
    return LAMINA_OK;
}

static lamina_status eval_identity(lmn_eval *ec)
{
    const lamina_tensor *x = ec->in[0];
    if (x->kind != LAMINA_KIND_TENSOR) return lmn_out_value(ec, 0, x);
    return lmn_out_alias(ec, 0, 0, x->rank, x->dims);
}

static const lmn_port IN[] = {{"input", 'V', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'V', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Identity = {
    .name = "Identity",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_VIEW | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_identity,
    .eval = eval_identity,
};
