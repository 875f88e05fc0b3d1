/*
 * Optional (ai.onnx, since 15): an optional that holds the input, or an empty one of attribute
 * `type`.
 */
#include "ops/shapes.h"

static const lmn_fact *declared(const lmn_opnode *n)
{
    const lmn_attr *a = lmn_attr_find(n, "type");
    return a && a->type == LMN_ATTR_TYPE ? a->u.type_fact : NULL;
}

static lamina_status infer_optional(lmn_infer *ic)
{
    const lmn_fact *type = declared(ic->node);
    const bool full = ic->node->n_in > 0 && ic->in[0];
    if (!full && !type)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set attribute type or connect the input",
                              "an empty optional needs a type");
    ic->out[0] = full ? *ic->in[0] : *type;
    if (ic->out[0].kind == LMN_FACT_SEQUENCE || ic->out[0].kind == LMN_FACT_MAP)
        ic->out[0].maybe = true;
    else
        ic->out[0].kind = LMN_FACT_OPTIONAL;
    ic->out[0].n_elems = -1;
    ic->out[0].elems = NULL;
    return LAMINA_OK;
}

static lamina_status eval_optional(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const lmn_fact *type = declared(ec->node);
    if (x) return lmn_out_value(ec, 0, x);
    return lmn_out_none(ec, 0, type ? type->dtype : LAMINA_F32);
}

static const lmn_port IN[] = {{"input", 0, LMN_PORT_OPTIONAL | LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 0, LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"type", LMN_ATTR_TYPE, 0}, {0}};

const lmn_op_def lmn_op_Optional = {
    .name = "Optional",
    .domain = "",
    .since = 15,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_optional,
    .eval = eval_optional,
};
