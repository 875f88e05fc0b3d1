/*
 * Attribute lookup. A node has a handful of attributes, so a linear scan is the fastest map.
 * A getter whose attribute is absent or of another type answers with the default: types were
 * checked against the schema by lmn_op_infer before anybody evaluates.
 */
#include "ops/op.h"

#include <string.h>

const lmn_attr *lmn_attr_find(const lmn_opnode *n, const char *name)
{
    for (int32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0) return &n->attrs[i];
    return NULL;
}

static const lmn_attr *typed(const lmn_opnode *n, const char *name, lmn_attr_type type)
{
    const lmn_attr *a = lmn_attr_find(n, name);
    return a && a->type == type ? a : NULL;
}

int64_t lmn_attr_i(const lmn_opnode *n, const char *name, int64_t def)
{
    const lmn_attr *a = typed(n, name, LMN_ATTR_INT);
    return a ? a->u.i : def;
}

float lmn_attr_f(const lmn_opnode *n, const char *name, float def)
{
    const lmn_attr *a = typed(n, name, LMN_ATTR_FLOAT);
    return a ? a->u.f : def;
}

const char *lmn_attr_s(const lmn_opnode *n, const char *name, const char *def)
{
    const lmn_attr *a = typed(n, name, LMN_ATTR_STRING);
    if (!a) return def;
    return a->u.s.p ? a->u.s.p : "";
}

bool lmn_attr_is(const lmn_opnode *n, const char *name, const char *value, const char *def)
{
    return strcmp(lmn_attr_s(n, name, def), value) == 0;
}

int32_t lmn_attr_ints(const lmn_opnode *n, const char *name, const int64_t **out)
{
    const lmn_attr *a = typed(n, name, LMN_ATTR_INTS);
    *out = a ? a->u.ints : NULL;
    return a ? a->n : 0;
}

int32_t lmn_attr_floats(const lmn_opnode *n, const char *name, const float **out)
{
    const lmn_attr *a = typed(n, name, LMN_ATTR_FLOATS);
    *out = a ? a->u.floats : NULL;
    return a ? a->n : 0;
}

const lamina_tensor *lmn_attr_t(const lmn_opnode *n, const char *name)
{
    const lmn_attr *a = typed(n, name, LMN_ATTR_TENSOR);
    return a ? a->u.t : NULL;
}
