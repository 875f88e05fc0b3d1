/*
 * CropAndResize (com.microsoft, since 1): boxes [y1, x1, y2, x2], in fractions of the extents minus
 * one, are cut out of the images that batch_indices names and sampled at crop_size points, corners
 * on corners; one point lies in the middle of the box. Points outside the image get
 * extrapolation_value. Mode bilinear, or nearest (halves away from zero).
 */
#include "ops/shapes.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_crop(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 4, 4));
    LMN_TRY(lmn_infer_rank_in(ic, 1, 2, 2));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0), *rois = lmn_infer_shape_of(ic, 1);
    const lmn_dim *size = NULL;
    const bool known = lmn_infer_elems(ic, 3, &size) == 2;
    lmn_fact *y = lmn_infer_ranked(ic, 0, 4);
    if (!y) return LAMINA_OK;
    if (rois) y->dims[0] = rois->dims[0];
    if (x) y->dims[1] = x->dims[1];
    if (known) y->dims[2] = size[0], y->dims[3] = size[1];
    return LAMINA_OK;
}

typedef struct crop {
    const double *x, *rois;
    double *y, outside;
    const lamina_tensor *which;
    int64_t c, h, w, out_h, out_w;
    bool nearest;
} crop;

/* Point k of n between the fractions lo and hi of an extent, to f32: nearest rounds what others
   round. */
static double point(double lo, double hi, int64_t extent, int64_t k, int64_t n)
{
    const double top = (double)(extent - 1);
    if (n == 1) return (double)(float)(0.5 * (lo + hi) * top);
    if (k == n - 1) return (double)(float)(hi * top);
    return (double)(float)(lo * top + (double)k * ((hi - lo) * top / (double)(n - 1)));
}

static double sample(const crop *j, const double *plane, double y, double x)
{
    if (j->nearest) return plane[(int64_t)round(y) * j->w + (int64_t)round(x)];
    const int64_t y0 = (int64_t)floor(y), y1 = (int64_t)ceil(y), x0 = (int64_t)floor(x),
                  x1 = (int64_t)ceil(x);
    const double fx = x - (double)x0, fy = y - (double)y0;
    const double a = plane[y0 * j->w + x0], b = plane[y0 * j->w + x1];
    const double c = plane[y1 * j->w + x0], d = plane[y1 * j->w + x1];
    const double top = a + (b - a) * fx, bottom = c + (d - c) * fx;
    return top + (bottom - top) * fy;
}

static void run_box(void *arg, int64_t r, int32_t worker)
{
    (void)worker;
    const crop *j = arg;
    const double *box = j->rois + 4 * r;
    const int64_t image = lmn_get_i64(j->which, r);
    double *out = j->y + r * j->c * j->out_h * j->out_w;
    for (int64_t e = 0; e < j->c * j->out_h * j->out_w; e++) {
        const int64_t c = e / (j->out_h * j->out_w), p = e / j->out_w % j->out_h, q = e % j->out_w;
        const double y = point(box[0], box[2], j->h, p, j->out_h);
        const double x = point(box[1], box[3], j->w, q, j->out_w);
        const bool inside = y >= 0 && y <= (double)(j->h - 1) && x >= 0 && x <= (double)(j->w - 1);
        out[e] = inside ? sample(j, j->x + (image * j->c + c) * j->h * j->w, y, x) : j->outside;
    }
}

static lamina_status eval_crop(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *rois = lmn_in(ec, 1), *which = lmn_in(ec, 2);
    int64_t size[2];
    int32_t n;
    LMN_TRY(lmn_ints(ec, 3, size, 2, &n));
    if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 4 || which->rank != 1 ||
        which->dims[0] != rois->dims[0] || n != 2 || size[0] < 1 || size[1] < 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "needs images of rank 4, boxes [n, 4], n batch_indices and two "
                             "positive extents in crop_size");
    for (int64_t r = 0; r < which->dims[0]; r++)
        if (lmn_get_i64(which, r) < 0 || lmn_get_i64(which, r) >= x->dims[0])
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "batch index %lld is outside %lld images",
                                 (long long)lmn_get_i64(which, r), (long long)x->dims[0]);
    const int64_t dims[4] = {rois->dims[0], x->dims[1], size[0], size[1]};
    lamina_tensor *y;
    LMN_TRY(lmn_check_grown(ec, x->dtype, 4, dims));
    LMN_TRY(lmn_out(ec, 0, x->dtype, 4, dims, &y));
    if (!y) return LAMINA_OK;
    crop j = {.outside = (double)lmn_attr_f(ec->node, "extrapolation_value", 0.0f),
              .which = which,
              .c = x->dims[1],
              .h = x->dims[2],
              .w = x->dims[3],
              .out_h = size[0],
              .out_w = size[1],
              .nearest = lmn_attr_is(ec->node, "mode", "nearest", "bilinear")};
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    LMN_TRY(lmn_wide_in(ec, rois, &j.rois));
    LMN_TRY(lmn_wide_out(ec, y, &j.y));
    lmn_par_for(ec->par, dims[0], run_box, &j);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

static void cost_crop(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                      lmn_cost *c)
{
    (void)n, (void)in, (void)out;
    c->flops *= 8.0;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"rois", 'T', 0, LMN_D_FLOAT},
                              {"batch_indices", 0, 0, LMN_DBIT(LAMINA_I32)},
                              {"crop_size", 0, 0, LMN_DBIT(LAMINA_I32)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"extrapolation_value", LMN_ATTR_FLOAT, 0}, {"mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_MsCropAndResize = {
    .domain = "com.microsoft",
    .name = "CropAndResize",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_crop,
    .eval = eval_crop,
    .cost = cost_crop,
};
