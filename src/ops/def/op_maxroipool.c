/*
 * MaxRoiPool (ai.onnx, since 1): maxima of pooled_shape cells of each region [batch, x1, y1, x2,
 * y2] (Fast R-CNN): corners scaled and rounded half away from zero, ends included, at least 1 x 1.
 * An empty cell gives 0; NaN wins.
 */
#include "ops/wide.h"

#include <math.h>

static bool read_shape(const lmn_opnode *n, int64_t *ph, int64_t *pw)
{
    const int64_t *v;
    if (lmn_attr_ints(n, "pooled_shape", &v) != 2) return false;
    *ph = v[0];
    *pw = v[1];
    return *ph >= 1 && *pw >= 1 && *ph <= INT32_MAX && *pw <= INT32_MAX;
}

static lamina_status infer_maxroipool(lmn_infer *ic)
{
    int64_t ph, pw;
    if (!read_shape(ic->node, &ph, &pw))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "attribute \"pooled_shape\" must hold two positive extents");
    LMN_TRY(lmn_infer_rank_in(ic, 0, 4, 4));
    LMN_TRY(lmn_infer_rank_in(ic, 1, 2, 2));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0), *r = lmn_infer_shape_of(ic, 1);
    if (r)
        LMN_TRY(lmn_infer_equal(ic, r->dims[1], lmn_dim_c(5), "the extent of a roi and 5", NULL));
    lmn_fact *y = lmn_infer_ranked(ic, 0, 4);
    if (!y) return LAMINA_OK;
    y->dims[0] = r ? r->dims[0] : LMN_DIM_UNKNOWN;
    y->dims[1] = x ? x->dims[1] : LMN_DIM_UNKNOWN;
    y->dims[2] = lmn_dim_c(ph);
    y->dims[3] = lmn_dim_c(pw);
    return LAMINA_OK;
}

typedef struct job {
    int64_t images, channels, h, w, ph, pw;
    double scale;
    const double *x, *rois;
    double *y;
} job;

/* Cell i of n over a region [from, from + size) cut to [0, limit). */
static void cut(int64_t i, int64_t n, double from, double size, int64_t limit, int64_t *lo,
                int64_t *hi)
{
    const double bin = size / (double)n, top = (double)limit;
    const double a = floor((double)i * bin) + from, b = ceil((double)(i + 1) * bin) + from;
    *lo = !(a > 0.0) ? 0 : a > top ? limit : (int64_t)a;
    *hi = !(b > 0.0) ? 0 : b > top ? limit : (int64_t)b;
}

static void roi_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const double *roi = j->rois + chunk / j->channels * 5;
    const double x1 = round(roi[1] * j->scale), y1 = round(roi[2] * j->scale);
    const double w = fmax(round(roi[3] * j->scale) - x1 + 1.0, 1.0);
    const double h = fmax(round(roi[4] * j->scale) - y1 + 1.0, 1.0);
    const double *x = j->x + ((int64_t)roi[0] * j->channels + chunk % j->channels) * j->h * j->w;
    double *y = j->y + chunk * j->ph * j->pw;
    for (int64_t p = 0; p < j->ph * j->pw; p++) {
        int64_t y0, y9, x0, x9;
        cut(p / j->pw, j->ph, y1, h, j->h, &y0, &y9);
        cut(p % j->pw, j->pw, x1, w, j->w, &x0, &x9);
        double best = y9 > y0 && x9 > x0 ? -INFINITY : 0.0;
        for (int64_t r = y0; r < y9; r++)
            for (int64_t c = x0; c < x9; c++) {
                const double v = x[r * j->w + c];
                if (v > best || isnan(v)) best = v;
            }
        y[p] = best;
    }
}

static lamina_status eval_maxroipool(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *rois = lmn_in(ec, 1);
    job j = {.scale = (double)lmn_attr_f(ec->node, "spatial_scale", 1.0f)};
    if (x->rank != 4 || rois->rank != 2 || rois->dims[1] != 5)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "needs X [N, C, H, W] and rois [R, 5]");
    if (!read_shape(ec->node, &j.ph, &j.pw))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "pooled_shape must hold two positive extents");
    j.images = x->dims[0];
    j.channels = x->dims[1];
    j.h = x->dims[2];
    j.w = x->dims[3];
    const int64_t dims[4] = {rois->dims[0], j.channels, j.ph, j.pw};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, 4, dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    LMN_TRY(lmn_wide_in(ec, rois, &j.rois));
    LMN_TRY(lmn_wide_out(ec, y, &j.y));
    for (int64_t n = 0; n < dims[0]; n++)
        if (!(j.rois[5 * n] >= 0.0 && j.rois[5 * n] < (double)j.images))
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "batch index %g of a roi is outside [0, %lld)",
                                 j.rois[5 * n], (long long)j.images);
    lmn_par_for(ec->par, dims[0] * j.channels, roi_chunk, &j);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {"rois", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"pooled_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED}, {"spatial_scale", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_MaxRoiPool = {
    .name = "MaxRoiPool",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_maxroipool,
    .eval = eval_maxroipool,
};
