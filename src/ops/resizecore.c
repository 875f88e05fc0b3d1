/*
 * Resize: attributes, extents and taps (resizecore.h). Extents from scales are
 * floor((float)in * scale) in f32, as the standard's own shape inference computes them. Source
 * coordinates are f64, those of nearest f32 (see source_nearest).
 */
#include "ops/resizecore.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

/* ---- attributes -------------------------------------------------------------------------------
 */

/* Position of `value` in a NULL-terminated list, -1 if absent. */
static int32_t find(const char *value, const char *const *names)
{
    for (int32_t i = 0; names[i]; i++)
        if (strcmp(value, names[i]) == 0) return i;
    return -1;
}

/* Name of the attribute that holds an unknown word, or NULL. */
static const char *read_attrs(const lmn_opnode *n, lmn_resize *r)
{
    static const char *const MODES[] = {"nearest", "linear", "cubic", NULL};
    static const char *const COORDS[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
        "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL};
    static const char *const ROUNDS[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil",
                                         NULL};
    const int32_t mode = find(lmn_attr_s(n, "mode", "nearest"), MODES);
    const int32_t coord =
        find(lmn_attr_s(n, "coordinate_transformation_mode", "half_pixel"), COORDS);
    const int32_t round = find(lmn_attr_s(n, "nearest_mode", "round_prefer_floor"), ROUNDS);
    if (mode < 0) return "mode";
    if (coord < 0) return "coordinate_transformation_mode";
    if (round < 0) return "nearest_mode";
    r->mode = (lmn_resize_mode)mode;
    r->coord = (lmn_resize_coord)coord;
    r->round = (lmn_resize_round)round;
    r->antialias = lmn_attr_i(n, "antialias", 0) != 0;
    r->exclude_outside = lmn_attr_i(n, "exclude_outside", 0) != 0;
    r->cubic_a = (double)lmn_attr_f(n, "cubic_coeff_a", -0.75f);
    r->extrapolation = (double)lmn_attr_f(n, "extrapolation_value", 0.0f);
    return NULL;
}

/* Axes that scales, sizes and roi speak of, normalised; -1 if one is outside or named twice. */
static int32_t read_axes(const lmn_opnode *n, int32_t rank, int32_t *axes)
{
    const int64_t *v;
    int32_t count = lmn_attr_ints(n, "axes", &v);
    bool named[LMN_MAX_RANK] = {false};
    if (!v || count == 0) {
        for (int32_t a = 0; a < rank; a++) axes[a] = a;
        return rank;
    }
    if (count > rank) return -1;
    for (int32_t k = 0; k < count; k++) {
        if (v[k] < -rank || v[k] >= rank) return -1;
        axes[k] = (int32_t)(v[k] < 0 ? v[k] + rank : v[k]);
        if (named[axes[k]]) return -1;
        named[axes[k]] = true;
    }
    return count;
}

static int64_t scaled_extent(int64_t in, float scale)
{
    const float v = floorf((float)in * scale);
    return v < 0.0f ? 0 : v >= 4e18f ? INT64_MAX : (int64_t)v;
}

/* Common scale of a keep_aspect_ratio_policy; 0 = stretch, each axis on its own. */
static double policy_scale(const lmn_opnode *n, const double *ratio, int32_t count)
{
    const bool larger = lmn_attr_is(n, "keep_aspect_ratio_policy", "not_smaller", "stretch");
    const bool smaller = lmn_attr_is(n, "keep_aspect_ratio_policy", "not_larger", "stretch");
    if ((!larger && !smaller) || count == 0) return 0.0;
    double s = ratio[0];
    for (int32_t k = 1; k < count; k++)
        if (larger ? ratio[k] > s : ratio[k] < s) s = ratio[k];
    return s;
}

/* ---- run time ---------------------------------------------------------------------------------
 */

static lamina_status from_sizes(lmn_eval *ec, lmn_resize *r, const int32_t *axes, int32_t count)
{
    const lamina_tensor *sizes = lmn_in(ec, 3);
    double ratio[LMN_MAX_RANK] = {0};
    for (int32_t k = 0; k < count; k++) {
        lmn_resize_axis *a = &r->axis[axes[k]];
        a->out = lmn_get_i64(sizes, k);
        if (a->out < 0 || (a->in == 0 && a->out > 0))
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "axis %d cannot go from %lld to %lld elements",
                                 axes[k], (long long)a->in, (long long)a->out);
        ratio[k] = a->in ? (double)a->out / (double)a->in : 1.0;
        a->scale = ratio[k];
        a->sized = true;
    }
    const double common = policy_scale(ec->node, ratio, count);
    for (int32_t k = 0; common > 0.0 && k < count; k++) {
        lmn_resize_axis *a = &r->axis[axes[k]];
        a->scale = common;
        a->sized = false;
        a->out = (int64_t)fmin(floor(common * (double)a->in + 0.5), 4e18);
    }
    return LAMINA_OK;
}

