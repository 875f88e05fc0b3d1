/*
 * Geometry of convolution and pooling (convgeom.h). The attributes are read and bounded in one
 * place; the concrete and the symbolic road differ only in the arithmetic of one axis.
 */
#include "ops/convgeom.h"

#include <string.h>

#define ATTR_MAX INT32_MAX

enum { AUTO_NOTSET, AUTO_VALID, AUTO_SAME_UPPER, AUTO_SAME_LOWER };

/* Attributes as numbers; kernel[a] is -1 where nothing is said. */
typedef struct geom_attrs {
    int32_t rank, autop;
    bool ceil_mode, has_kernel, has_out_shape;
    int64_t group;
    int64_t kernel[LMN_CONV_MAX_RANK], stride[LMN_CONV_MAX_RANK], dilation[LMN_CONV_MAX_RANK];
    int64_t pb[LMN_CONV_MAX_RANK], pe[LMN_CONV_MAX_RANK];
    int64_t out_pad[LMN_CONV_MAX_RANK], out_shape[LMN_CONV_MAX_RANK];
    char why[112];
} geom_attrs;

/* One ints attribute of `want` entries in [lo, ATTR_MAX] (absent: def everywhere). */
static bool read_ints(const lmn_opnode *n, const char *name, int32_t want, int64_t lo, int64_t def,
                      int64_t *out, char *why)
{
    const int64_t *v;
    const int32_t got = lmn_attr_ints(n, name, &v);
    if (got != 0 && got != want) {
        (void)lmn_format(why, 112, "attribute \"%s\" has %d entries, must have %d", name, got,
                         want);
        return false;
    }
    for (int32_t i = 0; i < want; i++) {
        out[i] = got ? v[i] : def;
        if (got && (v[i] < lo || v[i] > ATTR_MAX)) {
            (void)lmn_format(why, 112, "attribute \"%s\" holds %lld, must be in [%lld, %d]", name,
                             (long long)v[i], (long long)lo, ATTR_MAX);
            return false;
        }
    }
    return true;
}

