/*
 * The wide road (wide.h): conversions to f64 and back, and small helpers that the convolution,
 * normalisation, vision and quantisation operators share.
 */
#include "ops/wide.h"

#include <string.h>

#define CANON_ROOM 8

void *lmn_wide_scratch(lmn_eval *ec, int64_t n, size_t elem_bytes)
{
    size_t bytes = 0;
    void *p = NULL;
    if (n >= 0 && lmn_mul_size((size_t)n, elem_bytes, &bytes)) p = lmn_scratch(ec, bytes);
    if (!p)
        (void)lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld working elements",
                            (long long)n);
    return p;
}

static lamina_status ready_input(lmn_eval *ec, int32_t i, const lmn_port *p, lamina_dtype *bound)
{
    const lamina_tensor *t = lmn_in(ec, i);
    if (!t && (p->flags & LMN_PORT_OPTIONAL)) return LAMINA_OK;
    if (!t || t->kind != LAMINA_KIND_TENSOR)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "input %d \"%s\" is no tensor", i, p->name);
    if (!(p->types & LMN_DBIT(t->dtype)))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "input %d \"%s\" cannot be %s", i, p->name,
                             lamina_dtype_name(t->dtype));
    lamina_dtype *var = &bound[p->var & 127];
    if (!p->var || (p->flags & LMN_PORT_HETERO)) return LAMINA_OK;
    if (*var && *var != t->dtype)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "input %d \"%s\" is %s, must be %s like another",
                             i, p->name, lamina_dtype_name(t->dtype), lamina_dtype_name(*var));
    *var = t->dtype;
    return LAMINA_OK;
}

lamina_status lmn_eval_ready(lmn_eval *ec)
{
    const lmn_port *p = ec->node->def->in;
    const int32_t n_in = ec->n_in - ec->node->n_caps;
    lamina_dtype bound[128] = {0};
    for (int32_t i = 0; p[i].name; i++) {
        LMN_TRY(ready_input(ec, i, &p[i], bound));
        if (!(p[i].flags & LMN_PORT_VARIADIC)) continue;
        for (int32_t k = i + 1; k < n_in; k++) LMN_TRY(ready_input(ec, k, &p[i], bound));
    }
    return LAMINA_OK;
}

lamina_status lmn_wide_copy(lmn_eval *ec, const lamina_tensor *t, double **out)
{
    if (t->kind != LAMINA_KIND_TENSOR || t->dtype == LAMINA_STRING)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "a numeric tensor is needed, got %s",
                             lamina_dtype_name(t->dtype));
    const int64_t n = lmn_count(t);
    *out = lmn_wide_scratch(ec, n, sizeof(double));
    if (!*out) return LAMINA_E_NOMEM;
    if (n > 0) lmn_convert(LAMINA_F64, *out, t->dtype, t->data, n, true);
    return LAMINA_OK;
}

lamina_status lmn_wide_in(lmn_eval *ec, const lamina_tensor *t, const double **out)
{
    if (t->kind == LAMINA_KIND_TENSOR && t->dtype == LAMINA_F64 && t->data) {
        *out = t->data;
        return LAMINA_OK;
    }
    double *copy;
    LMN_TRY(lmn_wide_copy(ec, t, &copy));
    *out = copy;
    return LAMINA_OK;
}

lamina_status lmn_wide_out(lmn_eval *ec, lamina_tensor *t, double **out)
{
    *out = t->dtype == LAMINA_F64 && t->data ? t->data
                                             : lmn_wide_scratch(ec, lmn_count(t), sizeof(double));
    return *out ? LAMINA_OK : LAMINA_E_NOMEM;
}

void lmn_wide_store(lamina_tensor *t, const double *w)
{
    const int64_t n = lmn_count(t);
    if (n > 0 && (const void *)w != t->data) lmn_convert(t->dtype, t->data, LAMINA_F64, w, n, true);
}

bool lmn_int_range(lamina_dtype dt, int64_t *lo, int64_t *hi)
{
    const lmn_dclass c = lmn_dtype_class(dt);
    const uint32_t bits = lamina_dtype_bits(dt);
    if ((c != LMN_CLASS_SINT && c != LMN_CLASS_UINT) || bits == 0 || bits > 32) return false;
    *lo = c == LMN_CLASS_SINT ? -((int64_t)1 << (bits - 1)) : 0;
    *hi = c == LMN_CLASS_SINT ? ((int64_t)1 << (bits - 1)) - 1 : ((int64_t)1 << bits) - 1;
    return true;
}

lmn_fact *lmn_infer_ranked(lmn_infer *ic, int32_t o, int32_t rank)
{
    if (o >= ic->node->n_out) return NULL;
    const lamina_dtype dt = ic->out[o].dtype;
    ic->out[o] = lmn_fact_tensor(dt, rank);
    return &ic->out[o];
}

const lmn_fact *lmn_infer_shape_of(const lmn_infer *ic, int32_t i)
{
    if (!lmn_infer_has(ic, i)) return NULL;
    const lmn_fact *f = ic->in[i];
    return f->kind == LMN_FACT_TENSOR && f->rank >= 0 ? f : NULL;
}

lamina_status lmn_infer_rank_in(lmn_infer *ic, int32_t i, int32_t lo, int32_t hi)
{
    const lmn_fact *f = lmn_infer_shape_of(ic, i);
    if (!f || (f->rank >= lo && f->rank <= hi)) return LAMINA_OK;
    const char *name = ic->node->def->in[i].name;
    if (lo == hi)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "input %d \"%s\" has rank %d, must be %d",
                              i, name, f->rank, lo);
    return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                          "input %d \"%s\" has rank %d, must be in [%d, %d]", i, name, f->rank, lo,
                          hi);
}

lamina_status lmn_infer_equal(lmn_infer *ic, lmn_dim a, lmn_dim b, const char *what, lmn_dim *out)
{
    lmn_dim d = LMN_DIM_UNKNOWN;
    if (!lmn_dim_unify(ic->dims, a, b, &d)) {
        char ta[64], tb[64];
        (void)lmn_dim_format(ic->dims, a, ta, sizeof ta);
        (void)lmn_dim_format(ic->dims, b, tb, sizeof tb);
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "%s must be equal, got %s and %s", what, ta,
                              tb);
    }
    if (out) *out = d;
    return LAMINA_OK;
}

bool lmn_canon_set_s(lmn_canon *c, const char *name, const char *value)
{
    int32_t i = 0;
    while (i < c->n_attrs && strcmp(c->attrs[i].name, name) != 0) i++;
    if (i == c->n_attrs) {
        if (c->n_attrs >= c->node->n_attrs + CANON_ROOM) return false;
        c->n_attrs++;
    }
    /* Attribute strings are only read; the field is not const because file strings are owned. */
    c->attrs[i] = (lmn_attr){.name = name,
                             .type = LMN_ATTR_STRING,
                             .n = 1,
                             .u.s = {(char *)(uintptr_t)value, strlen(value)}};
    return true;
}
