/*
 * What the inference rules of the operators share: shapes that follow an input, numpy broadcast,
 * axes, and the integer elements of small tensors.
 */
#include "ops/op.h"

void lmn_infer_same(lmn_infer *ic, int32_t o, int32_t i)
{
    if (o >= ic->node->n_out || i >= ic->node->n_in || !ic->in[i]) return;
    lmn_fact f = *ic->in[i];
    f.n_elems = -1;
    f.elems = NULL;
    if (!f.dtype) f.dtype = ic->out[o].dtype;
    if (f.kind == LMN_FACT_UNKNOWN && ic->out[o].kind != LMN_FACT_UNKNOWN) f.kind = ic->out[o].kind;
    ic->out[o] = f;
}

static bool at_least_2(const lmn_dim_pool *p, lmn_dim d)
{
    if (lmn_dim_is_const(d)) return lmn_dim_value(d) >= 2;
    int64_t lo = 0, hi = 0;
    if (!p || !lmn_dim_known(d)) return false;
    lmn_dim_range(p, d, &lo, &hi);
    return lo >= 2;
}

/* Where nothing is known of a and b but that they are equal or one of them is 1: that one formula
   holds for all three. Equal pairs so have equal results. */
static lmn_dim either(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    return lmn_dim_floordiv(p, lmn_dim_mul(p, a, b), lmn_dim_min(p, a, b));
}

bool lmn_dim_broadcast(lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out)
{
    const lmn_dim one = lmn_dim_c(1);
    *out = a == one ? b : a;
    if (a == b || a == one || b == one) return true;
    /* min(S, 512) beside S: equal to it, or the run fails. */
    if (lmn_dim_is_capped(p, b, a) || lmn_dim_is_capped(p, a, b)) {
        *out = lmn_dim_is_capped(p, b, a) ? a : b;
        return true;
    }
    const bool a2 = at_least_2(p, a) || a == lmn_dim_c(0),
               b2 = at_least_2(p, b) || b == lmn_dim_c(0);
    if (a2 && b2) return lmn_dim_unify(p, a, b, out);
    /* The one that cannot be 1 wins: the other is 1 or equal to it. */
    *out = a2 ? a : b2 ? b : either(p, a, b);
    return true;
}

static lamina_status fail_broadcast(lmn_infer *ic, int32_t first, int32_t i, const lmn_fact *acc)
{
    char a[160], b[160];
    lmn_fact shape = *acc, other = *ic->in[i];
    shape.dtype = ic->in[first] ? ic->in[first]->dtype : shape.dtype;
    (void)lmn_fact_format(ic->dims, &shape, a, sizeof a);
    (void)lmn_fact_format(ic->dims, &other, b, sizeof b);
    return lmn_infer_fail(
        ic, LAMINA_E_SHAPE,
        "aligned from the right, every pair of extents must be equal or one of them 1",
        "input %d of shape %s cannot be broadcast with %s", i, b, a);
}

lamina_status lmn_infer_broadcast(lmn_infer *ic, int32_t o, int32_t first, int32_t last)
{
    lmn_fact acc = lmn_fact_tensor(LAMINA_DTYPE_NONE, 0);
    bool ranked = true;
    for (int32_t i = first; i <= last && i < ic->node->n_in; i++) {
        const lmn_fact *f = ic->in[i];
        if (!f) continue;
        if (f->kind != LMN_FACT_TENSOR || f->rank < 0) {
            ranked = false;
            continue;
        }
        const int32_t rank = f->rank > acc.rank ? f->rank : acc.rank;
        lmn_fact next = lmn_fact_tensor(LAMINA_DTYPE_NONE, rank);
        for (int32_t d = 0; d < rank; d++) {
            const int32_t da = d - (rank - acc.rank), df = d - (rank - f->rank);
            const lmn_dim a = da >= 0 ? acc.dims[da] : lmn_dim_c(1);
            const lmn_dim b = df >= 0 ? f->dims[df] : lmn_dim_c(1);
            if (!lmn_dim_broadcast(ic->dims, a, b, &next.dims[d]))
                return fail_broadcast(ic, first, i, &acc);
        }
        acc = next;
    }
    if (o >= ic->node->n_out) return LAMINA_OK;
    lmn_fact *out = &ic->out[o];
    out->kind = LMN_FACT_TENSOR;
    out->rank = ranked ? acc.rank : -1;
    for (int32_t d = 0; d < acc.rank; d++) out->dims[d] = ranked ? acc.dims[d] : LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

int32_t lmn_infer_elems(lmn_infer *ic, int32_t i, const lmn_dim **out)
{
    *out = NULL;
    if (!lmn_infer_has(ic, i) || ic->in[i]->kind != LMN_FACT_TENSOR) return -1;
    const lmn_fact *f = ic->in[i];
    if (f->rank > 1 || f->rank < 0) return -1;
    if (f->n_elems >= 0) {
        *out = f->elems;
        return f->n_elems;
    }
    if (!ic->in_const || !ic->in_const[i]) return -1;
    const lmn_fact of = lmn_fact_of(ic->in_const[i], ic->arena);
    *out = of.elems;
    return of.n_elems;
}

int32_t lmn_infer_ints(lmn_infer *ic, int32_t i, int64_t *out, int32_t cap)
{
    const lmn_dim *e;
    const int32_t n = lmn_infer_elems(ic, i, &e);
    if (n < 0 || n > cap) return -1;
    for (int32_t k = 0; k < n; k++) {
        if (!lmn_dim_is_const(e[k])) return -1;
        out[k] = lmn_dim_value(e[k]);
    }
    return n;
}

lmn_dim *lmn_infer_set_elems(lmn_infer *ic, int32_t o, int32_t n)
{
    if (o >= ic->node->n_out || n < 0 || n > LMN_FACT_MAX_ELEMS || !ic->arena) return NULL;
    lmn_dim *e = LMN_ARENA_ARRAY(ic->arena, lmn_dim, (size_t)n);
    if (!e) return NULL;
    for (int32_t k = 0; k < n; k++) e[k] = LMN_DIM_UNKNOWN;
    ic->out[o].elems = e;
    ic->out[o].n_elems = n;
    return e;
}

lamina_status lmn_infer_axis(lmn_infer *ic, int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -(int64_t)rank || axis >= rank) {
        if (rank == 0)
            return lmn_infer_fail(ic, LAMINA_E_RANGE, "give the input at least one dimension",
                                  "axis %lld, but the input is a scalar", (long long)axis);
        return lmn_infer_fail(ic, LAMINA_E_RANGE, NULL, "axis %lld is outside [%d, %d]",
                              (long long)axis, -rank, rank - 1);
    }
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return LAMINA_OK;
}
