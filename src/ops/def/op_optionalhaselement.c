/*
 * OptionalHasElement (ai.onnx, since 15): true for a filled optional, a tensor or a sequence; false
 * for an empty optional or a missing input.
 */
#include "ops/shapes.h"

static lamina_status infer_optionalhaselement(lmn_infer *ic)
{
    const bool connected = ic->node->n_in > 0 && ic->in[0];
    LMN_TRY(lmn_infer_shape(ic, 0, 0, NULL));
    const lmn_fact *f = connected ? ic->in[0] : NULL;
    const bool held = f && f->kind != LMN_FACT_UNKNOWN && f->kind != LMN_FACT_OPTIONAL && !f->maybe;
    if (connected && !held) return LAMINA_OK;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, 1);
    if (e) *e = lmn_dim_c(held ? 1 : 0);
    return LAMINA_OK;
}

static lamina_status eval_optionalhaselement(lmn_eval *ec)
{
    lamina_tensor *t;
    const bool held = lmn_in(ec, 0) != NULL;
    LMN_TRY(lmn_out(ec, 0, LAMINA_BOOL, 0, NULL, &t));
    if (t) *(uint8_t *)t->data = held;
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 0, LMN_PORT_OPTIONAL | LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_BOOL}, {0}};

const lmn_op_def lmn_op_OptionalHasElement = {
    .name = "OptionalHasElement",
    .domain = "",
    .since = 15,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_optionalhaselement,
    .eval = eval_optionalhaselement,
};
