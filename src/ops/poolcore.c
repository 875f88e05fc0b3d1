/*
 * Pooling (poolcore.h). A maximum meets NaN by returning it, and +0 is above -0, so that the order
 * of the taps decides no bit; a window that lies wholly in the padding gives the lowest value
 * (max), 0 (average, Lp). Of equal maxima the first in row-major order is reported.
 */
#include "ops/poolcore.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

#define R LMN_CONV_MAX_RANK

typedef struct pool_job {
    lmn_conv_geom_t g;
    lmn_slide slide;
    lmn_pool_kind kind;
    double p;
    bool count_pad, column_major;
    const double *x;
    double *y;
    int64_t *index;    /* flat input positions, or NULL */
    int64_t *count[R]; /* average: elements per window and axis */
} pool_job;

typedef struct pool_plane {
    const pool_job *j;
    const double *x;
    double *y;
    int64_t *index;
} pool_plane;

static bool above(double v, double most)
{
    return v > most || (v == most && signbit(most) && !signbit(v));
}

static void max_row(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n, int64_t step)
{
    (void)k;
    const pool_plane *p = arg;
    const double *x = p->x + strided;
    double *y = p->y + unit;
    for (int64_t i = 0; i < n; i++) {
        const double v = x[i * step];
        if (above(v, y[i]) || isnan(v)) y[i] = v;
    }
}

static void argmax_row(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n, int64_t step)
{
    (void)k;
    const pool_plane *p = arg;
    double *y = p->y + unit;
    int64_t *index = p->index + unit;
    for (int64_t i = 0; i < n; i++) {
        const double v = p->x[strided + i * step];
        if (index[i] >= 0 && !above(v, y[i]) && !(isnan(v) && !isnan(y[i]))) continue;
        y[i] = v;
        index[i] = strided + i * step;
    }
}

static void sum_row(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n, int64_t step)
{
    (void)k;
    const pool_plane *p = arg;
    for (int64_t i = 0; i < n; i++) p->y[unit + i] += p->x[strided + i * step];
}

static double power(double v, double p)
{
    v = fabs(v);
    return p == 1.0 ? v : p == 2.0 ? v * v : pow(v, p);
}

static double root(double v, double p)
{
    return p == 1.0 ? v : p == 2.0 ? sqrt(v) : pow(v, 1.0 / p);
}

static void power_row(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n, int64_t step)
{
    (void)k;
    const pool_plane *p = arg;
    for (int64_t i = 0; i < n; i++) p->y[unit + i] += power(p->x[strided + i * step], p->j->p);
}

/* Elements that the window of output o sees on axis a. */
static int64_t seen(const pool_job *j, int32_t a, int64_t o)
{
    const lmn_conv_geom_t *g = &j->g;
    const int64_t start = o * g->stride[a] - g->pad_begin[a], d = g->dilation[a];
    const int64_t end = j->count_pad ? g->in[a] + g->pad_end[a] : g->in[a];
    const int64_t lo = j->count_pad || start >= 0 ? 0 : (-start + d - 1) / d;
    const int64_t hi = end <= start ? 0 : lmn_min_i64(g->kernel[a], (end - start + d - 1) / d);
    return hi > lo ? hi - lo : 0;
}

static void divide(const pool_job *j, double *y)
{
    const lmn_conv_geom_t *g = &j->g;
    const int64_t n = lmn_geom_count(g->rank, g->out);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, count = 1;
        for (int32_t a = g->rank - 1; a >= 0; a--) {
            count *= j->count[a][rest % g->out[a]];
            rest /= g->out[a];
        }
        y[i] = count ? y[i] / (double)count : 0.0;
    }
}

/* Row-major position in a plane to the flat position in the tensor, as storage_order wants it. */
static int64_t flat_index(const pool_job *j, int64_t plane, int64_t at)
{
    const lmn_conv_geom_t *g = &j->g;
    const int64_t base = plane * lmn_geom_count(g->rank, g->in);
    if (at < 0) return base;
    if (!j->column_major) return base + at;
    int64_t pos[R], flat = 0;
    for (int32_t a = g->rank - 1; a >= 0; a--) {
        pos[a] = at % g->in[a];
        at /= g->in[a];
    }
    for (int32_t a = g->rank - 1; a >= 0; a--) flat = flat * g->in[a] + pos[a];
    return base + flat;
}

