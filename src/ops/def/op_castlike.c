/*
 * CastLike (ai.onnx, since 15): elements converted to the type of the second input; otherwise Cast.
 */
#include "ops/cast.h"

static lamina_status eval_op(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *like = lmn_in(ec, 1);
    if (!x || !like) return lmn_eval_fail(ec, LAMINA_E_INVALID, "an input is missing");
    return lmn_cast_eval(ec, x, like->dtype);
}

static lamina_status infer_op(lmn_infer *ic)
{
    return lmn_cast_infer(ic, ic->in[1] ? ic->in[1]->dtype : LAMINA_DTYPE_NONE);
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_ALL}, {"target_type", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"saturate", LMN_ATTR_INT, 0}, {"round_mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_CastLike = {
    .domain = "",
    .name = "CastLike",
    .since = 15,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
};
