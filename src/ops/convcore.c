/*
 * The loops under convolution and pooling (convcore.h), and the run-time checks and inference that
 * the convolution operators share.
 */
#include "ops/convcore.h"
#include "ops/wide.h"

#include <string.h>

#define R LMN_CONV_MAX_RANK

/* ---- slide ------------------------------------------------------------------------------------
 */

void lmn_slide_init(lmn_slide *s, const lmn_conv_geom_t *g, bool transposed)
{
    memset(s, 0, sizeof *s);
    s->rank = g->rank;
    for (int32_t a = 0; a < g->rank; a++) {
        s->n_unit[a] = transposed ? g->in[a] : g->out[a];
        s->n_strided[a] = transposed ? g->out[a] : g->in[a];
        s->n_kernel[a] = g->kernel[a];
        s->stride[a] = g->stride[a];
        s->dilation[a] = g->dilation[a];
        s->pad[a] = g->pad_begin[a];
    }
}

static bool pointwise(const lmn_slide *s, int32_t a)
{
    return s->n_kernel[a] == 1 && s->stride[a] == 1 && s->pad[a] == 0 &&
           s->n_unit[a] == s->n_strided[a];
}

/* Axes on which nothing slides become one long row. */
static void merge_rows(lmn_slide *s)
{
    while (s->rank > 1 && pointwise(s, s->rank - 1) && pointwise(s, s->rank - 2)) {
        s->rank--;
        s->n_unit[s->rank - 1] *= s->n_unit[s->rank];
        s->n_strided[s->rank - 1] *= s->n_strided[s->rank];
    }
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a <= 0 ? 0 : (a + b - 1) / b;
}

typedef struct span {
    int64_t lo[R], hi[R], off[R];
} span;

/* Units that kernel position k pairs with something, per axis; false if there are none. */
static bool paired(const lmn_slide *s, const int64_t *k, span *u)
{
    for (int32_t a = 0; a < s->rank; a++) {
        const int64_t off = k[a] * s->dilation[a] - s->pad[a];
        u->off[a] = off;
        u->lo[a] = ceil_div(-off, s->stride[a]);
        u->hi[a] = lmn_min_i64(s->n_unit[a], ceil_div(s->n_strided[a] - off, s->stride[a]));
        if (u->lo[a] >= u->hi[a]) return false;
    }
    return true;
}

static void run_position(const lmn_slide *s, const span *u, int64_t k, lmn_slide_fn *fn, void *arg)
{
    const int32_t last = s->rank - 1;
    int64_t i[R];
    memcpy(i, u->lo, sizeof i);
    for (;;) {
        int64_t unit = 0, strided = 0;
        for (int32_t a = 0; a <= last; a++) {
            const int64_t at = a < last ? i[a] : u->lo[a];
            unit = unit * s->n_unit[a] + at;
            strided = strided * s->n_strided[a] + at * s->stride[a] + u->off[a];
        }
        fn(arg, k, unit, strided, u->hi[last] - u->lo[last], s->stride[last]);
        int32_t a = last - 1;
        while (a >= 0 && ++i[a] == u->hi[a]) {
            i[a] = u->lo[a];
            a--;
        }
        if (a < 0) return;
    }
}

void lmn_slide_run(const lmn_slide *slide, lmn_slide_fn *fn, void *arg)
{
    lmn_slide s = *slide;
    merge_rows(&s);
    /* Kernel positions that touch the strided grid at all: the rest of a huge kernel costs
       nothing. */
    int64_t klo[R], khi[R], k[R];
    for (int32_t a = 0; a < s.rank; a++) {
        if (s.n_unit[a] == 0 || s.n_strided[a] == 0) return;
        klo[a] = ceil_div(s.pad[a] - (s.n_unit[a] - 1) * s.stride[a], s.dilation[a]);
        khi[a] = lmn_min_i64(s.n_kernel[a], ceil_div(s.n_strided[a] + s.pad[a], s.dilation[a]));
        if (klo[a] >= khi[a]) return;
        k[a] = klo[a];
    }
    for (;;) {
        span u;
        int64_t flat = 0;
        for (int32_t a = 0; a < s.rank; a++) flat = flat * s.n_kernel[a] + k[a];
        if (paired(&s, k, &u)) run_position(&s, &u, flat, fn, arg);
        int32_t a = s.rank - 1;
        while (a >= 0 && ++k[a] == khi[a]) {
            k[a] = klo[a];
            a--;
        }
        if (a < 0) return;
    }
}

/* ---- convolution ------------------------------------------------------------------------------
 */

