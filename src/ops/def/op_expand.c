/*
 * Expand (ai.onnx, since 8): numpy broadcast of the input with `shape`; a 1 in shape keeps the
 * input's extent.
 */
#include "ops/move.h"
#include "ops/shapes.h"

/* A known scalar or one-element vector repeated. */
static void repeat_elem(lmn_infer *ic)
{
    const lmn_dim *src;
    const lmn_fact *f = &ic->out[0];
    if (f->rank != 1 || lmn_infer_elems(ic, 0, &src) != 1 || !lmn_dim_known(f->dims[0]) ||
        !lmn_dim_is_const(f->dims[0]))
        return;
    const int64_t n = lmn_dim_value(f->dims[0]);
    if (n < 0 || n > LMN_FACT_MAX_ELEMS) return;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, (int32_t)n);
    for (int64_t k = 0; e && k < n; k++) e[k] = src[0];
}

static lamina_status infer_expand(lmn_infer *ic)
{
    const lmn_dim *e;
    const int32_t n = lmn_infer_elems(ic, 1, &e), r = lmn_infer_rank(ic, 0);
    if (n < 0 || r < 0) {
        const int64_t len = lmn_infer_length(ic, 1);
        const bool fits = r >= 0 && len >= 0 && len <= LMN_MAX_RANK;
        return lmn_infer_shape(ic, 0, fits ? (int32_t)lmn_max_i64(r, len) : -1, NULL);
    }
    if (n > LMN_MAX_RANK)
        return lmn_infer_fail(ic, LAMINA_E_LIMIT, NULL, "the shape has %d extents, at most %d", n,
                              LMN_MAX_RANK);
    lmn_fact want = lmn_fact_tensor(ic->in[0]->dtype, n);
    for (int32_t k = 0; k < n; k++) {
        if (lmn_dim_is_const(e[k]) && lmn_dim_value(e[k]) < 0)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give every extent as 0 or more",
                                  "extent %d of the shape is %lld", k,
                                  (long long)lmn_dim_value(e[k]));
        want.dims[k] = e[k];
    }
    const lmn_fact *two[2] = {ic->in[0], &want};
    lmn_infer view = *ic;
    view.in = two;
    LMN_TRY(lmn_infer_broadcast(&view, 0, 0, 1));
    repeat_elem(ic);
    return LAMINA_OK;
}

static lamina_status eval_expand(lmn_eval *ec)
{
    const lamina_tensor *x;
    int64_t want[LMN_MAX_RANK], dims[LMN_MAX_RANK], st[LMN_MAX_RANK];
    int32_t n;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_ints(ec, 1, want, LMN_MAX_RANK, &n));
    const int32_t rank = x->rank > n ? x->rank : n;
    lmn_move m = {.rank = rank};
    lmn_dense_strides(x->rank, x->dims, st);
    for (int32_t k = 0; k < rank; k++) {
        const int32_t a = k - (rank - x->rank), b = k - (rank - n);
        const int64_t have = a >= 0 ? x->dims[a] : 1, ask = b >= 0 ? want[b] : 1;
        if (ask < 0 || (have != ask && have != 1 && ask != 1))
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "extent %lld cannot expand to %lld",
                                 (long long)have, (long long)ask);
        m.dims[k] = dims[k] = have == 1 ? ask : have;
        m.src_st[k] = have == 1 ? 0 : st[a];
    }
    LMN_TRY(lmn_check_grown(ec, x->dtype, rank, dims));
    if (lmn_dims_equal(rank, dims, x->rank, x->dims)) return lmn_out_alias(ec, 0, 0, rank, dims);
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, rank, dims, &out));
    if (!out.t) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    m.eb = in.eb;
    m.src = in.p;
    m.dst = out.p;
    lmn_dense_strides(rank, dims, m.dst_st);
    lmn_move_run(ec->par, &m);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"input", 'T', 0, LMN_D_ALL}, {"shape", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Expand = {
    .name = "Expand",
    .domain = "",
    .since = 8,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_expand,
    .eval = eval_expand,
};
