/*
 * CenterCropPad (ai.onnx, since 18): each named axis is cropped or padded with 0 around its centre
 * to the asked extent; an odd crop starts half an element early, an odd pad ends one later.
 */
#include "ops/move.h"
#include "ops/shapes.h"

/* Axes attribute or all axes; count, -1 if one is outside the rank or named twice. */
static int32_t read_axes(const lmn_opnode *n, int32_t rank, int32_t *axes)
{
    const int64_t *a;
    const int32_t len = lmn_attr_ints(n, "axes", &a);
    uint32_t seen = 0;
    for (int32_t k = 0; k < rank; k++) axes[k] = k;
    if (!lmn_attr_find(n, "axes")) return rank;
    if (len > rank) return -1;
    for (int32_t k = 0; k < len; k++) {
        if (a[k] < -(int64_t)rank || a[k] >= rank) return -1;
        axes[k] = (int32_t)(a[k] < 0 ? a[k] + rank : a[k]);
        if (seen >> axes[k] & 1) return -1;
        seen |= 1u << axes[k];
    }
    return len;
}

static lamina_status infer_centercroppad(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    int32_t axes[LMN_MAX_RANK];
    const lmn_dim *e;
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, r, &f));
    if (r < 0) return LAMINA_OK;
    const int32_t na = read_axes(ic->node, r, axes), n = lmn_infer_elems(ic, 1, &e);
    if (na < 0 || (n >= 0 && n != na))
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give shape one extent an axis",
                              "axes and shape do not fit rank %d", r);
    for (int32_t k = 0; k < r; k++) f->dims[k] = ic->in[0]->dims[k];
    for (int32_t k = 0; k < na; k++) f->dims[axes[k]] = n >= 0 ? e[k] : LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

static lamina_status eval_centercroppad(lmn_eval *ec)
{
    const uint8_t zero[16] = {0};
    const lamina_tensor *x;
    int64_t want[LMN_MAX_RANK], dims[LMN_MAX_RANK], st[LMN_MAX_RANK], from = 0, to = 0;
    int32_t axes[LMN_MAX_RANK], n;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_ints(ec, 1, want, LMN_MAX_RANK, &n));
    if (read_axes(ec->node, x->rank, axes) != n)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "axes and shape do not fit rank %d", x->rank);
    for (int32_t k = 0; k < x->rank; k++) dims[k] = x->dims[k];
    for (int32_t k = 0; k < n; k++) dims[axes[k]] = want[k];
    LMN_TRY(lmn_check_grown(ec, x->dtype, x->rank, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    lmn_move_fill(out.p, out.eb, out.n, zero);
    lmn_move m = {.eb = in.eb, .rank = x->rank};
    lmn_dense_strides(x->rank, x->dims, st);
    lmn_dense_strides(x->rank, dims, m.dst_st);
    for (int32_t k = 0; k < x->rank; k++) {
        m.dims[k] = lmn_min_i64(dims[k], x->dims[k]);
        m.src_st[k] = st[k];
        from += lmn_max_i64(0, x->dims[k] - dims[k]) / 2 * st[k];
        to += lmn_max_i64(0, dims[k] - x->dims[k]) / 2 * m.dst_st[k];
    }
    if (in.n == 0) return lmn_plain_done(ec, &out);
    m.src = in.p + (size_t)from * in.eb;
    m.dst = out.p + (size_t)to * in.eb;
    lmn_move_run(ec->par, &m);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"input_data", 'T', 0, LMN_D_ALL},
                              {"shape", 0, 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"output_data", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axes", LMN_ATTR_INTS, 0}, {0}};

const lmn_op_def lmn_op_CenterCropPad = {
    .name = "CenterCropPad",
    .domain = "",
    .since = 18,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_centercroppad,
    .eval = eval_centercroppad,
};
