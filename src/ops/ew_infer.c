/*
 * Elementwise operators on facts: the integer lattice under broadcasting of scalars and vectors,
 * and the opset < 7 form of broadcasting.
 */
#include "ops/ew.h"

#define MAX_IN 3

/* Types whose arithmetic the lattice follows: wrapping of narrow types is not modelled. */
static bool carried(lamina_dtype dt)
{
    return dt == LAMINA_I64 || dt == LAMINA_I32 || dt == LAMINA_BOOL;
}

/* A constant that the type cannot hold would have wrapped. */
static lmn_dim in_type(lamina_dtype dt, lmn_dim d)
{
    if (dt != LAMINA_I32 || !lmn_dim_is_const(d)) return d;
    const int64_t v = lmn_dim_value(d);
    return v < INT32_MIN || v > INT32_MAX ? LMN_DIM_UNKNOWN : d;
}

lamina_status lmn_ew_infer(lmn_infer *ic, lmn_ew_dim_fn *fn)
{
    const int32_t n_in = ic->node->n_in;
    LMN_TRY(lmn_infer_broadcast(ic, 0, 0, n_in - 1));
    if (!fn || n_in > MAX_IN || ic->node->n_out < 1 || ic->out[0].rank < 0 || ic->out[0].rank > 1)
        return LAMINA_OK;
    if (!carried(ic->out[0].dtype)) return LAMINA_OK;
    const lmn_dim *e[MAX_IN];
    int32_t count[MAX_IN], n = 1;
    for (int32_t i = 0; i < n_in; i++) {
        if (!lmn_infer_has(ic, i) || !carried(ic->in[i]->dtype)) return LAMINA_OK;
        count[i] = lmn_infer_elems(ic, i, &e[i]);
        if (count[i] < 0) return LAMINA_OK;
        if (count[i] != 1) n = count[i];
    }
    lmn_dim *out = lmn_infer_set_elems(ic, 0, n);
    for (int32_t k = 0; out && k < n; k++) {
        lmn_dim v[MAX_IN];
        for (int32_t i = 0; i < n_in; i++) v[i] = e[i][count[i] == 1 ? 0 : k];
        out[k] = in_type(ic->out[0].dtype, fn(ic, v));
    }
    return LAMINA_OK;
}

void lmn_ew_dim_range(const lmn_infer *ic, lmn_dim d, int64_t *lo, int64_t *hi)
{
    if (lmn_dim_is_const(d)) {
        *lo = *hi = lmn_dim_value(d);
        return;
    }
    *lo = INT64_MIN;
    *hi = INT64_MAX;
    if (ic->dims && lmn_dim_known(d)) lmn_dim_range(ic->dims, d, lo, hi);
}

static int32_t rank_of(const lmn_canon *c, lmn_ref r)
{
    const lmn_fact *f = r ? c->b->fact(c->b->ctx, r) : NULL;
    return f && f->kind == LMN_FACT_TENSOR ? f->rank : -1;
}

lamina_status lmn_ew_canon_binary(lmn_canon *c)
{
    if (c->opset >= 7) return LAMINA_OK;
    const bool broadcast = lmn_attr_i(c->node, "broadcast", 0) != 0;
    const lmn_attr *axis_attr = lmn_attr_find(c->node, "axis");
    lmn_canon_drop_attr(c, "broadcast");
    lmn_canon_drop_attr(c, "axis");
    lmn_canon_drop_attr(c, "consumed_inputs");
    if (!broadcast || !axis_attr || axis_attr->type != LMN_ATTR_INT || c->n_in < 2)
        return LAMINA_OK;
    const int32_t ra = rank_of(c, c->in[0]), rb = rank_of(c, c->in[1]);
    if (ra < 0 || rb < 0)
        return lmn_canon_fail(
            c, LAMINA_E_UNSUPPORTED, "declare the shapes, or convert the model to opset 7",
            "attribute \"axis\" needs the ranks of both inputs, which are unknown");
    int64_t axis = axis_attr->u.i;
    if (axis < 0) axis += ra;
    const int64_t trailing = ra - axis - rb;
    if (axis < 0 || trailing < 0 || trailing > LMN_MAX_RANK)
        return lmn_canon_fail(c, LAMINA_E_SHAPE, NULL,
                              "axis %lld does not align an input of rank %d in one of %d",
                              (long long)axis_attr->u.i, rb, ra);
    if (trailing == 0) return LAMINA_OK;
    int64_t axes[LMN_MAX_RANK];
    for (int64_t i = 0; i < trailing; i++) axes[i] = rb + i;
    const lmn_ref in[2] = {c->in[1], c->b->constant(c->b->ctx, LAMINA_I64, 1, &trailing, axes)};
    if (!in[1] || !c->b->node(c->b->ctx, "Unsqueeze", in, 2, NULL, 0, &c->in[1], 1))
        return lmn_canon_fail(c, LAMINA_E_NOMEM, NULL,
                              "the legacy broadcast could not be rewritten");
    return LAMINA_OK;
}
