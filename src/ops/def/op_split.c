/*
 * Split (ai.onnx, since 1; lengths as input since 13, num_outputs since 18): parts along `axis`
 * (default 0), by the lengths in `split` or into equal parts, the last one smaller when num_outputs
 * is given. Zero-length parts are fine.
 */
#include "ops/join.h"

/* Extent of part i of n without lengths: exact without num_outputs or where n divides the extent,
   else steps of ceil(d / n) until nothing is left. */
static lmn_dim equal_part(lmn_infer *ic, lmn_dim d, int32_t i, int32_t n)
{
    const lmn_dim even = lmn_dim_floordiv(ic->dims, d, lmn_dim_c(n));
    const lmn_dim step = lmn_dim_ceildiv(ic->dims, d, lmn_dim_c(n));
    if (even == step || !lmn_attr_find(ic->node, "num_outputs")) return even;
    if (i == 0) return step;
    const lmn_dim left = lmn_dim_sub(ic->dims, d, lmn_dim_mul(ic->dims, step, lmn_dim_c(i)));
    return n == 2 ? left : lmn_dim_max(ic->dims, lmn_dim_min(ic->dims, left, step), lmn_dim_c(0));
}

static lamina_status check_sum(lmn_infer *ic, const lmn_dim *e, int32_t n, lmn_dim extent)
{
    lmn_dim sum = lmn_dim_c(0), same;
    for (int32_t k = 0; k < n; k++) sum = lmn_dim_add(ic->dims, sum, e[k]);
    if (n != ic->node->n_out)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give one length an output",
                              "%d lengths for %d outputs", n, ic->node->n_out);
    if (!lmn_dim_unify(ic->dims, sum, extent, &same)) {
        char got[64], want[64];
        (void)lmn_dim_format(ic->dims, sum, got, sizeof got);
        (void)lmn_dim_format(ic->dims, extent, want, sizeof want);
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "make the lengths add up to the extent",
                              "the split lengths add up to %s, the axis has %s", got, want);
    }
    return LAMINA_OK;
}

/* The elements of a rank-1 input, cut where the lengths are constant. */
static void cut_elems(lmn_infer *ic)
{
    const lmn_dim *src;
    const int32_t n = lmn_infer_elems(ic, 0, &src);
    int64_t at = 0;
    for (int32_t o = 0; n >= 0 && o < ic->node->n_out; o++) {
        const lmn_dim d = ic->out[o].dims[0];
        if (!lmn_dim_known(d) || !lmn_dim_is_const(d)) return;
        const int64_t len = lmn_dim_value(d);
        if (len < 0 || len > n - at) return;
        lmn_dim *e = lmn_infer_set_elems(ic, o, (int32_t)len);
        for (int64_t k = 0; e && k < len; k++) e[k] = src[at + k];
        at += len;
    }
}

static lamina_status infer_split(lmn_infer *ic)
{
    const int32_t rank = lmn_infer_rank(ic, 0), n_out = ic->node->n_out;
    const bool by_input = ic->node->n_in > 1 && ic->in[1];
    const lmn_dim *e = NULL;
    const int32_t n = by_input ? lmn_infer_elems(ic, 1, &e) : -1;
    int32_t axis = 0;
    if (rank >= 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), rank, &axis));
    if (rank >= 0 && n >= 0) LMN_TRY(check_sum(ic, e, n, ic->in[0]->dims[axis]));
    for (int32_t o = 0; o < n_out; o++) {
        lmn_fact *f;
        LMN_TRY(lmn_infer_shape(ic, o, rank, &f));
        for (int32_t k = 0; k < rank; k++) f->dims[k] = ic->in[0]->dims[k];
        if (rank < 0) continue;
        if (by_input)
            f->dims[axis] = n >= 0 ? e[o] : LMN_DIM_UNKNOWN;
        else
            f->dims[axis] = equal_part(ic, ic->in[0]->dims[axis], o, n_out);
    }
    if (rank == 1) cut_elems(ic);
    return LAMINA_OK;
}

/* Lengths of the parts, checked against the extent. */
static lamina_status part_lengths(lmn_eval *ec, int64_t extent, int64_t *len)
{
    const int32_t n = ec->n_out;
    const lamina_tensor *split = lmn_in(ec, 1);
    int64_t left = extent;
    if (!split) {
        const int64_t step = (extent + n - 1) / n;
        if (!lmn_attr_find(ec->node, "num_outputs") && extent % n != 0)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "extent %lld does not split into %d equal parts",
                                 (long long)extent, n);
        for (int32_t o = 0; o < n; o++) left -= len[o] = lmn_min_i64(left, step);
        return LAMINA_OK;
    }
    if (split->rank != 1 || split->dtype != LAMINA_I64 || split->dims[0] != n)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "split must hold one int64 an output (%d)", n);
    for (int32_t o = 0; o < n; o++) {
        len[o] = lmn_get_i64(split, o);
        if (len[o] < 0 || len[o] > left)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "split length %lld does not fit extent %lld",
                                 (long long)len[o], (long long)extent);
        left -= len[o];
    }
    if (left != 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the split lengths leave %lld of extent %lld",
                             (long long)left, (long long)extent);
    return LAMINA_OK;
}

static lamina_status eval_split(lmn_eval *ec)
{
    const lamina_tensor *x;
    lmn_plain in;
    int64_t dims[LMN_MAX_RANK];
    lmn_cut cut = {0};
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &cut.axis));
    int64_t *len = lmn_scratch(ec, (size_t)ec->n_out * sizeof *len);
    if (!len) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %d lengths", ec->n_out);
    LMN_TRY(part_lengths(ec, x->dims[cut.axis], len));
    LMN_TRY(lmn_plain_in(ec, x, &in));
    for (int32_t k = 0; k < x->rank; k++) dims[k] = x->dims[k];
    for (int32_t o = 0; o < ec->n_out; o++, cut.first += cut.count) {
        lmn_plain out;
        dims[cut.axis] = cut.count = len[o];
        LMN_TRY(lmn_plain_out(ec, o, x->dtype, x->rank, dims, &out));
        if (!out.t) continue;
        lmn_cut_copy(ec, &in, x->rank, x->dims, cut, out.p);
        LMN_TRY(lmn_plain_done(ec, &out));
    }
    return LAMINA_OK;
}

static lamina_status canon_split(lmn_canon *c)
{
    if (c->opset < 13 && !lmn_canon_attr_to_input(c, "split", 1)) return LAMINA_E_NOMEM;
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"input", 'T', 0, LMN_D_ALL}, {"split", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"outputs", 'T', LMN_PORT_VARIADIC, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"num_outputs", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Split = {
    .name = "Split",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_split,
    .eval = eval_split,
    .canon = canon_split,
};
