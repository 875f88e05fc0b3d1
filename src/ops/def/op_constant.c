/*
 * Constant (ai.onnx, since 1): the value of one of its attributes. It never reaches a device:
 * import turns it into a constant of the graph. A sparse_value arrives dense from the reader.
 */
#include "ops/op.h"

/* The one attribute that is set; NULL if there is not exactly one. */
static const lmn_attr *value_of(const lmn_opnode *n)
{
    static const char *const NAMES[] = {"value",        "sparse_value", "value_float",
                                        "value_floats", "value_int",    "value_ints",
                                        "value_string", "value_strings"};
    const lmn_attr *found = NULL;
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++) {
        const lmn_attr *a = lmn_attr_find(n, NAMES[i]);
        if (!a) continue;
        if (found) return NULL;
        found = a;
    }
    return found;
}

static lmn_ref build(const lmn_builder *b, const lmn_attr *a)
{
    const int64_t n = a->n;
    switch (a->type) {
    case LMN_ATTR_TENSOR:
    case LMN_ATTR_SPARSE:
        return b->constant(b->ctx, a->u.t->dtype, a->u.t->rank, a->u.t->dims, a->u.t->data);
    case LMN_ATTR_FLOAT: return b->constant(b->ctx, LAMINA_F32, 0, NULL, &a->u.f);
    case LMN_ATTR_FLOATS: return b->constant(b->ctx, LAMINA_F32, 1, &n, a->u.floats);
    case LMN_ATTR_INT: return b->constant(b->ctx, LAMINA_I64, 0, NULL, &a->u.i);
    case LMN_ATTR_INTS: return b->constant(b->ctx, LAMINA_I64, 1, &n, a->u.ints);
    case LMN_ATTR_STRING: return b->constant(b->ctx, LAMINA_STRING, 0, NULL, &a->u.s);
    case LMN_ATTR_STRINGS: return b->constant(b->ctx, LAMINA_STRING, 1, &n, a->u.strings);
    default: return 0;
    }
}

static lamina_status canon_constant(lmn_canon *c)
{
    const lmn_attr *a = value_of(c->node);
    if (!a || c->n_out != 1)
        return lmn_canon_fail(c, LAMINA_E_INVALID, "set exactly one of its value attributes",
                              "a Constant needs one value and one output");
    c->out[0] = build(c->b, a);
    c->replaced = true;
    return c->out[0] ? LAMINA_OK
                     : lmn_canon_fail(c, LAMINA_E_NOMEM, NULL, "its value cannot be stored");
}

static const lmn_port IN[] = {{0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Constant = {
    .name = "Constant",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .canon = canon_constant,
};
