/*
 * Accessors of lamina/op.h over lmn_opnode and lmn_eval.
 */
#include "ops/node.h"

const char *lamina_node_op(const lamina_node *node)
{
    return node->op->def->name;
}
const char *lamina_node_domain(const lamina_node *node)
{
    return node->op->def->domain;
}
const char *lamina_node_name(const lamina_node *node)
{
    return node->op->name;
}
int32_t lamina_node_input_count(const lamina_node *node)
{
    return node->op->n_in;
}
int32_t lamina_node_output_count(const lamina_node *node)
{
    return node->op->n_out;
}

static const lmn_fact *input_fact(const lamina_node *node, int32_t i)
{
    return i >= 0 && i < node->op->n_in ? node->in[i] : NULL;
}

lamina_dtype lamina_node_input_dtype(const lamina_node *node, int32_t i)
{
    const lmn_fact *f = input_fact(node, i);
    return f ? f->dtype : LAMINA_DTYPE_NONE;
}

int32_t lamina_node_input_shape(const lamina_node *node, int32_t i, int64_t *dims)
{
    const lmn_fact *f = input_fact(node, i);
    if (!f) return -1;
    for (int32_t k = 0; k < f->rank; k++)
        dims[k] = lmn_dim_is_const(f->dims[k]) ? lmn_dim_value(f->dims[k]) : -1;
    return f->rank;
}

const lamina_tensor *lamina_node_input_const(const lamina_node *node, int32_t i)
{
    return i >= 0 && i < node->op->n_in && node->in_const ? node->in_const[i] : NULL;
}

int64_t lamina_node_attr_int(const lamina_node *node, const char *name, int64_t def)
{
    return lmn_attr_i(node->op, name, def);
}

float lamina_node_attr_float(const lamina_node *node, const char *name, float def)
{
    return lmn_attr_f(node->op, name, def);
}

const char *lamina_node_attr_string(const lamina_node *node, const char *name, const char *def)
{
    return lmn_attr_s(node->op, name, def);
}

int32_t lamina_node_attr_ints(const lamina_node *node, const char *name, const int64_t **out)
{
    return lmn_attr_ints(node->op, name, out);
}

const lamina_tensor *lamina_call_input(const lamina_call *call, int32_t i)
{
    const lmn_eval *ec = (const lmn_eval *)call;
    return i < 0 ? NULL : lmn_in(ec, i);
}

int32_t lamina_call_input_count(const lamina_call *call)
{
    return ((const lmn_eval *)call)->n_in;
}

lamina_status lamina_call_output(lamina_call *call, int32_t i, lamina_dtype dtype, int32_t rank,
                                 const int64_t *dims, lamina_tensor **out)
{
    lmn_eval *ec = lmn_call_eval(call);
    LMN_CHECK(i >= 0 && i < ec->n_out, LAMINA_E_RANGE);
    return lmn_out(ec, i, dtype, rank, dims, out);
}

void *lamina_call_scratch(lamina_call *call, size_t bytes)
{
    return lmn_scratch(lmn_call_eval(call), bytes);
}

lamina_status lamina_call_reference(lamina_call *call)
{
    lmn_eval *ec = lmn_call_eval(call);
    return ec->node->def->eval(ec);
}

bool lamina_call_cancelled(const lamina_call *call)
{
    return lmn_eval_cancelled((lmn_eval *)call);
}