static bool read_auto_pad(const lmn_opnode *n, geom_attrs *g)
{
    static const char *const NAMES[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const char *s = lmn_attr_s(n, "auto_pad", "NOTSET");
    for (int32_t i = 0; i < 4; i++)
        if (strcmp(s, NAMES[i]) == 0) {
            g->autop = i;
            return true;
        }
    if (!s[0]) {
        g->autop = AUTO_NOTSET;
        return true;
    }
    (void)lmn_format(g->why, sizeof g->why, "attribute \"auto_pad\" is no known mode");
    return false;
}

static lamina_status read_attrs(const lmn_opnode *n, int rank, geom_attrs *g)
{
    memset(g, 0, sizeof *g);
    if (rank < 1 || rank > LMN_CONV_MAX_RANK) {
        (void)lmn_format(g->why, sizeof g->why, "%d spatial dimensions, must be in [1, %d]", rank,
                         LMN_CONV_MAX_RANK);
        return LAMINA_E_SHAPE;
    }
    g->rank = rank;
    int64_t pads[2 * LMN_CONV_MAX_RANK];
    const int64_t *unused;
    const bool ok = read_ints(n, "kernel_shape", rank, 1, -1, g->kernel, g->why) &&
                    read_ints(n, "strides", rank, 1, 1, g->stride, g->why) &&
                    read_ints(n, "dilations", rank, 1, 1, g->dilation, g->why) &&
                    read_ints(n, "pads", 2 * rank, -ATTR_MAX, 0, pads, g->why) &&
                    read_ints(n, "output_padding", rank, 0, 0, g->out_pad, g->why) &&
                    read_auto_pad(n, g);
    if (!ok) return LAMINA_E_INVALID;
    /* output_shape may carry the batch and channel extents too. */
    int64_t full[LMN_MAX_RANK];
    const int32_t n_shape = lmn_attr_ints(n, "output_shape", &unused);
    const int32_t want = n_shape == rank + 2 ? rank + 2 : rank;
    if (!read_ints(n, "output_shape", want, 0, 0, full, g->why)) return LAMINA_E_INVALID;
    g->has_out_shape = n_shape > 0;
    for (int32_t a = 0; a < rank; a++) {
        g->pb[a] = g->autop == AUTO_NOTSET ? pads[a] : 0;
        g->pe[a] = g->autop == AUTO_NOTSET ? pads[rank + a] : 0;
        g->out_shape[a] = full[want - rank + a];
    }
    g->has_kernel = g->kernel[0] > 0;
    g->ceil_mode = lmn_attr_i(n, "ceil_mode", 0) != 0;
    g->group = lmn_attr_i(n, "group", 1);
    if (g->group >= 1 && g->group <= ATTR_MAX) return LAMINA_OK;
    (void)lmn_format(g->why, sizeof g->why, "attribute \"group\" is %lld, must be positive",
                     (long long)g->group);
    return LAMINA_E_INVALID;
}

int64_t lmn_geom_count(int32_t rank, const int64_t *extents)
{
    int64_t n = 1;
    for (int32_t a = 0; a < rank; a++) n *= extents[a];
    return n;
}

/* ---- concrete ---------------------------------------------------------------------------------
 */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* Split of a total padding: the odd one goes to the end (upper) or to the begin. */
static void split_pad(int64_t total, bool upper, int64_t *pb, int64_t *pe)
{
    const int64_t half = total / 2;
    *pb = upper ? half : total - half;
    *pe = total - *pb;
}

static lamina_status window_axis(lmn_conv_geom_t *g, const geom_attrs *at, int32_t a)
{
    const int64_t in = g->in[a], s = g->stride[a];
    const int64_t ek = (g->kernel[a] - 1) * g->dilation[a] + 1;
    if (at->autop == AUTO_SAME_UPPER || at->autop == AUTO_SAME_LOWER) {
        g->out[a] = (in + s - 1) / s;
        const int64_t total = lmn_max_i64((g->out[a] - 1) * s + ek - in, 0);
        split_pad(total, at->autop == AUTO_SAME_UPPER, &g->pad_begin[a], &g->pad_end[a]);
        return LAMINA_OK;
    }
    const int64_t room = in + g->pad_begin[a] + g->pad_end[a] - ek;
    if (room < 0 && in > 0) {
        (void)lmn_format(g->why, sizeof g->why,
                         "the kernel covers %lld elements of spatial axis %d, which with its "
                         "padding has %lld",
                         (long long)ek, a, (long long)(room + ek));
        return LAMINA_E_SHAPE;
    }
    const int64_t up = at->ceil_mode ? s - 1 : 0;
    g->out[a] = lmn_max_i64(floor_div(room + up, s) + 1, 0);
    if (at->ceil_mode) /* the last window starts inside the input or the begin padding */
        g->out[a] = lmn_min_i64(g->out[a], floor_div(in + g->pad_begin[a] + s - 1, s));
    g->out[a] = lmn_max_i64(g->out[a], 0);
    return LAMINA_OK;
}

static lamina_status deconv_axis(lmn_conv_geom_t *g, const geom_attrs *at, int32_t a)
{
    const int64_t in = g->in[a], s = g->stride[a];
    const int64_t ek = (g->kernel[a] - 1) * g->dilation[a] + 1;
    const bool same = at->autop == AUTO_SAME_UPPER || at->autop == AUTO_SAME_LOWER;
    const int64_t natural = in > 0 ? s * (in - 1) + at->out_pad[a] + ek : 0;
    if (at->has_out_shape || same) {
        g->out[a] = at->has_out_shape ? at->out_shape[a] : in * s;
        split_pad(lmn_max_i64(natural - g->out[a], 0), at->autop == AUTO_SAME_UPPER,
                  &g->pad_begin[a], &g->pad_end[a]);
        return LAMINA_OK;
    }
    g->out[a] = natural - g->pad_begin[a] - g->pad_end[a];
    if (in == 0) g->out[a] = 0;
    if (g->out[a] >= 0) return LAMINA_OK;
    (void)lmn_format(g->why, sizeof g->why, "the padding of spatial axis %d eats the whole output",
                     a);
    return LAMINA_E_SHAPE;
}

typedef lamina_status axis_fn(lmn_conv_geom_t *g, const geom_attrs *at, int32_t a);

static lamina_status resolve(const lmn_opnode *n, int rank, const int64_t *in,
                             const int64_t *kernel, lmn_conv_geom_t *out, axis_fn *axis)
{
    geom_attrs at;
    memset(out, 0, sizeof *out);
    const lamina_status st = read_attrs(n, rank, &at);
    memcpy(out->why, at.why, sizeof out->why);
    if (st != LAMINA_OK) return st;
    out->rank = rank;
    out->group = at.group;
    for (int32_t a = 0; a < rank; a++) {
        const int64_t k = kernel ? kernel[a] : at.kernel[a];
        if (k < 1 || k > ATTR_MAX || (at.has_kernel && at.kernel[a] != k)) {
            (void)lmn_format(out->why, sizeof out->why, "kernel extent %lld of spatial axis %d %s",
                             (long long)k, a,
                             k < 1 || k > ATTR_MAX ? "must be positive"
                                                   : "differs from attribute \"kernel_shape\"");
            return LAMINA_E_SHAPE;
        }
        if (in[a] < 0 || in[a] > ATTR_MAX) {
            (void)lmn_format(out->why, sizeof out->why, "extent %lld of spatial axis %d",
                             (long long)in[a], a);
            return LAMINA_E_RANGE;
        }
        out->in[a] = in[a];
        out->kernel[a] = k;
        out->stride[a] = at.stride[a];
        out->dilation[a] = at.dilation[a];
        out->pad_begin[a] = at.pb[a];
        out->pad_end[a] = at.pe[a];
        LMN_TRY(axis(out, &at, a));
    }
    return LAMINA_OK;
}

lamina_status lmn_conv_geom(const lmn_opnode *n, int spatial_rank, const int64_t *in_dims,
                            const int64_t *kernel, lmn_conv_geom_t *out)
{
    return resolve(n, spatial_rank, in_dims, kernel, out, window_axis);
}

lamina_status lmn_pool_geom(const lmn_opnode *n, int spatial_rank, const int64_t *in_dims,
                            lmn_conv_geom_t *out)
{
    return resolve(n, spatial_rank, in_dims, NULL, out, window_axis);
}

lamina_status lmn_deconv_geom(const lmn_opnode *n, int spatial_rank, const int64_t *in_dims,
                              const int64_t *kernel, lmn_conv_geom_t *out)
{
    return resolve(n, spatial_rank, in_dims, kernel, out, deconv_axis);
}

/* ---- symbolic ---------------------------------------------------------------------------------
 */

typedef struct sym_axis {
    lmn_dim_pool *p;
    lmn_dim in, ek; /* ek: extent that the dilated kernel covers */
    const geom_attrs *at;
    int32_t a;
} sym_axis;

static lamina_status fail_small(lmn_infer *ic, const sym_axis *x, lmn_dim room)
{
    char text[64], kernel[64];
    (void)lmn_dim_format(x->p, lmn_dim_add(x->p, room, x->ek), text, sizeof text);
    (void)lmn_dim_format(x->p, x->ek, kernel, sizeof kernel);
    return lmn_infer_fail(
        ic, LAMINA_E_SHAPE, "give a larger input or padding, or a smaller kernel",
        "the kernel, %s long with its dilation, does not fit spatial axis %d, which "
        "with its padding has %s",
        kernel, x->a, text);
}

static lamina_status sym_window(lmn_infer *ic, const sym_axis *x, lmn_dim *out)
{
    const geom_attrs *at = x->at;
    const lmn_dim s = lmn_dim_c(at->stride[x->a]), one = lmn_dim_c(1);
    if (at->autop == AUTO_SAME_UPPER || at->autop == AUTO_SAME_LOWER) {
        *out = lmn_dim_ceildiv(x->p, x->in, s);
        return LAMINA_OK;
    }
    const lmn_dim padded = lmn_dim_add(x->p, x->in, lmn_dim_c(at->pb[x->a] + at->pe[x->a]));
    const lmn_dim room = lmn_dim_sub(x->p, padded, x->ek);
    int64_t lo, hi, in_lo, in_hi;
    lmn_dim_range(x->p, room, &lo, &hi);
    lmn_dim_range(x->p, x->in, &in_lo, &in_hi);
    if (lmn_dim_known(room) && hi < 0 && in_lo > 0) return fail_small(ic, x, room);
    if (!at->ceil_mode) {
        *out = lmn_dim_add(x->p, lmn_dim_floordiv(x->p, room, s), one);
    } else {
        /* The last window must start inside the input or the begin padding. */
        const lmn_dim all = lmn_dim_add(x->p, lmn_dim_ceildiv(x->p, room, s), one);
        const lmn_dim inside = lmn_dim_add(x->p, x->in, lmn_dim_c(at->pb[x->a]));
        *out = lmn_dim_min(x->p, all, lmn_dim_ceildiv(x->p, inside, s));
    }
    if (in_lo == 0 && lmn_dim_is_const(*out)) *out = lmn_dim_max(x->p, *out, lmn_dim_c(0));
    return LAMINA_OK;
}

static lamina_status sym_deconv(lmn_infer *ic, const sym_axis *x, lmn_dim *out)
{
    const geom_attrs *at = x->at;
    const lmn_dim s = lmn_dim_c(at->stride[x->a]);
    if (at->has_out_shape) {
        *out = lmn_dim_c(at->out_shape[x->a]);
        return LAMINA_OK;
    }
    const lmn_dim scaled = lmn_dim_mul(x->p, x->in, s);
    if (at->autop == AUTO_SAME_UPPER || at->autop == AUTO_SAME_LOWER) {
        *out = scaled;
        return LAMINA_OK;
    }
    const int64_t k = at->out_pad[x->a] - at->stride[x->a] - at->pb[x->a] - at->pe[x->a];
    *out = lmn_dim_add(x->p, lmn_dim_add(x->p, scaled, x->ek), lmn_dim_c(k));
    int64_t lo, hi;
    lmn_dim_range(x->p, *out, &lo, &hi);
    if (lmn_dim_known(*out) && hi < 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give less padding",
                              "the padding of spatial axis %d eats the whole output", x->a);
    return LAMINA_OK;
}

typedef lamina_status sym_fn(lmn_infer *ic, const sym_axis *x, lmn_dim *out);

static lamina_status infer_axes(lmn_infer *ic, int rank, const lmn_dim *in, const lmn_dim *kernel,
                                lmn_dim *out, sym_fn *axis)
{
    geom_attrs at;
    const lamina_status st = read_attrs(ic->node, rank, &at);
    if (st != LAMINA_OK) return lmn_infer_fail(ic, st, NULL, "%s", at.why);
    for (int32_t a = 0; a < rank; a++) {
        lmn_dim k = at.has_kernel ? lmn_dim_c(at.kernel[a]) : LMN_DIM_UNKNOWN;
        if (kernel && !lmn_dim_unify(ic->dims, k, kernel[a], &k))
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "drop attribute \"kernel_shape\"",
                                  "kernel extent of spatial axis %d is %lld in the weights but "
                                  "%lld in attribute \"kernel_shape\"",
                                  a, (long long)lmn_dim_value(kernel[a]), (long long)at.kernel[a]);
        if (lmn_dim_is_const(k) && lmn_dim_value(k) < 1)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                                  "the kernel is empty in spatial axis %d", a);
        const lmn_dim one = lmn_dim_c(1);
        const lmn_dim span =
            lmn_dim_mul(ic->dims, lmn_dim_sub(ic->dims, k, one), lmn_dim_c(at.dilation[a]));
        const sym_axis x = {ic->dims, in[a], lmn_dim_add(ic->dims, span, one), &at, a};
        LMN_TRY(axis(ic, &x, &out[a]));
    }
    return LAMINA_OK;
}

lamina_status lmn_conv_geom_infer(lmn_infer *ic, int spatial_rank, const lmn_dim *in,
                                  const lmn_dim *kernel, lmn_dim *out)
{
    return infer_axes(ic, spatial_rank, in, kernel, out, sym_window);
}

lamina_status lmn_pool_geom_infer(lmn_infer *ic, int spatial_rank, const lmn_dim *in, lmn_dim *out)
{
    return infer_axes(ic, spatial_rank, in, NULL, out, sym_window);
}

lamina_status lmn_deconv_geom_infer(lmn_infer *ic, int spatial_rank, const lmn_dim *in,
                                    const lmn_dim *kernel, lmn_dim *out)
{
    return infer_axes(ic, spatial_rank, in, kernel, out, sym_deconv);
}
