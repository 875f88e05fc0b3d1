/*
 * Shared readers of axes, extents and integer inputs, for facts and for data.
 */
#include "ops/shapes.h"

/* Largest tensor a generating operator makes where the container sets no memory limit. */
#define GROWN_MAX_BYTES ((uint64_t)16 << 30)
/* Most factors of a quotient of extents. */
#define QUOTIENT_MAX 16

lamina_status lmn_infer_shape(lmn_infer *ic, int32_t o, int32_t rank, lmn_fact **f)
{
    if (rank > LMN_MAX_RANK)
        return lmn_infer_fail(ic, LAMINA_E_LIMIT, "fold or flatten axes before this node",
                              "output %d would have rank %d, at most %d are supported", o, rank,
                              LMN_MAX_RANK);
    lmn_fact *out = &ic->out[o];
    out->kind = LMN_FACT_TENSOR;
    out->rank = rank;
    out->n_elems = -1;
    out->elems = NULL;
    for (int32_t k = 0; k < LMN_MAX_RANK; k++) out->dims[k] = LMN_DIM_UNKNOWN;
    if (f) *f = out;
    return LAMINA_OK;
}

lamina_status lmn_infer_typed(lmn_infer *ic, int32_t o, lamina_dtype dt, int32_t rank, lmn_fact **f)
{
    LMN_TRY(lmn_infer_shape(ic, o, rank, f));
    ic->out[o].dtype = dt;
    return LAMINA_OK;
}

int64_t lmn_infer_length(const lmn_infer *ic, int32_t i)
{
    if (lmn_infer_rank(ic, i) != 1) return -1;
    const lmn_dim d = ic->in[i]->dims[0];
    return lmn_dim_is_const(d) ? lmn_dim_value(d) : -1;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        const int64_t r = a % b;
        a = b;
        b = r;
    }
    return a < 0 ? -a : a;
}

/* Fold the constant factors of d[0..n) into *c, keep the others in place; false on overflow. */
static bool split_consts(lmn_dim *d, int32_t *n, int64_t *c)
{
    int32_t k = 0;
    *c = 1;
    for (int32_t i = 0; i < *n; i++) {
        if (!lmn_dim_is_const(d[i]))
            d[k++] = d[i];
        else if (!lmn_mul_i64(*c, lmn_dim_value(d[i]), c))
            return false;
    }
    *n = k;
    return true;
}

lmn_dim lmn_dim_quotient(lmn_dim_pool *p, const lmn_dim *a, int32_t na, const lmn_dim *b,
                         int32_t nb)
{
    lmn_dim x[QUOTIENT_MAX], y[QUOTIENT_MAX];
    int64_t cx, cy;
    if (na > QUOTIENT_MAX || nb > QUOTIENT_MAX) return LMN_DIM_UNKNOWN;
    for (int32_t i = 0; i < na; i++) x[i] = a[i];
    for (int32_t i = 0; i < nb; i++) y[i] = b[i];
    if (!split_consts(x, &na, &cx) || !split_consts(y, &nb, &cy) || cy == 0) return LMN_DIM_UNKNOWN;
    for (int32_t i = 0; i < na; i++) /* equal words are equal values */
        for (int32_t j = 0; j < nb; j++)
            if (lmn_dim_known(x[i]) && x[i] == y[j]) {
                x[i--] = x[--na];
                y[j] = y[--nb];
                break;
            }
    const int64_t g = gcd(cx, cy);
    lmn_dim num = lmn_dim_c(cx / g), den = lmn_dim_c(cy / g);
    for (int32_t i = 0; i < na; i++) num = lmn_dim_mul(p, num, x[i]);
    for (int32_t i = 0; i < nb; i++) den = lmn_dim_mul(p, den, y[i]);
    return lmn_dim_floordiv(p, num, den);
}

lamina_status lmn_infer_axes(lmn_infer *ic, int32_t i, int32_t rank, uint32_t *mask, bool *known)
{
    int64_t v[LMN_INTS_MAX];
    *mask = 0;
    *known = true;
    if (!lmn_infer_has(ic, i)) {
        *known = i >= ic->node->n_in || !ic->in[i];
        return LAMINA_OK;
    }
    const int32_t n = lmn_infer_ints(ic, i, v, LMN_INTS_MAX);
    if (n < 0) {
        *known = false;
        return LAMINA_OK;
    }
    for (int32_t k = 0; k < n; k++) {
        int32_t ax = 0;
        LMN_TRY(lmn_infer_axis(ic, v[k], rank, &ax));
        if (*mask >> ax & 1)
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "name every axis once",
                                  "axis %d is named twice", ax);
        *mask |= 1u << ax;
    }
    return LAMINA_OK;
}