static lamina_status from_scales(lmn_eval *ec, lmn_resize *r, const int32_t *axes, int32_t count)
{
    const lamina_tensor *scales = lmn_in(ec, 2);
    for (int32_t k = 0; k < count; k++) {
        lmn_resize_axis *a = &r->axis[axes[k]];
        const float s = (float)lmn_get_f64(scales, k);
        if (!(s > 0.0f) || isinf(s))
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "scale %g of axis %d must be positive",
                                 (double)s, axes[k]);
        a->scale = (double)s;
        a->out = scaled_extent(a->in, s);
    }
    return LAMINA_OK;
}

static lamina_status read_roi(lmn_eval *ec, lmn_resize *r, const int32_t *axes, int32_t count)
{
    const lamina_tensor *roi = lmn_in(ec, 1);
    if (r->coord != LMN_COORD_TF_CROP_AND_RESIZE) return LAMINA_OK;
    if (!roi || lmn_count(roi) != 2 * count)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "tf_crop_and_resize needs a roi of %d entries",
                             2 * count);
    for (int32_t k = 0; k < count; k++) {
        r->axis[axes[k]].roi0 = lmn_get_f64(roi, k);
        r->axis[axes[k]].roi1 = lmn_get_f64(roi, count + k);
    }
    return LAMINA_OK;
}

lamina_status lmn_resize_setup(lmn_eval *ec, lmn_resize *r)
{
    const lamina_tensor *x = lmn_in(ec, 0), *scales = lmn_in(ec, 2), *sizes = lmn_in(ec, 3);
    int32_t axes[LMN_MAX_RANK];
    memset(r, 0, sizeof *r);
    const char *bad = read_attrs(ec->node, r);
    if (bad)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "attribute \"%s\" holds an unknown word", bad);
    const int32_t count = read_axes(ec->node, x->rank, axes);
    if (count < 0)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "attribute \"axes\" does not fit rank %d",
                             x->rank);
    r->rank = x->rank;
    for (int32_t a = 0; a < x->rank; a++)
        r->axis[a] = (lmn_resize_axis){x->dims[a], x->dims[a], 1.0, true, 0.0, 1.0};
    LMN_TRY(read_roi(ec, r, axes, count));
    const bool by_size = sizes && lmn_count(sizes) > 0, by_scale = scales && lmn_count(scales) > 0;
    if (by_size == by_scale && !(x->rank == 0))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "give either scales or sizes");
    if (x->rank == 0) return LAMINA_OK;
    if (lmn_count(by_size ? sizes : scales) != count)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s must have %d entries",
                             by_size ? "sizes" : "scales", count);
    for (int32_t k = 0; by_scale && k < count; k++) r->axis[axes[k]].sized = false;
    return by_size ? from_sizes(ec, r, axes, count) : from_scales(ec, r, axes, count);
}

/* ---- coordinates ------------------------------------------------------------------------------
 */

static double unscale(const lmn_resize_axis *a, double v)
{
    return a->sized ? v * (double)a->in / (double)a->out : v / a->scale;
}

/* Output position to input position. */
static double source(const lmn_resize *r, const lmn_resize_axis *a, int64_t o)
{
    const double x = (double)o, in = (double)a->in;
    const double length = a->sized ? (double)a->out : a->scale * in;
    const double half = unscale(a, x + 0.5) - 0.5;
    switch (r->coord) {
    case LMN_COORD_HALF_PIXEL: return half;
    case LMN_COORD_HALF_PIXEL_SYMMETRIC: return in / 2.0 * (1.0 - (double)a->out / length) + half;
    case LMN_COORD_PYTORCH_HALF_PIXEL: return length > 1.0 ? half : 0.0;
    case LMN_COORD_ALIGN_CORNERS: return length == 1.0 ? 0.0 : x * (in - 1.0) / (length - 1.0);
    case LMN_COORD_ASYMMETRIC: return unscale(a, x);
    case LMN_COORD_TF_HALF_PIXEL_FOR_NN: return unscale(a, x + 0.5);
    case LMN_COORD_TF_CROP_AND_RESIZE: break;
    }
    if (length == 1.0) return 0.5 * (a->roi0 + a->roi1) * (in - 1.0);
    return a->roi0 * (in - 1.0) + x * (a->roi1 - a->roi0) * (in - 1.0) / (length - 1.0);
}

