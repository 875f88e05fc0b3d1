/*
 * Slice (ai.onnx, since 1, starts and ends as inputs since 10): numpy slices. Starts and ends clamp
 * to the extent (so INT64_MAX and INT64_MIN mean "to the end"), steps may be negative but not 0.
 */
#include "ops/gather.h"

/* One axis resolved: first element, step, count. */
typedef struct slice_axis {
    int64_t first, step, count;
} slice_axis;

static slice_axis resolve(int64_t extent, int64_t start, int64_t end, int64_t step)
{
    const int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? extent : extent - 1;
    if (start < 0) start = start < -extent ? lo : start + extent;
    if (end < 0) end = end < -extent ? lo : end + extent;
    start = lmn_max_i64(lmn_min_i64(start, hi), step > 0 ? 0 : -1);
    end = lmn_max_i64(lmn_min_i64(end, hi), lo);
    const uint64_t span = step > 0 ? (uint64_t)(end - start) : (uint64_t)(start - end);
    const uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    const bool none = step > 0 ? end <= start : start <= end;
    return (slice_axis){start, step, none ? 0 : (int64_t)((span - 1) / by + 1)};
}

/* ---- inference ----------------------------------------------------------------------------------
 */

typedef struct bounds {
    const lmn_dim *start, *end, *step; /* step NULL = ones */
    int32_t axis[LMN_MAX_RANK];
    int32_t n;
} bounds;

/* What exporters write for "to the end". */
static bool is_far(lmn_dim d)
{
    return lmn_dim_is_const(d) && lmn_dim_value(d) >= INT32_MAX;
}

/* A start or end at its place in [0, extent], for step 1; unknown if the sign is not known. */
static lmn_dim clamp_bound(lmn_infer *ic, lmn_dim v, lmn_dim extent)
{
    int64_t lo, hi;
    if (!lmn_dim_known(v)) return v;
    if (is_far(v) || v == extent) return extent;
    lmn_dim_range(ic->dims, v, &lo, &hi);
    if (lo >= 0) return lo == 0 && hi == 0 ? v : lmn_dim_min(ic->dims, v, extent);
    if (hi >= 0) return LMN_DIM_UNKNOWN;
    return lmn_dim_max(ic->dims, lmn_dim_add(ic->dims, extent, v), lmn_dim_c(0));
}

static lmn_dim sliced_dim(lmn_infer *ic, lmn_dim extent, lmn_dim start, lmn_dim end, lmn_dim step)
{
    const bool fixed = lmn_dim_known(start) && lmn_dim_is_const(start) && lmn_dim_known(end) &&
                       lmn_dim_is_const(end);
    if (!lmn_dim_known(step) || !lmn_dim_is_const(step) || !lmn_dim_known(extent))
        return LMN_DIM_UNKNOWN;
    const int64_t by = lmn_dim_value(step);
    if (fixed && lmn_dim_is_const(extent))
        return lmn_dim_c(
            resolve(lmn_dim_value(extent), lmn_dim_value(start), lmn_dim_value(end), by).count);
    if (by < 0) { /* only the whole axis backwards is worth an expression */
        const bool whole = fixed && (lmn_dim_value(start) == -1 || is_far(start)) &&
                           lmn_dim_value(end) <= -INT32_MAX;
        return whole ? lmn_dim_ceildiv(ic->dims, extent, lmn_dim_c(-by)) : LMN_DIM_UNKNOWN;
    }
    const lmn_dim a = clamp_bound(ic, start, extent), b = clamp_bound(ic, end, extent);
    if (!lmn_dim_known(a) || !lmn_dim_known(b)) return LMN_DIM_UNKNOWN;
    const lmn_dim span = lmn_dim_sub(ic->dims, b, a);
    int64_t lo, hi;
    if (!lmn_dim_known(span)) return span;
    lmn_dim_range(ic->dims, span, &lo, &hi);
    return lmn_dim_ceildiv(ic->dims, lo >= 0 ? span : lmn_dim_max(ic->dims, span, lmn_dim_c(0)),
                           step);
}

/* Which axes are cut and by what: false if even the axes are unknown. */
static lamina_status read_bounds(lmn_infer *ic, int32_t rank, bounds *b, bool *known)
{
    int64_t ax[LMN_MAX_RANK];
    const bool has_axes = ic->node->n_in > 3 && ic->in[3];
    const bool has_steps = ic->node->n_in > 4 && ic->in[4];
    const int32_t ns = lmn_infer_elems(ic, 1, &b->start), ne = lmn_infer_elems(ic, 2, &b->end);
    int32_t n = ns >= 0 ? ns : (int32_t)lmn_infer_length(ic, 1);
    *known = false;
    if (has_axes) {
        n = lmn_infer_ints(ic, 3, ax, LMN_MAX_RANK);
        if (n < 0) return LAMINA_OK;
    } else if (n < 0 || n > rank) {
        return LAMINA_OK;
    }
    *b = (bounds){.start = ns == n ? b->start : NULL, .end = ne == n ? b->end : NULL, .n = n};
    const int32_t nt = has_steps ? lmn_infer_elems(ic, 4, &b->step) : -1;
    if (has_steps && nt != n) b->start = b->step = NULL;
    for (int32_t k = 0; k < n; k++) {
        b->axis[k] = k;
        if (has_axes) LMN_TRY(lmn_infer_axis(ic, ax[k], rank, &b->axis[k]));
        if (b->step && b->step[k] == lmn_dim_c(0))
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "use a step of 1 or -1",
                                  "the step of axis %d is 0", b->axis[k]);
    }
    *known = true;
    return LAMINA_OK;
}

