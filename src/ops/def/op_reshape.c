/*
 * Reshape (ai.onnx, since 1, shape as input since 5): the same elements under new extents. -1 is
 * what remains, 0 copies the input's extent (or is a real 0 with allowzero=1). At most one -1.
 */
#include "ops/shapes.h"

/* Extent k of the request `e` as a dim: what may be -1 at run time is unknown. */
static lmn_dim wanted_dim(const lmn_infer *ic, const lmn_fact *x, lmn_dim e, int32_t k, bool zero)
{
    int64_t lo = 0, hi = 0;
    if (!lmn_dim_known(e)) return LMN_DIM_UNKNOWN;
    if (lmn_dim_is_const(e)) {
        if (lmn_dim_value(e) != 0 || zero) return e;
        return x->rank > k ? x->dims[k] : LMN_DIM_UNKNOWN;
    }
    lmn_dim_range(ic->dims, e, &lo, &hi);
    return lo >= 0 ? e : LMN_DIM_UNKNOWN;
}

static lamina_status resolve(lmn_infer *ic, const lmn_fact *x, lmn_fact *f, int32_t hole)
{
    bool whole = x->rank >= 0;
    for (int32_t k = 0; k < f->rank; k++) whole = whole && (k == hole || lmn_dim_known(f->dims[k]));
    if (hole >= 0 && whole) {
        lmn_dim rest[LMN_MAX_RANK];
        int32_t n = 0;
        for (int32_t k = 0; k < f->rank; k++)
            if (k != hole) rest[n++] = f->dims[k];
        f->dims[hole] = lmn_dim_quotient(ic->dims, x->dims, x->rank, rest, n);
    }
    const lmn_dim have = lmn_fact_count(ic->dims, x), want = lmn_fact_count(ic->dims, f);
    if (lmn_dim_known(have) && lmn_dim_known(want) && lmn_dim_is_const(have) &&
        lmn_dim_is_const(want) && have != want) {
        char a[160], b[160];
        lmn_fact_format(ic->dims, x, a, sizeof a);
        lmn_fact_format(ic->dims, f, b, sizeof b);
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "make the element counts equal",
                              "cannot reshape %s to %s", a, b);
    }
    return LAMINA_OK;
}

static lamina_status infer_reshape(lmn_infer *ic)
{
    static const lmn_fact blind = {.rank = -1, .n_elems = -1};
    const lmn_fact *x = lmn_infer_has(ic, 0) ? ic->in[0] : &blind;
    const bool zero = lmn_attr_i(ic->node, "allowzero", 0) != 0;
    const lmn_dim *e = NULL;
    const int32_t n = lmn_infer_elems(ic, 1, &e);
    lmn_fact *f;
    int32_t hole = -1;
    if (n < 0) {
        const int64_t len = lmn_infer_length(ic, 1);
        return lmn_infer_shape(ic, 0, len < 0 || len > LMN_MAX_RANK ? -1 : (int32_t)len, NULL);
    }
    LMN_TRY(lmn_infer_shape(ic, 0, n, &f));
    for (int32_t k = 0; k < n; k++) {
        const int64_t c = lmn_dim_is_const(e[k]) ? lmn_dim_value(e[k]) : 0;
        if (c < -1 || (c == -1 && hole >= 0))
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "use at most one -1 and no other negative",
                                  "element %d of the shape is %lld", k, (long long)c);
        if (c == -1)
            hole = k;
        else
            f->dims[k] = wanted_dim(ic, x, e[k], k, zero);
    }
    LMN_TRY(resolve(ic, x, f, hole));
    if (x->n_elems >= 0) {
        f->n_elems = x->n_elems;
        f->elems = x->elems;
    }
    return LAMINA_OK;
}

static lamina_status bad_shape(lmn_eval *ec, const lamina_tensor *x, int32_t n, const int64_t *want)
{
    char from[200], to[200];
    lmn_extents_text(x->rank, x->dims, from, sizeof from);
    lmn_extents_text(n, want, to, sizeof to);
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "cannot reshape %s to %s", from, to);
}

static lamina_status eval_reshape(lmn_eval *ec)
{
    const bool zero = lmn_attr_i(ec->node, "allowzero", 0) != 0;
    const lamina_tensor *x;
    int64_t want[LMN_MAX_RANK], rest = 1;
    int32_t n, hole = -1;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_ints(ec, 1, want, LMN_MAX_RANK, &n));
    for (int32_t k = 0; k < n; k++) {
        if (want[k] == 0 && !zero) {
            if (k >= x->rank)
                return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                     "element %d of the shape copies an axis of a rank %d tensor",
                                     k, x->rank);
            want[k] = x->dims[k];
        }
        if (want[k] < -1 || (want[k] == -1 && hole >= 0))
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "element %d of the shape is %lld", k,
                                 (long long)want[k]);
        if (want[k] == -1)
            hole = k;
        else if (!lmn_mul_i64(rest, want[k], &rest))
            return bad_shape(ec, x, n, want);
    }
    const int64_t count = lmn_count(x);
    if (hole >= 0) {
        if (rest == 0 ? count != 0 || zero : count % rest != 0)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%lld elements do not divide by %lld for -1",
                                 (long long)count, (long long)rest);
        want[hole] = rest ? count / rest : 0;
        rest *= want[hole];
    }
    if (rest != count) return bad_shape(ec, x, n, want);
    return lmn_out_alias(ec, 0, 0, n, want);
}

static lamina_status canon_reshape(lmn_canon *c)
{
    if (c->opset < 5 &&
        (!lmn_attr_find(c->node, "shape") || !lmn_canon_attr_to_input(c, "shape", 1)))
        return lmn_canon_fail(c, LAMINA_E_INVALID, NULL, "the shape attribute is missing");
    lmn_canon_drop_attr(c, "consumed_inputs");
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL}, {"shape", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"reshaped", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"allowzero", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Reshape = {
    .name = "Reshape",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_VIEW | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_reshape,
    .eval = eval_reshape,
    .canon = canon_reshape,
};
