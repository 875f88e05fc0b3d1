/*
 * RoiAlign (ai.onnx, since 10): each region of interest [x1, y1, x2, y2] of one image is cut into
 * output_height x output_width cells, every cell the mean (or the largest weighted corner, as the
 * standard's own vectors have it) of bilinear samples. sampling_ratio 0 takes ceil(size / cells)
 * samples an axis. Version 10 knew no half-pixel shift.
 */
#include "ops/wide.h"

#include <math.h>

#define MAX_GRID 65536

static bool read_attrs(const lmn_opnode *n, int64_t *oh, int64_t *ow)
{
    *oh = lmn_attr_i(n, "output_height", 1);
    *ow = lmn_attr_i(n, "output_width", 1);
    return *oh >= 1 && *ow >= 1 && *oh <= INT32_MAX && *ow <= INT32_MAX;
}

static lamina_status infer_roialign(lmn_infer *ic)
{
    int64_t oh, ow;
    if (!read_attrs(ic->node, &oh, &ow))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "the output extents must be positive");
    LMN_TRY(lmn_infer_rank_in(ic, 0, 4, 4));
    LMN_TRY(lmn_infer_rank_in(ic, 1, 2, 2));
    LMN_TRY(lmn_infer_rank_in(ic, 2, 1, 1));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0), *r = lmn_infer_shape_of(ic, 1);
    const lmn_fact *b = lmn_infer_shape_of(ic, 2);
    lmn_dim n = r ? r->dims[0] : b ? b->dims[0] : LMN_DIM_UNKNOWN;
    if (r && b) LMN_TRY(lmn_infer_equal(ic, r->dims[0], b->dims[0], "rois and batch indices", &n));
    if (r)
        LMN_TRY(lmn_infer_equal(ic, r->dims[1], lmn_dim_c(4), "the extent of a roi and 4", NULL));
    lmn_fact *y = lmn_infer_ranked(ic, 0, 4);
    if (!y) return LAMINA_OK;
    y->dims[0] = n;
    y->dims[1] = x ? x->dims[1] : LMN_DIM_UNKNOWN;
    y->dims[2] = lmn_dim_c(oh);
    y->dims[3] = lmn_dim_c(ow);
    return LAMINA_OK;
}

typedef struct job {
    int64_t channels, h, w, oh, ow, ratio;
    double scale, shift;
    bool max;
    const double *x, *rois;
    const int64_t *batch;
    double *y;
} job;

/* One axis of one sample: two positions and their weights; false if it lies outside. */
static bool axis(double v, int64_t n, int64_t *at, double *w)
{
    if (!(v >= -1.0 && v <= (double)n)) return false;
    if (v < 0.0) v = 0.0;
    at[0] = (int64_t)v;
    if (at[0] >= n - 1) {
        at[0] = at[1] = n - 1;
        v = (double)at[0];
    } else {
        at[1] = at[0] + 1;
    }
    w[1] = v - (double)at[0];
    w[0] = 1.0 - w[1];
    return true;
}

/* Value of one cell: samples at (y0 + (i + 0.5) * dy, x0 + (k + 0.5) * dx). */
static double cell(const job *j, const double *x, const double *from, const double *step,
                   const int64_t *grid)
{
    double sum = 0.0, best = 0.0;
    bool any = false;
    for (int64_t i = 0; i < grid[0]; i++)
        for (int64_t k = 0; k < grid[1]; k++) {
            int64_t ya[2] = {0, 0}, xa[2] = {0, 0};
            double yw[2] = {0, 0}, xw[2] = {0, 0};
            const bool in = axis(from[0] + ((double)i + 0.5) * step[0], j->h, ya, yw) &&
                            axis(from[1] + ((double)k + 0.5) * step[1], j->w, xa, xw);
            double top = in ? -INFINITY : 0.0;
            for (int32_t c = 0; in && c < 4; c++) {
                const double v = yw[c / 2] * xw[c % 2] * x[ya[c / 2] * j->w + xa[c % 2]];
                sum += v;
                top = v > top || isnan(v) ? v : top;
            }
            best = !any || top > best || isnan(top) ? top : best;
            any = true;
        }
    if (j->max) return best;
    const int64_t n = grid[0] * grid[1];
    return sum / (double)(n > 1 ? n : 1);
}

static int64_t samples(const job *j, double size, int64_t cells)
{
    if (j->ratio > 0) return lmn_min_i64(j->ratio, MAX_GRID);
    const double n = ceil(size / (double)cells);
    return n > 0.0 ? (int64_t)fmin(n, (double)MAX_GRID) : 0;
}