static int64_t clamp_index(double v, int64_t n)
{
    if (!(v > 0.0)) return 0;
    return v >= (double)(n - 1) ? n - 1 : (int64_t)v;
}

/*
 * Source of nearest. The rounding that follows decides on last bits, so this is the f32 arithmetic
 * that the common engines use, operation by operation.
 */
static double source_nearest(const lmn_resize *r, const lmn_resize_axis *a, int64_t o)
{
    const float scale = a->sized ? (float)a->out / (float)a->in : (float)a->scale;
    const float x = (float)o;
    switch (r->coord) {
    case LMN_COORD_PYTORCH_HALF_PIXEL:
        if (a->out <= 1) return 0.0;
        return (double)((x + 0.5f) / scale - 0.5f);
    case LMN_COORD_HALF_PIXEL: return (double)((x + 0.5f) / scale - 0.5f);
    case LMN_COORD_ASYMMETRIC: return (double)(x / scale);
    case LMN_COORD_TF_HALF_PIXEL_FOR_NN: return (double)((x + 0.5f) / scale);
    default: return source(r, a, o);
    }
}

static double pick(const lmn_resize *r, double x)
{
    switch (r->round) {
    case LMN_ROUND_PREFER_FLOOR: return ceil(x - 0.5);
    case LMN_ROUND_PREFER_CEIL: return floor(x + 0.5);
    case LMN_ROUND_FLOOR: return floor(x);
    case LMN_ROUND_CEIL: break;
    }
    return ceil(x);
}

