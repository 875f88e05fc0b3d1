/*
 * Small tools for the canon functions: editing the attribute copy and appending constant inputs.
 * Rooms of the arrays are fixed by the contract (as in the file, plus 8): past it the answer is
 * false.
 */
#include "ops/op.h"

#include <string.h>

#define CANON_ROOM 8

static int32_t attr_index(const lmn_canon *c, const char *name)
{
    for (int32_t i = 0; i < c->n_attrs; i++)
        if (strcmp(c->attrs[i].name, name) == 0) return i;
    return -1;
}

void lmn_canon_drop_attr(lmn_canon *c, const char *name)
{
    const int32_t i = attr_index(c, name);
    if (i < 0) return;
    memmove(&c->attrs[i], &c->attrs[i + 1], (size_t)(c->n_attrs - i - 1) * sizeof c->attrs[0]);
    c->n_attrs--;
}

static bool set_attr(lmn_canon *c, lmn_attr a)
{
    int32_t i = attr_index(c, a.name);
    if (i < 0) {
        if (c->n_attrs >= c->node->n_attrs + CANON_ROOM) return false;
        i = c->n_attrs++;
    }
    c->attrs[i] = a;
    return true;
}

bool lmn_canon_set_i(lmn_canon *c, const char *name, int64_t v)
{
    return set_attr(c, (lmn_attr){.name = name, .type = LMN_ATTR_INT, .n = 1, .u.i = v});
}

bool lmn_canon_set_f(lmn_canon *c, const char *name, float v)
{
    return set_attr(c, (lmn_attr){.name = name, .type = LMN_ATTR_FLOAT, .n = 1, .u.f = v});
}

bool lmn_canon_set_in(lmn_canon *c, int32_t i, lmn_ref r)
{
    if (!r || i < 0 || i >= c->node->n_in + CANON_ROOM || i >= LMN_CANON_MAX_IN) return false;
    while (c->n_in <= i) c->in[c->n_in++] = 0;
    c->in[i] = r;
    return true;
}

bool lmn_canon_in_i64s(lmn_canon *c, int32_t i, const int64_t *v, int32_t n)
{
    const int64_t dims[1] = {n};
    return lmn_canon_set_in(c, i, c->b->constant(c->b->ctx, LAMINA_I64, 1, dims, v));
}

bool lmn_canon_in_f32(lmn_canon *c, int32_t i, float v)
{
    return lmn_canon_set_in(c, i, c->b->constant(c->b->ctx, LAMINA_F32, 0, NULL, &v));
}

bool lmn_canon_in_scalar(lmn_canon *c, int32_t i, lamina_dtype dt, double v)
{
    uint64_t bits[2] = {0};
    if (lmn_dtype_class(dt) == LMN_CLASS_STRING) return false;
    lmn_convert(dt, bits, LAMINA_F64, &v, 1, true);
    return lmn_canon_set_in(c, i, c->b->constant(c->b->ctx, dt, 0, NULL, bits));
}

bool lmn_canon_attr_to_input(lmn_canon *c, const char *name, int32_t i)
{
    const int32_t k = attr_index(c, name);
    if (k < 0) return true;
    if (c->attrs[k].type != LMN_ATTR_INTS) return false;
    if (!lmn_canon_in_i64s(c, i, c->attrs[k].u.ints, c->attrs[k].n)) return false;
    lmn_canon_drop_attr(c, name);
    return true;
}

lamina_status lmn_canon_fail(lmn_canon *c, lamina_status status, const char *fix, const char *fmt,
                             ...)
{
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    return lmn_diag_add(c->diags, LMN_DIAG_ERROR, status, c->at, fix, "%s", what);
}