/* Elements of the input, cut along its first axis. */
static void slice_elems(lmn_infer *ic, const bounds *b)
{
    const lmn_fact *x = ic->in[0];
    int64_t dims[LMN_MAX_RANK];
    const lmn_dim *src = x->elems;
    int32_t n = x->n_elems;
    if (n < 0 && x->rank == 1) n = lmn_infer_elems(ic, 0, &src);
    if (n < 0 || b->n > 1 || (b->n == 1 && (!b->start || !b->end || b->axis[0] != 0))) return;
    if (!lmn_fact_static(x, dims) || x->rank < 1 || (dims[0] > 0 && n % dims[0])) return;
    const int64_t row = dims[0] > 0 ? n / dims[0] : 0;
    slice_axis s = {0, 1, dims[0]};
    if (b->n == 1) {
        const lmn_dim step = b->step ? b->step[0] : lmn_dim_c(1), v[3] = {*b->start, *b->end, step};
        for (int32_t k = 0; k < 3; k++)
            if (!lmn_dim_known(v[k]) || !lmn_dim_is_const(v[k])) return;
        s = resolve(dims[0], lmn_dim_value(v[0]), lmn_dim_value(v[1]), lmn_dim_value(step));
    }
    lmn_dim *e = lmn_infer_set_elems(ic, 0, (int32_t)(s.count * row));
    for (int64_t k = 0; e && k < s.count * row; k++)
        e[k] = src[(s.first + k / row * s.step) * row + k % row];
}

static lamina_status infer_slice(lmn_infer *ic)
{
    const int32_t rank = lmn_infer_rank(ic, 0);
    bounds b = {0};
    bool known;
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, rank, &f));
    if (rank < 0) return LAMINA_OK;
    LMN_TRY(read_bounds(ic, rank, &b, &known));
    if (!known) return LAMINA_OK;
    for (int32_t k = 0; k < rank; k++) f->dims[k] = ic->in[0]->dims[k];
    for (int32_t k = 0; k < b.n; k++) {
        lmn_dim *d = &f->dims[b.axis[k]];
        *d = b.start && b.end
                 ? sliced_dim(ic, *d, b.start[k], b.end[k], b.step ? b.step[k] : lmn_dim_c(1))
                 : LMN_DIM_UNKNOWN;
    }
    slice_elems(ic, &b);
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

/* Resolve every axis of x into s. */
static lamina_status read_slices(lmn_eval *ec, const lamina_tensor *x, slice_axis *s)
{
    int64_t start[LMN_MAX_RANK], end[LMN_MAX_RANK], axes[LMN_MAX_RANK], step[LMN_MAX_RANK];
    int32_t n, ne, na, nt;
    uint32_t seen = 0;
    LMN_TRY(lmn_ints(ec, 1, start, LMN_MAX_RANK, &n));
    LMN_TRY(lmn_ints(ec, 2, end, LMN_MAX_RANK, &ne));
    LMN_TRY(lmn_ints(ec, 3, axes, LMN_MAX_RANK, &na));
    LMN_TRY(lmn_ints(ec, 4, step, LMN_MAX_RANK, &nt));
    if (ne != n || (lmn_in(ec, 3) ? na != n : n > x->rank) || (lmn_in(ec, 4) && nt != n))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "starts, ends, axes and steps differ in length");
    for (int32_t k = 0; k < x->rank; k++) s[k] = (slice_axis){0, 1, x->dims[k]};
    for (int32_t k = 0; k < n; k++) {
        int32_t ax = k;
        if (na) LMN_TRY(lmn_axis(ec, axes[k], x->rank, &ax));
        const int64_t by = nt ? step[k] : 1;
        if (by == 0 || (seen >> ax & 1))
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "axis %d is sliced twice or with step 0",
                                 ax);
        seen |= 1u << ax;
        s[ax] = resolve(x->dims[ax], start[k], end[k], by);
    }
    return LAMINA_OK;
}

static lamina_status eval_slice(lmn_eval *ec)
{
    const lamina_tensor *x;
    slice_axis s[LMN_MAX_RANK];
    int64_t st[LMN_MAX_RANK], dims[LMN_MAX_RANK], offset = 0;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(read_slices(ec, x, s));
    for (int32_t k = 0; k < x->rank; k++) dims[k] = s[k].count;
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    lmn_move m = {.eb = in.eb, .rank = x->rank, .dst = out.p};
    lmn_dense_strides(x->rank, x->dims, st);
    lmn_dense_strides(x->rank, dims, m.dst_st);
    for (int32_t k = 0; k < x->rank; k++) {
        m.dims[k] = dims[k];
        m.src_st[k] =
            dims[k] > 1 ? st[k] * s[k].step : 0; /* a huge step of one element: no overflow */
        offset += s[k].first * st[k];
    }
    m.src = in.p + (size_t)offset * in.eb;
    lmn_move_run(ec->par, &m);
    return lmn_plain_done(ec, &out);
}

static lamina_status canon_slice(lmn_canon *c)
{
    if (c->opset >= 10) return LAMINA_OK;
    const bool ok = lmn_canon_attr_to_input(c, "starts", 1) &&
                    lmn_canon_attr_to_input(c, "ends", 2) && lmn_canon_attr_to_input(c, "axes", 3);
    return ok ? LAMINA_OK : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL},
                              {"starts", 'I', 0, LMN_D_INDEX},
                              {"ends", 'I', 0, LMN_D_INDEX},
                              {"axes", 'I', LMN_PORT_OPTIONAL, LMN_D_INDEX},
                              {"steps", 'I', LMN_PORT_OPTIONAL, LMN_D_INDEX},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Slice = {
    .name = "Slice",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_slice,
    .eval = eval_slice,
    .cost = lmn_gather_cost,
    .canon = canon_slice,
};
