/*
 * Tile (ai.onnx, since 1; opset 1 repeated one axis only): numpy.tile with one repeat count an
 * axis.
 */
#include "ops/move.h"
#include "ops/shapes.h"

static lamina_status infer_tile(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    const lmn_dim *e;
    const int32_t n = lmn_infer_elems(ic, 1, &e);
    const int64_t len = n >= 0 ? n : lmn_infer_length(ic, 1);
    lmn_fact *f;
    if (r >= 0 && len >= 0 && len != r)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give one repeat count an axis",
                              "%lld repeat counts for rank %d", (long long)len, r);
    LMN_TRY(lmn_infer_shape(ic, 0, r >= 0 ? r : len <= LMN_MAX_RANK ? (int32_t)len : -1, &f));
    for (int32_t k = 0; k < n; k++)
        if (lmn_dim_is_const(e[k]) && lmn_dim_value(e[k]) < 0)
            return lmn_infer_fail(ic, LAMINA_E_RANGE, "repeat 0 times or more",
                                  "repeat count %lld of axis %d is below zero",
                                  (long long)lmn_dim_value(e[k]), k);
    for (int32_t k = 0; r >= 0 && n >= 0 && k < r; k++)
        f->dims[k] = lmn_dim_mul(ic->dims, ic->in[0]->dims[k], e[k]);
    return LAMINA_OK;
}

static lamina_status eval_tile(lmn_eval *ec)
{
    const lamina_tensor *x;
    int64_t rep[LMN_MAX_RANK], dims[LMN_MAX_RANK], out_st[LMN_MAX_RANK], in_st[LMN_MAX_RANK];
    int32_t n;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_ints(ec, 1, rep, LMN_MAX_RANK, &n));
    if (n != x->rank)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%d repeat counts for rank %d", n, x->rank);
    for (int32_t k = 0; k < n; k++)
        if (rep[k] < 0 || !lmn_mul_i64(rep[k], x->dims[k], &dims[k]))
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "repeat count %lld cannot be used",
                                 (long long)rep[k]);
    LMN_TRY(lmn_check_grown(ec, x->dtype, n, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, n, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    lmn_dense_strides(n, x->dims, in_st);
    lmn_dense_strides(n, dims, out_st);
    lmn_move m = {.eb = in.eb, .rank = 2 * n, .dst = out.p, .src = in.p};
    for (int32_t k = 0; k < n;
         k++) { /* each axis is (repeat, extent); the repeat does not move src */
        m.dims[2 * k] = rep[k];
        m.dst_st[2 * k] = out_st[k] * x->dims[k];
        m.dims[2 * k + 1] = x->dims[k];
        m.dst_st[2 * k + 1] = out_st[k];
        m.src_st[2 * k + 1] = in_st[k];
    }
    lmn_move_run(ec->par, &m);
    return lmn_plain_done(ec, &out);
}

/* Opset 1: inputs (input, tiles, axis), one axis repeated. */
static lamina_status canon_tile(lmn_canon *c)
{
    int64_t rep[LMN_MAX_RANK];
    if (c->opset >= 6 || c->n_in < 3) return LAMINA_OK;
    const lmn_fact *x = c->b->fact(c->b->ctx, c->in[0]);
    const lamina_tensor *tiles = c->b->data(c->b->ctx, c->in[1]);
    const lamina_tensor *axis = c->b->data(c->b->ctx, c->in[2]);
    if (!x || x->rank < 0 || !tiles || !axis || lmn_count(tiles) != 1 || lmn_count(axis) != 1)
        return lmn_canon_fail(c, LAMINA_E_UNSUPPORTED, "convert the model to opset 6 or newer",
                              "the opset 1 form needs constant tiles and axis and a known rank");
    const int64_t a = lmn_get_i64(axis, 0);
    if (a < 0 || a >= x->rank)
        return lmn_canon_fail(c, LAMINA_E_RANGE, NULL, "axis %lld is outside rank %d", (long long)a,
                              x->rank);
    for (int32_t k = 0; k < x->rank; k++) rep[k] = k == a ? lmn_get_i64(tiles, 0) : 1;
    c->n_in = 2;
    return lmn_canon_in_i64s(c, 1, rep, x->rank) ? LAMINA_OK : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {
    {"input", 'T', 0, LMN_D_ALL}, {"repeats", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Tile = {
    .name = "Tile",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .infer = infer_tile,
    .eval = eval_tile,
    .canon = canon_tile,
};
