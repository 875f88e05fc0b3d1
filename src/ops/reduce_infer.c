/*
 * Reductions on facts: shapes by axes as far as they are known, elements of small integer vectors,
 * and the older opsets in which axes were an attribute.
 */
#include "ops/reduce.h"

/* Which axes are reduced: true when known. n_axes is the count of the axes input, -1 = unknown. */
static lamina_status known_axes(lmn_infer *ic, int32_t rank, bool *reduced, bool *known,
                                int32_t *n_axes)
{
    int64_t axes[LMN_MAX_RANK];
    const bool has = lmn_infer_has(ic, 1);
    const lmn_fact *f = has ? ic->in[1] : NULL;
    *known = false;
    *n_axes = 0;
    if (ic->node->n_in > 1 && ic->in[1]) {
        *n_axes = lmn_infer_ints(ic, 1, axes, LMN_MAX_RANK);
        *known = *n_axes >= 0;
        if (!*known && f && f->rank == 1 && lmn_dim_is_const(f->dims[0]))
            *n_axes = (int32_t)lmn_min_i64(lmn_dim_value(f->dims[0]), LMN_MAX_RANK + 1);
    } else {
        *known = true;
    }
    const bool all = *n_axes == 0 && lmn_attr_i(ic->node, "noop_with_empty_axes", 0) == 0;
    if (*n_axes == 0) *known = true;
    for (int32_t d = 0; d < rank; d++) reduced[d] = all;
    for (int32_t i = 0; *known && i < *n_axes; i++) {
        int32_t a;
        if (rank == 0 && (axes[i] == 0 || axes[i] == -1)) continue;
        LMN_TRY(lmn_infer_axis(ic, axes[i], rank, &a));
        reduced[a] = true;
    }
    return LAMINA_OK;
}

static void infer_elems(lmn_infer *ic, lmn_reduce_dim_fn *fn)
{
    const lmn_dim *e;
    const lamina_dtype dt = ic->out[0].dtype;
    if (!fn || (dt != LAMINA_I64 && dt != LAMINA_I32) || ic->out[0].rank > 1) return;
    const int32_t n = lmn_infer_elems(ic, 0, &e);
    if (n < 1) return;
    lmn_dim acc = e[0];
    for (int32_t i = 1; i < n; i++) acc = fn(ic->dims, acc, e[i]);
    if (dt == LAMINA_I32 && !(lmn_dim_is_const(acc) && lmn_dim_value(acc) >= INT32_MIN &&
                              lmn_dim_value(acc) <= INT32_MAX))
        return;
    lmn_dim *out = lmn_infer_set_elems(ic, 0, 1);
    if (out) out[0] = acc;
}

lamina_status lmn_reduce_infer(lmn_infer *ic, lmn_reduce_dim_fn *fn)
{
    if (!lmn_infer_has(ic, 0) || ic->in[0]->rank < 0) return LAMINA_OK;
    const lmn_fact *x = ic->in[0];
    const bool keep = lmn_attr_i(ic->node, "keepdims", 1) != 0;
    bool reduced[LMN_MAX_RANK], known;
    int32_t n_axes;
    LMN_TRY(known_axes(ic, x->rank, reduced, &known, &n_axes));
    lmn_fact out = lmn_fact_tensor(x->dtype, 0);
    if (known) {
        bool all = true;
        for (int32_t d = 0; d < x->rank; d++) {
            all = all && reduced[d];
            if (!reduced[d] || keep) out.dims[out.rank++] = reduced[d] ? lmn_dim_c(1) : x->dims[d];
        }
        ic->out[0] = out;
        if (all) infer_elems(ic, fn);
        return LAMINA_OK;
    }
    /* Only how many: the rank follows (axes given twice are against the standard). */
    out.rank = keep ? x->rank : n_axes > 0 && n_axes <= x->rank ? x->rank - n_axes : -1;
    for (int32_t d = 0; d < out.rank; d++) out.dims[d] = LMN_DIM_UNKNOWN;
    ic->out[0] = out;
    return LAMINA_OK;
}

lamina_status lmn_reduce_canon(lmn_canon *c)
{
    return lmn_canon_attr_to_input(c, "axes", 1)
               ? LAMINA_OK
               : lmn_canon_fail(c, LAMINA_E_INVALID, NULL,
                                "attribute \"axes\" could not become an input");
}

void lmn_reduce_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                     lmn_cost *c)
{
    (void)n, (void)out;
    int64_t dims[LMN_MAX_RANK];
    if (!in[0] || !lmn_fact_static(in[0], dims)) return;
    c->flops = 1;
    for (int32_t d = 0; d < in[0]->rank; d++) c->flops *= (double)dims[d];
}