static void pool_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const pool_job *j = arg;
    const int64_t n_in = lmn_geom_count(j->g.rank, j->g.in);
    const int64_t n_out = lmn_geom_count(j->g.rank, j->g.out);
    pool_plane p = {j, j->x + chunk * n_in, j->y + chunk * n_out,
                    j->index ? j->index + chunk * n_out : NULL};
    for (int64_t i = 0; i < n_out; i++) p.y[i] = j->kind == LMN_POOL_MAX ? -INFINITY : 0.0;
    for (int64_t i = 0; p.index && i < n_out; i++) p.index[i] = -1;
    lmn_slide_fn *row = j->kind == LMN_POOL_AVERAGE ? sum_row
                        : j->kind == LMN_POOL_LP    ? power_row
                        : p.index                   ? argmax_row
                                                    : max_row;
    lmn_slide_run(&j->slide, row, &p);
    if (j->kind == LMN_POOL_AVERAGE) divide(j, p.y);
    for (int64_t i = 0; j->kind == LMN_POOL_LP && i < n_out; i++) p.y[i] = root(p.y[i], j->p);
    for (int64_t i = 0; p.index && i < n_out; i++) p.index[i] = flat_index(j, chunk, p.index[i]);
}

static lamina_status counts(lmn_eval *ec, pool_job *j)
{
    for (int32_t a = 0; a < j->g.rank; a++) {
        j->count[a] = lmn_wide_scratch(ec, j->g.out[a], sizeof(int64_t));
        if (!j->count[a]) return LAMINA_E_NOMEM;
        for (int64_t o = 0; o < j->g.out[a]; o++) j->count[a][o] = seen(j, a, o);
    }
    return LAMINA_OK;
}

static void lowest_for_ints(lamina_tensor *y, double *w)
{
    int64_t lo, hi;
    if (!lmn_int_range(y->dtype, &lo, &hi)) return;
    const int64_t n = lmn_count(y);
    for (int64_t i = 0; i < n; i++)
        if (w[i] < (double)lo) w[i] = (double)lo;
}

static lamina_status pool_setup(lmn_eval *ec, lmn_pool_kind kind, pool_job *j)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->rank < 3)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "data of rank %d, must be at least 3", x->rank);
    const lamina_status st = lmn_pool_geom(ec->node, x->rank - 2, x->dims + 2, &j->g);
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "%s", j->g.why);
    j->kind = kind;
    j->p = (double)lmn_attr_i(ec->node, "p", 2);
    j->count_pad = lmn_attr_i(ec->node, "count_include_pad", 0) != 0;
    j->column_major = lmn_attr_i(ec->node, "storage_order", 0) != 0;
    lmn_slide_init(&j->slide, &j->g, false);
    return LAMINA_OK;
}

lamina_status lmn_pool_eval(lmn_eval *ec, lmn_pool_kind kind)
{
    LMN_TRY(lmn_eval_ready(ec));
    pool_job j = {0};
    LMN_TRY(pool_setup(ec, kind, &j));
    const lamina_tensor *x = lmn_in(ec, 0);
    int64_t dims[LMN_MAX_RANK] = {x->dims[0], x->dims[1]};
    memcpy(dims + 2, j.g.out, sizeof j.g.out);
    lamina_tensor *y, *index = NULL;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (kind == LMN_POOL_MAX) LMN_TRY(lmn_out(ec, 1, LAMINA_I64, x->rank, dims, &index));
    if (!y && !index) return LAMINA_OK;
    const int64_t planes = x->dims[0] * x->dims[1];
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    if (y)
        LMN_TRY(lmn_wide_out(ec, y, &j.y));
    else
        j.y = lmn_wide_scratch(ec, lmn_count(index), sizeof(double));
    if (!j.y) return LAMINA_E_NOMEM;
    if (index) j.index = index->data;
    if (kind == LMN_POOL_AVERAGE) LMN_TRY(counts(ec, &j));
    lmn_par_for(ec->par, planes, pool_chunk, &j);
    if (!y) return LAMINA_OK;
    lowest_for_ints(y, j.y);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

lamina_status lmn_pool_infer(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 3, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    const int64_t *unused;
    const int32_t n_kernel = lmn_attr_ints(ic->node, "kernel_shape", &unused);
    const int32_t rank = x ? x->rank - 2 : n_kernel;
    lmn_dim in[R], out[R];
    if (rank < 1 || rank > R)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "attribute \"kernel_shape\" has %d entries, must have 1 to %d",
                              n_kernel, R);
    for (int32_t a = 0; a < rank; a++) in[a] = x ? x->dims[2 + a] : LMN_DIM_UNKNOWN;
    LMN_TRY(lmn_pool_geom_infer(ic, rank, in, out));
    for (int32_t o = 0; o < ic->node->n_out && o < 2; o++) {
        lmn_fact *y = lmn_infer_ranked(ic, o, rank + 2);
        if (!y) continue;
        y->dims[0] = x ? x->dims[0] : LMN_DIM_UNKNOWN;
        y->dims[1] = x ? x->dims[1] : LMN_DIM_UNKNOWN;
        memcpy(y->dims + 2, out, (size_t)rank * sizeof out[0]);
    }
    return LAMINA_OK;
}