static double cubic(double d, double a)
{
    d = fabs(d);
    if (d <= 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    if (d < 2.0) return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
    return 0.0;
}

/* ---- taps -------------------------------------------------------------------------------------
 */

/* Fill the n taps of one output whose source is x. `shrink` < 1 widens the kernel (antialias). */
static void fill(const lmn_resize *r, const lmn_resize_axis *a, double x, double shrink,
                 int64_t start, int64_t n, int64_t *index, double *weight)
{
    const double base = floor(x), ratio = x - base;
    double sum = 0.0;
    for (int64_t t = 0; t < n; t++) {
        const double at = base + (double)(start + t);
        const double d = ((double)(start + t) - ratio) * shrink;
        double w = r->mode == LMN_RESIZE_CUBIC ? cubic(d, r->cubic_a) : fmax(0.0, 1.0 - fabs(d));
        if (r->exclude_outside && (at < 0.0 || at > (double)(a->in - 1))) w = 0.0;
        index[t] = clamp_index(at, a->in);
        weight[t] = w;
        sum += w;
    }
    if (!r->exclude_outside && !(r->antialias && shrink < 1.0)) return;
    for (int64_t t = 0; sum != 0.0 && t < n; t++) weight[t] /= sum;
}

lamina_status lmn_resize_taps(lmn_eval *ec, const lmn_resize *r, int32_t a, lmn_taps *t)
{
    const lmn_resize_axis *ax = &r->axis[a];
    const double reach = r->mode == LMN_RESIZE_CUBIC ? 2.0 : 1.0;
    const double shrink = r->antialias && ax->scale < 1.0 ? ax->scale : 1.0;
    const double first = floor(-reach / shrink) + 1.0;
    if (first < -1e9)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scale %g of axis %d is too small", ax->scale, a);
    const int64_t start = (int64_t)first;
    *t = (lmn_taps){.n = r->mode == LMN_RESIZE_NEAREST ? 1 : 2 - 2 * start};
    int64_t total;
    if (!lmn_mul_i64(t->n, ax->out, &total)) total = -1;
    int64_t *index = lmn_wide_scratch(ec, total, sizeof *index);
    double *weight = lmn_wide_scratch(ec, total, sizeof *weight);
    uint8_t *beyond =
        r->coord == LMN_COORD_TF_CROP_AND_RESIZE ? lmn_wide_scratch(ec, ax->out, 1) : NULL;
    if (!index || !weight || (!beyond && r->coord == LMN_COORD_TF_CROP_AND_RESIZE))
        return LAMINA_E_NOMEM;
    t->identity = ax->in == ax->out;
    for (int64_t o = 0; o < ax->out; o++) {
        double x = r->mode == LMN_RESIZE_NEAREST ? source_nearest(r, ax, o) : source(r, ax, o);
        if (!(fabs(x) < 1e15)) x = 0.0;
        if (beyond) beyond[o] = x < 0.0 || x > (double)(ax->in - 1);
        if (r->mode == LMN_RESIZE_NEAREST) {
            index[o] = clamp_index(pick(r, x), ax->in);
            weight[o] = 1.0;
            t->identity = t->identity && index[o] == o;
        } else {
            fill(r, ax, x, shrink, start, t->n, index + o * t->n, weight + o * t->n);
            t->identity = t->identity && x == (double)o;
        }
        if (beyond && beyond[o]) t->identity = false;
    }
    t->index = index;
    t->weight = weight;
    t->beyond = beyond;
    return LAMINA_OK;
}

/* ---- inference --------------------------------------------------------------------------------
 */

static lmn_dim scaled_dim(lmn_dim_pool *p, lmn_dim in, float scale)
{
    if (lmn_dim_is_const(in)) return lmn_dim_c(scaled_extent(lmn_dim_value(in), scale));
    for (int64_t den = 1; den <= 256; den *= 2) {
        const float num = scale * (float)den;
        if (num != floorf(num) || num > 1e6f || num < 1.0f) continue;
        const lmn_dim whole = lmn_dim_mul(p, in, lmn_dim_c((int64_t)num));
        return den == 1 ? whole : lmn_dim_floordiv(p, whole, lmn_dim_c(den));
    }
    return LMN_DIM_UNKNOWN;
}

static void infer_sizes(lmn_infer *ic, const lmn_dim *sizes, const int32_t *axes, int32_t count,
                        lmn_fact *y)
{
    double ratio[LMN_MAX_RANK] = {0};
    bool all = true;
    for (int32_t k = 0; k < count; k++) {
        const lmn_dim in = y->dims[axes[k]];
        const bool c = lmn_dim_is_const(in) && lmn_dim_is_const(sizes[k]) && lmn_dim_value(in) > 0;
        all = all && c;
        ratio[k] = c ? (double)lmn_dim_value(sizes[k]) / (double)lmn_dim_value(in) : 1.0;
    }
    const bool stretch = lmn_attr_is(ic->node, "keep_aspect_ratio_policy", "stretch", "stretch");
    const double common = stretch ? 0.0 : policy_scale(ic->node, ratio, count);
    for (int32_t k = 0; k < count; k++) {
        lmn_dim *d = &y->dims[axes[k]];
        if (stretch)
            *d = sizes[k];
        else
            *d = all ? lmn_dim_c((int64_t)floor(common * (double)lmn_dim_value(*d) + 0.5))
                     : LMN_DIM_UNKNOWN;
    }
}

static lamina_status infer_scales(lmn_infer *ic, const lamina_tensor *scales, const int32_t *axes,
                                  int32_t count, lmn_fact *y)
{
    if (lmn_count(scales) != count)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "scales has %lld entries, must have %d",
                              (long long)lmn_count(scales), count);
    for (int32_t k = 0; k < count; k++) {
        const float s = (float)lmn_get_f64(scales, k);
        if (!(s > 0.0f) || isinf(s))
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "give a positive scale",
                                  "scale %g of axis %d", (double)s, axes[k]);
        y->dims[axes[k]] = scaled_dim(ic->dims, y->dims[axes[k]], s);
    }
    return LAMINA_OK;
}

lamina_status lmn_resize_infer(lmn_infer *ic)
{
    lmn_resize r;
    int32_t axes[LMN_MAX_RANK];
    const char *bad = read_attrs(ic->node, &r);
    if (bad)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"%s\" is \"%.40s\"", bad,
                              lmn_attr_s(ic->node, bad, ""));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    if (!x) return LAMINA_OK;
    const int32_t count = read_axes(ic->node, x->rank, axes);
    if (count < 0)
        return lmn_infer_fail(ic, LAMINA_E_RANGE, NULL, "attribute \"axes\" does not fit rank %d",
                              x->rank);
    lmn_fact *y = lmn_infer_ranked(ic, 0, x->rank);
    if (!y) return LAMINA_OK;
    memcpy(y->dims, x->dims, sizeof y->dims);
    const lmn_dim *sizes;
    const int32_t n_sizes = lmn_infer_elems(ic, 3, &sizes);
    const lamina_tensor *scales = ic->node->n_in > 2 && ic->in_const ? ic->in_const[2] : NULL;
    if (n_sizes > 0) {
        if (n_sizes != count)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "sizes has %d entries, must have %d",
                                  n_sizes, count);
        infer_sizes(ic, sizes, axes, count, y);
        return LAMINA_OK;
    }
    if (scales && lmn_count(scales) > 0) return infer_scales(ic, scales, axes, count, y);
    for (int32_t k = 0; k < count; k++) y->dims[axes[k]] = LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

