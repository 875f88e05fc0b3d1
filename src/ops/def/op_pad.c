/*
 * Pad (ai.onnx, since 1; pads as input since 11, axes since 18, wrap since 19): constant, reflect,
 * edge or wrap. Negative pads crop first; the rest then pads what is left. An axis cropped to
 * nothing can only be padded with a constant.
 */
#include "ops/move.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_pad(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    const lmn_dim *p;
    int64_t ax[LMN_MAX_RANK];
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, r, &f));
    const int32_t n = lmn_infer_elems(ic, 1, &p);
    const bool named = ic->node->n_in > 3 && ic->in[3];
    const int32_t na = named ? lmn_infer_ints(ic, 3, ax, LMN_MAX_RANK) : r;
    if (r < 0 || na < 0 || (n < 0 && !named)) return LAMINA_OK;
    if (n >= 0 && n != 2 * na)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give a begin and an end for each padded axis",
                              "%d pads for %d axes", n, na);
    for (int32_t k = 0; k < r; k++) f->dims[k] = ic->in[0]->dims[k];
    for (int32_t k = 0; k < na; k++) {
        int32_t a = k;
        if (named) LMN_TRY(lmn_infer_axis(ic, ax[k], r, &a));
        f->dims[a] =
            n < 0 ? LMN_DIM_UNKNOWN
                  : lmn_dim_add(ic->dims, f->dims[a], lmn_dim_add(ic->dims, p[k], p[na + k]));
    }
    return LAMINA_OK;
}

/* One axis: where the kept part starts in the input, its extent, where it lands, extent of the
 * output. */
typedef struct pad_axis {
    int64_t skip, keep, at, out;
} pad_axis;

static lamina_status read_pads(lmn_eval *ec, const lamina_tensor *x, pad_axis *p)
{
    int64_t v[2 * LMN_MAX_RANK], ax[LMN_MAX_RANK];
    int32_t n, na;
    uint32_t seen = 0;
    LMN_TRY(lmn_ints(ec, 1, v, 2 * LMN_MAX_RANK, &n));
    LMN_TRY(lmn_ints(ec, 3, ax, LMN_MAX_RANK, &na));
    const bool named = lmn_in(ec, 3) != NULL;
    if (!named) na = x->rank;
    if (n != 2 * na) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%d pads for %d axes", n, na);
    for (int32_t k = 0; k < x->rank; k++) p[k] = (pad_axis){0, x->dims[k], 0, x->dims[k]};
    for (int32_t k = 0; k < na; k++) {
        const int64_t begin = v[k], end = v[na + k], limit = LMN_DIM_MAX_CONST;
        int32_t a = k;
        if (named) LMN_TRY(lmn_axis(ec, ax[k], x->rank, &a));
        const int64_t d = x->dims[a];
        if (begin > limit || end > limit || begin < -d || end < -d || begin + end < -d ||
            (seen >> a & 1))
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "pads %lld and %lld do not fit axis %d of %lld", (long long)begin,
                                 (long long)end, a, (long long)d);
        seen |= 1u << a;
        p[a].skip = lmn_max_i64(0, -begin);
        p[a].keep = lmn_max_i64(0, d - p[a].skip - lmn_max_i64(0, -end));
        p[a].at = lmn_max_i64(0, begin);
        p[a].out = d + begin + end;
    }
    return LAMINA_OK;
}

/* Constant mode: fill, then move the kept box. */
static lamina_status pad_constant(lmn_eval *ec, const lamina_tensor *x, const pad_axis *p,
                                  const lmn_plain *in, const lmn_plain *out)
{
    const lamina_tensor *c = lmn_in(ec, 2);
    const uint8_t zero[16] = {0};
    const void *value = zero;
    int64_t st[LMN_MAX_RANK], ost[LMN_MAX_RANK], dims[LMN_MAX_RANK], from = 0, to = 0;
    lmn_plain fill;
    if (c) {
        if (c->kind != LAMINA_KIND_TENSOR || c->dtype != x->dtype || lmn_count(c) != 1)
            return lmn_eval_fail(ec, LAMINA_E_DTYPE, "constant_value must be one %s",
                                 lamina_dtype_name(x->dtype));
        LMN_TRY(lmn_plain_in(ec, c, &fill));
        value = fill.p;
    }
    lmn_move_fill(out->p, out->eb, out->n, value);
    for (int32_t k = 0; k < x->rank; k++) dims[k] = p[k].out;
    lmn_dense_strides(x->rank, x->dims, st);
    lmn_dense_strides(x->rank, dims, ost);
    lmn_move m = {.eb = in->eb, .rank = x->rank};
    for (int32_t k = 0; k < x->rank; k++) {
        m.dims[k] = lmn_min_i64(p[k].keep, p[k].out - p[k].at);
        m.src_st[k] = st[k];
        m.dst_st[k] = ost[k];
        if (m.dims[k] <= 0) return LAMINA_OK;
        from += p[k].skip * st[k];
        to += p[k].at * ost[k];
    }
    m.src = in->p + (size_t)from * in->eb;
    m.dst = out->p + (size_t)to * in->eb;
    lmn_move_run(ec->par, &m);
    return LAMINA_OK;
}