typedef struct plane {
    const double *x, *w;
    double *y;
} plane;

static void gather_row(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n, int64_t step)
{
    const plane *p = arg;
    const double w = p->w[k], *x = p->x + strided;
    double *y = p->y + unit;
    if (step == 1) {
        for (int64_t i = 0; i < n; i++) y[i] += w * x[i];
        return;
    }
    for (int64_t i = 0; i < n; i++) y[i] += w * x[i * step];
}

static void scatter_row(void *arg, int64_t k, int64_t unit, int64_t strided, int64_t n,
                        int64_t step)
{
    const plane *p = arg;
    const double w = p->w[k], *x = p->x + unit;
    double *y = p->y + strided;
    for (int64_t i = 0; i < n; i++) y[i * step] += w * x[i];
}

/* One output plane: chunk = image * m + output channel. */
static void conv_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const lmn_conv_job *j = arg;
    const lmn_conv_geom_t *g = j->g;
    const int64_t n_in = lmn_geom_count(g->rank, g->in), n_out = lmn_geom_count(g->rank, g->out);
    const int64_t n_k = lmn_geom_count(g->rank, g->kernel);
    const int64_t image = chunk / j->m, m = chunk % j->m;
    const int64_t c_group = j->c / g->group, m_group = j->m / g->group;
    const int64_t c0 = m / m_group * c_group;
    double *y = j->y + chunk * n_out;
    const double b = j->bias ? j->bias[m] : 0.0;
    for (int64_t i = 0; i < n_out; i++) y[i] = b;
    lmn_slide s;
    lmn_slide_init(&s, g, j->transposed);
    for (int64_t c = 0; c < c_group; c++) {
        const int64_t row = j->transposed ? (c0 + c) * m_group + m % m_group : m * c_group + c;
        plane p = {j->x + (image * j->c + c0 + c) * n_in, j->w + row * n_k, y};
        lmn_slide_run(&s, j->transposed ? scatter_row : gather_row, &p);
    }
}

void lmn_conv_f64(const lmn_par *par, const lmn_conv_job *job)
{
    lmn_par_for(par, job->n * job->m, conv_chunk, (void *)(uintptr_t)job);
}

/* ---- run-time checks --------------------------------------------------------------------------
 */

/* Geometry and channel counts into *job. */
static lamina_status setup(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *w,
                           bool transposed, lmn_conv_geom_t *g, lmn_conv_job *job)
{
    if (x->rank < 3 || w->rank != x->rank)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "data of rank %d and weights of rank %d: equal ranks of at least 3 "
                             "are needed",
                             x->rank, w->rank);
    const int32_t rank = x->rank - 2;
    const lamina_status st =
        (transposed ? lmn_deconv_geom : lmn_conv_geom)(ec->node, rank, x->dims + 2, w->dims + 2, g);
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "%s", g->why);
    const int64_t c = x->dims[1], w0 = w->dims[0], w1 = w->dims[1];
    int64_t m = w0, other = w1;
    if (transposed) {
        other = w0;
        if (!lmn_mul_i64(w1, g->group, &m)) m = -1;
    }
    const bool ok = transposed ? other == c && c % g->group == 0 && m >= 0
                               : c % g->group == 0 && other == c / g->group && m % g->group == 0;
    if (!ok)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "weights [%lld, %lld, ...] do not fit %lld channels in %lld groups",
                             (long long)w0, (long long)w1, (long long)c, (long long)g->group);
    *job = (lmn_conv_job){.g = g, .n = x->dims[0], .c = c, .m = m, .transposed = transposed};
    return LAMINA_OK;
}

lamina_status lmn_conv_bias(lmn_eval *ec, const lamina_tensor *b, int64_t m, const double **out)
{
    *out = NULL;
    if (!b) return LAMINA_OK;
    if (b->rank != 1 || b->dims[0] != m)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the bias must have shape [%lld]", (long long)m);
    return lmn_wide_in(ec, b, out);
}

lamina_status lmn_conv_begin(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *w,
                             bool transposed, lamina_dtype dtype, lmn_conv_geom_t *g,
                             lmn_conv_job *job, lamina_tensor **y)
{
    LMN_TRY(setup(ec, x, w, transposed, g, job));
    int64_t dims[LMN_MAX_RANK] = {job->n, job->m};
    for (int32_t a = 0; a < g->rank; a++) dims[2 + a] = g->out[a];
    return lmn_out(ec, 0, dtype, g->rank + 2, dims, y);
}

/* ---- inference --------------------------------------------------------------------------------
 */