/* One channel of one roi. */
static void roi_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const int64_t n = chunk / j->channels, c = chunk % j->channels;
    const double *roi = j->rois + 4 * n;
    const double x1 = roi[0] * j->scale - j->shift, y1 = roi[1] * j->scale - j->shift;
    double w = roi[2] * j->scale - j->shift - x1, h = roi[3] * j->scale - j->shift - y1;
    if (j->shift == 0.0) { /* malformed regions become 1 x 1 */
        w = w > 1.0 ? w : 1.0;
        h = h > 1.0 ? h : 1.0;
    }
    const double bin[2] = {h / (double)j->oh, w / (double)j->ow};
    const int64_t grid[2] = {samples(j, h, j->oh), samples(j, w, j->ow)};
    const double step[2] = {grid[0] ? bin[0] / (double)grid[0] : 0.0,
                            grid[1] ? bin[1] / (double)grid[1] : 0.0};
    const double *x = j->x + (j->batch[n] * j->channels + c) * j->h * j->w;
    double *y = j->y + chunk * j->oh * j->ow;
    for (int64_t i = 0; i < j->oh; i++)
        for (int64_t k = 0; k < j->ow; k++) {
            const double from[2] = {y1 + (double)i * bin[0], x1 + (double)k * bin[1]};
            *y++ = cell(j, x, from, step, grid);
        }
}

static lamina_status setup(lmn_eval *ec, job *j, int64_t *n)
{
    const lamina_tensor *x = lmn_in(ec, 0), *rois = lmn_in(ec, 1), *batch = lmn_in(ec, 2);
    if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 4 || batch->rank != 1 ||
        batch->dims[0] != rois->dims[0])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "needs X [N, C, H, W], rois [R, 4] and batch_indices [R]");
    if (!read_attrs(ec->node, &j->oh, &j->ow))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "the output extents must be positive");
    *n = rois->dims[0];
    j->channels = x->dims[1];
    j->h = x->dims[2];
    j->w = x->dims[3];
    j->batch = batch->data;
    for (int64_t i = 0; i < *n; i++)
        if (j->batch[i] < 0 || j->batch[i] >= x->dims[0])
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "batch index %lld is outside [0, %lld)",
                                 (long long)j->batch[i], (long long)x->dims[0]);
    if (*n > 0 && (j->h == 0 || j->w == 0))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the images are empty");
    j->ratio = lmn_attr_i(ec->node, "sampling_ratio", 0);
    j->scale = (double)lmn_attr_f(ec->node, "spatial_scale", 1.0f);
    j->shift = lmn_attr_is(ec->node, "coordinate_transformation_mode", "half_pixel", "half_pixel")
                   ? 0.5
                   : 0.0;
    j->max = lmn_attr_is(ec->node, "mode", "max", "avg");
    return LAMINA_OK;
}

static lamina_status eval_roialign(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    job j = {0};
    int64_t n = 0;
    LMN_TRY(setup(ec, &j, &n));
    const int64_t dims[4] = {n, j.channels, j.oh, j.ow};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 0)->dtype, 4, dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, lmn_in(ec, 0), &j.x));
    LMN_TRY(lmn_wide_in(ec, lmn_in(ec, 1), &j.rois));
    LMN_TRY(lmn_wide_out(ec, y, &j.y));
    lmn_par_for(ec->par, n * j.channels, roi_chunk, &j);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

static lamina_status canon_roialign(lmn_canon *c)
{
    if (c->opset >= 16) return LAMINA_OK;
    return lmn_canon_set_s(c, "coordinate_transformation_mode", "output_half_pixel")
               ? LAMINA_OK
               : LAMINA_E_NOMEM;
}

static void cost_roialign(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                          lmn_cost *c)
{
    (void)in;
    (void)out;
    const int64_t ratio = lmn_attr_i(n, "sampling_ratio", 0);
    c->flops *= 12.0 * (double)(ratio > 0 ? ratio * ratio : 4);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"rois", 'T', 0, LMN_D_FLOAT},
                              {"batch_indices", 0, 0, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"coordinate_transformation_mode", LMN_ATTR_STRING, 0},
                                        {"mode", LMN_ATTR_STRING, 0},
                                        {"output_height", LMN_ATTR_INT, 0},
                                        {"output_width", LMN_ATTR_INT, 0},
                                        {"sampling_ratio", LMN_ATTR_INT, 0},
                                        {"spatial_scale", LMN_ATTR_FLOAT, 0},
                                        {0}};

const lmn_op_def lmn_op_RoiAlign = {
    .name = "RoiAlign",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_roialign,
    .eval = eval_roialign,
    .canon = canon_roialign,
    .cost = cost_roialign,
};