/* Source place of output place i on an axis: i counts from the kept part's first element. */
static int64_t source_of(const pad_axis *p, char mode, int64_t i)
{
    const int64_t n = p->keep;
    if (mode == 'e') return p->skip + (i < 0 ? 0 : i >= n ? n - 1 : i);
    const int64_t period = mode == 'w' ? n : n > 1 ? 2 * (n - 1) : 1;
    int64_t r = i % period;
    if (r < 0) r += period;
    return p->skip + (r < n ? r : period - r);
}

/* The other modes: every axis has a table of source offsets, rows are gathered. */
static lamina_status pad_gather(lmn_eval *ec, const lamina_tensor *x, const pad_axis *p,
                                const lmn_plain *in, const lmn_plain *out)
{
    const char mode = lmn_attr_s(ec->node, "mode", "constant")[0];
    int64_t st[LMN_MAX_RANK], at[LMN_MAX_RANK] = {0}, *map[LMN_MAX_RANK];
    lmn_dense_strides(x->rank, x->dims, st);
    for (int32_t k = 0; k < x->rank; k++) {
        if (p[k].keep == 0)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "axis %d is empty: nothing to pad it from", k);
        map[k] = lmn_scratch(ec, (size_t)p[k].out * sizeof *map[k]);
        if (!map[k]) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the pad tables");
        for (int64_t i = 0; i < p[k].out; i++)
            map[k][i] = source_of(&p[k], mode, i - p[k].at) * st[k];
    }
    if (x->rank == 0) {
        lmn_move_one(out->p, in->p, in->eb);
        return LAMINA_OK;
    }
    const int32_t last = x->rank - 1;
    for (int64_t row = 0; row < out->n; row += p[last].out) {
        int64_t base = 0;
        for (int32_t k = 0; k < last; k++) base += map[k][at[k]];
        for (int64_t i = 0; i < p[last].out; i++)
            lmn_move_one(out->p + (size_t)(row + i) * in->eb,
                         in->p + (size_t)(base + map[last][i]) * in->eb, in->eb);
        for (int32_t k = last - 1; k >= 0 && ++at[k] == p[k].out; k--) at[k] = 0;
    }
    return LAMINA_OK;
}

static lamina_status eval_pad(lmn_eval *ec)
{
    static const char *const MODES[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = lmn_attr_s(ec->node, "mode", "constant");
    const lamina_tensor *x;
    pad_axis p[LMN_MAX_RANK];
    int64_t dims[LMN_MAX_RANK];
    lmn_plain in, out;
    bool ok = false;
    for (size_t i = 0; i < LMN_COUNT(MODES); i++) ok = ok || strcmp(mode, MODES[i]) == 0;
    if (!ok)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "mode must be constant, reflect, edge or wrap");
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(read_pads(ec, x, p));
    for (int32_t k = 0; k < x->rank; k++) dims[k] = p[k].out;
    LMN_TRY(lmn_check_grown(ec, x->dtype, x->rank, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    LMN_TRY(mode[0] == 'c' ? pad_constant(ec, x, p, &in, &out) : pad_gather(ec, x, p, &in, &out));
    return lmn_plain_done(ec, &out);
}

static lamina_status canon_pad(lmn_canon *c)
{
    if (c->opset >= 11) return LAMINA_OK;
    const lmn_fact *x = c->b->fact(c->b->ctx, c->in[0]);
    const float v = lmn_attr_f(c->node, "value", 0.0f);
    const bool ok = lmn_canon_attr_to_input(c, c->opset < 2 ? "paddings" : "pads", 1);
    lmn_canon_drop_attr(c, "value");
    if (!ok || c->n_in < 2)
        return lmn_canon_fail(c, LAMINA_E_INVALID, NULL, "the pads attribute is missing");
    if (v == 0.0f) return LAMINA_OK;
    return lmn_canon_in_scalar(c, 2, x && x->dtype ? x->dtype : LAMINA_F32, v) ? LAMINA_OK
                                                                               : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL},
    {"pads", 0, 0, LMN_DBIT(LAMINA_I64)},
    {"constant_value", 'T', LMN_PORT_OPTIONAL, LMN_D_ALL},
    {"axes", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)},
    {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_Pad = {
    .name = "Pad",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_pad,
    .eval = eval_pad,
    .canon = canon_pad,
};