void lmn_fact_widen(lmn_fact *f, const lmn_fact *other)
{
    bool same = f->n_elems >= 0 && f->n_elems == other->n_elems;
    for (int32_t k = 0; same && k < f->n_elems; k++) same = f->elems[k] == other->elems[k];
    if (!same) {
        f->n_elems = -1;
        f->elems = NULL;
    }
    if (f->dtype != other->dtype) f->dtype = LAMINA_DTYPE_NONE;
    if (f->kind != other->kind || f->key != other->key) {
        const lamina_dtype dt = f->dtype;
        *f = lmn_fact_unknown();
        f->dtype = dt;
    }
    f->maybe |= other->maybe;
    if (f->rank != other->rank) f->rank = -1;
    for (int32_t k = 0; k < f->rank; k++)
        if (f->dims[k] != other->dims[k]) f->dims[k] = LMN_DIM_UNKNOWN;
}

lamina_dtype lmn_attr_dtype(const lmn_opnode *n, const char *name, lamina_dtype dt)
{
    const int64_t v = lmn_attr_i(n, name, 0);
    return v > 0 && v < LAMINA_DTYPE_COUNT ? (lamina_dtype)v : dt;
}

lamina_status lmn_axis(lmn_eval *ec, int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "axis %lld is outside [%d, %d]", (long long)axis,
                             -rank, rank - 1);
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return LAMINA_OK;
}

static bool is_int(lamina_dtype dt)
{
    return (LMN_DBIT(dt) & LMN_D_INT) != 0;
}

lamina_status lmn_need(lmn_eval *ec, int32_t i, const lamina_tensor **t)
{
    *t = lmn_in(ec, i);
    if (*t && (*t)->kind == LAMINA_KIND_TENSOR) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_INVALID, "input %d must be a tensor", i);
}

lamina_status lmn_ints(lmn_eval *ec, int32_t i, int64_t *out, int32_t cap, int32_t *n)
{
    const lamina_tensor *t = lmn_in(ec, i);
    *n = 0;
    if (!t) return LAMINA_OK;
    LMN_TRY(lmn_need(ec, i, &t));
    if (!is_int(t->dtype))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "input %d must hold integers, it is %s", i,
                             lamina_dtype_name(t->dtype));
    const int64_t count = lmn_count(t);
    if (t->rank > 1 || count > cap)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "input %d must be a vector of at most %d integers, it has rank %d and "
                             "%lld elements",
                             i, cap, t->rank, (long long)count);
    for (int64_t k = 0; k < count; k++) out[k] = lmn_get_i64(t, k);
    *n = (int32_t)count;
    return LAMINA_OK;
}

lamina_status lmn_int(lmn_eval *ec, int32_t i, int64_t def, int64_t *out)
{
    const lamina_tensor *t = lmn_in(ec, i);
    *out = def;
    if (!t) return LAMINA_OK;
    LMN_TRY(lmn_need(ec, i, &t));
    if ((!is_int(t->dtype) && t->dtype != LAMINA_BOOL) || lmn_count(t) != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d must be one integer", i);
    *out = lmn_get_i64(t, 0);
    return LAMINA_OK;
}

lamina_status lmn_axes(lmn_eval *ec, int32_t i, int32_t rank, uint32_t *mask)
{
    int64_t v[LMN_INTS_MAX];
    int32_t n;
    *mask = 0;
    LMN_TRY(lmn_ints(ec, i, v, LMN_INTS_MAX, &n));
    for (int32_t k = 0; k < n; k++) {
        int32_t ax = 0;
        LMN_TRY(lmn_axis(ec, v[k], rank, &ax));
        if (*mask >> ax & 1)
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "axis %d is named twice", ax);
        *mask |= 1u << ax;
    }
    return LAMINA_OK;
}

lamina_status lmn_check_grown(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    const uint64_t limit = ec->engine && ec->engine->topo.memory_limit_bytes
                               ? ec->engine->topo.memory_limit_bytes
                               : GROWN_MAX_BYTES;
    int64_t count;
    size_t bytes;
    if (rank > LMN_MAX_RANK)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the output would have rank %d, at most %d", rank,
                             LMN_MAX_RANK);
    for (int32_t k = 0; k < rank; k++)
        if (dims[k] < 0)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "extent %d of the output is negative (%lld)",
                                 k, (long long)dims[k]);
    if (!lmn_dims_count(rank, dims, &count) || !lmn_dense_bytes(dt, count, &bytes) || bytes > limit)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT,
                             "the output would need more than %llu bytes: the limit of one tensor",
                             (unsigned long long)limit);
    return LAMINA_OK;
}

int64_t lmn_span_count(const int64_t *dims, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t k = from; k < to; k++) n *= dims[k];
    return n;
}