/* ---- older forms ------------------------------------------------------------------------------
 */

static bool set_words(lmn_canon *c, bool linear, const char *rounding)
{
    return lmn_canon_set_s(c, "mode", linear ? "linear" : "nearest") &&
           lmn_canon_set_s(c, "coordinate_transformation_mode", "asymmetric") &&
           lmn_canon_set_s(c, "nearest_mode", rounding);
}

/* A constant f32 vector of scales as input 2, nothing as roi. */
static bool set_scales(lmn_canon *c, const float *v, int32_t n)
{
    const int64_t dims[1] = {n};
    const lmn_ref r = c->b->constant(c->b->ctx, LAMINA_F32, 1, dims, v);
    if (!lmn_canon_set_in(c, 2, r)) return false;
    c->in[1] = 0;
    return true;
}

/* Scales of the file (input 1, or the attributes of Upsample 1 and 7) to input 2. */
static lamina_status move_scales(lmn_canon *c)
{
    const float *v;
    const int32_t n = lmn_attr_floats(c->node, "scales", &v);
    bool ok = true;
    if (n > 0) {
        ok = set_scales(c, v, n);
    } else if (lmn_attr_find(c->node, "height_scale")) {
        const float hw[4] = {1.0f, 1.0f, lmn_attr_f(c->node, "height_scale", 1.0f),
                             lmn_attr_f(c->node, "width_scale", 1.0f)};
        ok = set_scales(c, hw, 4);
    } else if (c->n_in < 2 || !c->in[1]) {
        return lmn_canon_fail(c, LAMINA_E_INVALID, "give it scales", "scales are missing");
    } else {
        ok = lmn_canon_set_in(c, 2, c->in[1]);
        if (ok) c->in[1] = 0;
    }
    lmn_canon_drop_attr(c, "scales");
    lmn_canon_drop_attr(c, "height_scale");
    lmn_canon_drop_attr(c, "width_scale");
    return ok ? LAMINA_OK : LAMINA_E_NOMEM;
}

/*
 * Before version 11 nearest meant floor where an axis grows and ceil where it shrinks. One node has
 * one rounding, so scales that do both become two nodes: first the axes that grow.
 */
static lamina_status split_directions(lmn_canon *c, const lamina_tensor *scales)
{
    float up[LMN_MAX_RANK], down[LMN_MAX_RANK];
    bool grows = false, shrinks = false;
    const int64_t n = lmn_count(scales);
    for (int64_t k = 0; k < n && k < LMN_MAX_RANK; k++) {
        const float s = (float)lmn_get_f64(scales, k);
        up[k] = s > 1.0f ? s : 1.0f;
        down[k] = s > 1.0f ? 1.0f : s;
        grows = grows || s > 1.0f;
        shrinks = shrinks || s < 1.0f;
    }
    if (!shrinks || n > LMN_MAX_RANK) return LAMINA_OK;
    if (grows) {
        const int64_t dims[1] = {n};
        lmn_ref in[3] = {c->in[0], 0, c->b->constant(c->b->ctx, LAMINA_F32, 1, dims, up)};
        if (!in[2] || !c->b->node(c->b->ctx, "Resize", in, 3, c->attrs, c->n_attrs, &c->in[0], 1))
            return LAMINA_E_NOMEM;
        if (!set_scales(c, down, (int32_t)n)) return LAMINA_E_NOMEM;
    }
    return lmn_canon_set_s(c, "nearest_mode", "ceil") ? LAMINA_OK : LAMINA_E_NOMEM;
}

lamina_status lmn_resize_canon_legacy(lmn_canon *c)
{
    const bool linear = !lmn_attr_is(c->node, "mode", "nearest", "nearest");
    if (linear && !lmn_attr_is(c->node, "mode", "linear", "") &&
        !lmn_attr_is(c->node, "mode", "bilinear", ""))
        return lmn_canon_fail(c, LAMINA_E_INVALID, NULL, "attribute \"mode\" is \"%.40s\"",
                              lmn_attr_s(c->node, "mode", ""));
    LMN_TRY(move_scales(c));
    if (!set_words(c, linear, "floor")) return LAMINA_E_NOMEM;
    const lamina_tensor *scales = c->b->data(c->b->ctx, c->in[2]);
    return linear || !scales ? LAMINA_OK : split_directions(c, scales);
}