/* ---- global -----------------------------------------------------------------------------------
 */

typedef struct global_job {
    lmn_pool_kind kind;
    double p;
    int64_t n;
    const double *x;
    double *y;
} global_job;

static void global_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const global_job *j = arg;
    const double *x = j->x + chunk * j->n;
    double acc = j->kind == LMN_POOL_MAX ? -INFINITY : 0.0;
    for (int64_t i = 0; i < j->n; i++) {
        if (j->kind == LMN_POOL_AVERAGE)
            acc += x[i];
        else if (j->kind == LMN_POOL_LP)
            acc += power(x[i], j->p);
        else if (above(x[i], acc) || isnan(x[i]))
            acc = x[i];
    }
    if (j->kind == LMN_POOL_AVERAGE) acc /= (double)j->n;
    j->y[chunk] = j->kind == LMN_POOL_LP ? root(acc, j->p) : acc;
}

lamina_status lmn_global_pool_eval(lmn_eval *ec, lmn_pool_kind kind)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->rank < 2)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "data of rank %d, must be at least 2", x->rank);
    global_job j = {kind, (double)lmn_attr_i(ec->node, "p", 2), 1, NULL, NULL};
    int64_t dims[LMN_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (int32_t a = 2; a < x->rank; a++) {
        j.n *= x->dims[a];
        dims[a] = 1;
    }
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    LMN_TRY(lmn_wide_out(ec, y, &j.y));
    lmn_par_for(ec->par, x->dims[0] * x->dims[1], global_chunk, &j);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

lamina_status lmn_global_pool_infer(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    lmn_fact *y = x ? lmn_infer_ranked(ic, 0, x->rank) : NULL;
    for (int32_t d = 0; y && d < x->rank; d++) y->dims[d] = d < 2 ? x->dims[d] : lmn_dim_c(1);
    return LAMINA_OK;
}

lamina_status lmn_pool_canon_p(lmn_canon *c)
{
    const lmn_attr *p = lmn_attr_find(c->node, "p");
    if (c->opset >= 2 || !p || p->type != LMN_ATTR_FLOAT) return LAMINA_OK;
    if (!(p->u.f >= 1.0f && p->u.f <= 1e6f) || p->u.f != floorf(p->u.f))
        return lmn_canon_fail(
            c, LAMINA_E_UNSUPPORTED, "export with opset 2 or newer",
            "attribute \"p\" of version 1 is %g, only whole numbers are supported", (double)p->u.f);
    const int64_t whole = (int64_t)p->u.f;
    return lmn_canon_set_i(c, "p", whole) ? LAMINA_OK : LAMINA_E_NOMEM;
}

void lmn_pool_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c)
{
    const int64_t *k;
    const int32_t rank = lmn_attr_ints(n, "kernel_shape", &k);
    const lmn_fact *moved = rank ? &out[0] : in[0]; /* global pools read all of the input */
    if (!moved || moved->rank < 0) return;
    c->flops = 1.0;
    for (int32_t d = 0; d < moved->rank; d++)
        c->flops *= lmn_dim_is_const(moved->dims[d]) ? (double)lmn_dim_value(moved->dims[d]) : 1.0;
    for (int32_t a = 0; a < rank; a++) c->flops *= (double)k[a];
}
