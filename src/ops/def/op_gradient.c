/*
 * Gradient (ai.onnx.preview.training, since 1): the derivatives of the sum of tensor `y` by the
 * tensors `xs`. Both are named in attributes and stand in the same graph, before this node; inputs
 * are those tensors (then those of `zs`, which count as constants). Import replaces the node by the
 * nodes of the derivative. Inputs that are other tensors than the named ones are refused: they
 * would ask for the forward graph a second time.
 */
#include "ops/op.h"

static const lmn_attr *strings(const lmn_canon *c, const char *name)
{
    const lmn_attr *a = lmn_attr_find(c->node, name);
    return a && a->type == LMN_ATTR_STRINGS ? a : NULL;
}

static lamina_status canon_gradient(lmn_canon *c)
{
    const lmn_attr *xs = strings(c, "xs"), *zs = strings(c, "zs"), *y = lmn_attr_find(c->node, "y");
    const int32_t n_x = xs ? xs->n : 0, n_z = zs ? zs->n : 0;
    if (n_x < 1 || !y || y->type != LMN_ATTR_STRING || c->n_out != n_x || c->n_in != n_x + n_z)
        return lmn_canon_fail(c, LAMINA_E_INVALID, NULL,
                              "attributes xs and y, an input for each of xs and zs and an output "
                              "for each of xs are needed");
    for (int32_t i = 0; i < n_x + n_z; i++) {
        const lmn_str name = i < n_x ? xs->u.strings[i] : zs->u.strings[i - n_x];
        if (!c->in[i] || c->b->find(c->b->ctx, name) != c->in[i])
            return lmn_canon_fail(c, LAMINA_E_UNSUPPORTED, "pass the named tensors themselves",
                                  "input %d is not the tensor that the attributes name", i);
    }
    const lmn_ref target = c->b->find(c->b->ctx, y->u.s);
    if (!target)
        return lmn_canon_fail(c, LAMINA_E_INVALID, "order the nodes so that y comes first",
                              "tensor y is not computed before this node");
    c->replaced = true;
    (void)c->b->gradient(c->b->ctx, target, c->in, n_x, c->out); /* the builder keeps a failure */
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"Inputs", 0, LMN_PORT_VARIADIC | LMN_PORT_HETERO, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"Outputs", 0, LMN_PORT_VARIADIC | LMN_PORT_HETERO, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"xs", LMN_ATTR_STRINGS, LMN_ATTR_REQUIRED},
                                        {"y", LMN_ATTR_STRING, LMN_ATTR_REQUIRED},
                                        {"zs", LMN_ATTR_STRINGS, 0},
                                        {0}};

const lmn_op_def lmn_op_Gradient = {
    .name = "Gradient",
    .domain = "ai.onnx.preview.training",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .canon = canon_gradient,
};