/* Channels of data and weights; output channels into *m. */
static lamina_status infer_channels(lmn_infer *ic, const lmn_fact *x, const lmn_fact *w,
                                    bool transposed, lmn_dim *m)
{
    const int64_t group = lmn_attr_i(ic->node, "group", 1);
    if (group < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"group\" is %lld",
                              (long long)group);
    const lmn_dim g = lmn_dim_c(group);
    const lmn_dim c = x ? x->dims[1] : LMN_DIM_UNKNOWN;
    if (!w) return LAMINA_OK;
    if (lmn_dim_is_const(c) && lmn_dim_value(c) % group != 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "%lld channels do not divide by %lld groups",
                              (long long)lmn_dim_value(c), (long long)group);
    if (transposed) {
        *m = lmn_dim_mul(ic->dims, w->dims[1], g);
        return lmn_infer_equal(ic, c, w->dims[0], "channels of the data and of the weights", NULL);
    }
    *m = w->dims[0];
    if (lmn_dim_is_const(*m) && lmn_dim_value(*m) % group != 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "%lld output channels do not divide by %lld groups",
                              (long long)lmn_dim_value(*m), (long long)group);
    return lmn_infer_equal(ic, c, lmn_dim_mul(ic->dims, w->dims[1], g),
                           "channels of the data and of the weights times groups", NULL);
}

lamina_status lmn_conv_infer(lmn_infer *ic, int32_t ix, int32_t iw, int32_t ib, bool transposed)
{
    LMN_TRY(lmn_infer_rank_in(ic, ix, 3, LMN_MAX_RANK));
    LMN_TRY(lmn_infer_rank_in(ic, iw, 3, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, ix), *w = lmn_infer_shape_of(ic, iw);
    if (!x && !w) return LAMINA_OK;
    const int32_t rank = x ? x->rank : w->rank;
    if (w && w->rank != rank)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "data of rank %d need weights of the same rank, got %d", rank,
                              w->rank);
    lmn_dim m = LMN_DIM_UNKNOWN, in[R], out[R];
    LMN_TRY(infer_channels(ic, x, w, transposed, &m));
    const lmn_fact *b = ib >= 0 ? lmn_infer_shape_of(ic, ib) : NULL;
    if (b) {
        LMN_TRY(lmn_infer_rank_in(ic, ib, 1, 1));
        LMN_TRY(lmn_infer_equal(ic, m, b->dims[0], "output channels and bias length", &m));
    }
    for (int32_t a = 0; a < rank - 2; a++) in[a] = x ? x->dims[2 + a] : LMN_DIM_UNKNOWN;
    LMN_TRY((transposed ? lmn_deconv_geom_infer
                        : lmn_conv_geom_infer)(ic, rank - 2, in, w ? w->dims + 2 : NULL, out));
    lmn_fact *y = lmn_infer_ranked(ic, 0, rank);
    if (!y) return LAMINA_OK;
    y->dims[0] = x ? x->dims[0] : LMN_DIM_UNKNOWN;
    y->dims[1] = m;
    memcpy(y->dims + 2, out, (size_t)(rank - 2) * sizeof out[0]);
    return LAMINA_OK;
}

static double known(lmn_dim d)
{
    return lmn_dim_is_const(d) ? (double)lmn_dim_value(d) : 1.0;
}

void lmn_conv_cost(const lmn_opnode *n, const lmn_fact *const *in, int32_t iw,
                   const lmn_fact *moved, lmn_cost *c)
{
    (void)n;
    const lmn_fact *w = iw < n->n_in ? in[iw] : NULL;
    if (!w || w->rank < 3 || !moved || moved->rank < 3) return;
    double flops = 2.0;
    for (int32_t a = 0; a < moved->rank; a++) flops *= known(moved->dims[a]);
    for (int32_t a = 1; a < w->rank; a++) flops *= known(w->dims[a]);
    c->flops = flops;
}

lamina_status lmn_conv_eval_float(lmn_eval *ec, bool transposed)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1);
    lmn_conv_geom_t g;
    lmn_conv_job job;
    lamina_tensor *y;
    LMN_TRY(lmn_conv_begin(ec, x, w, transposed, x->dtype, &g, &job, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_conv_bias(ec, lmn_in(ec, 2), job.m, &job.bias));
    LMN_TRY(lmn_wide_in(ec, x, &job.x));
    LMN_TRY(lmn_wide_in(ec, w, &job.w));
    LMN_TRY(lmn_wide_out(ec, y, &job.y));
    lmn_conv_f64(ec->par, &job);
    lmn_wide_store(y, job.y);
    return LAMINA_OK;
}
