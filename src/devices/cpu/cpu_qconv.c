/*
 * QLinearConv and ConvInteger on the integer convolution driver, requantised in the kernel. Weights
 * are used where they lie.
 */
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_quant.h"
#include "tune/tune.h"

typedef struct qconv_job {
    lmn_qconv_plan plan;
    lmn_qconv_args args;
    lmn_cpu_scratch scratch;
} qconv_job;

static void qconv_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const qconv_job *j = arg;
    lmn_qconv_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

/* Geometry, data and zero points of inputs x and w; false leaves it to the reference. */
static bool read_operands(lmn_eval *ec, const int32_t at[4], qconv_job *j, lmn_conv_geom *g,
                          int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, at[0]), *w = lmn_in(ec, at[2]);
    lmn_cpu_window win;
    lmn_qconv_args *a = &j->args;
    if (!lmn_cpu_is_8bit(x) || !lmn_cpu_is_8bit(w) || x->rank != w->rank || x->rank < 3)
        return false;
    if (!lmn_cpu_window_of(ec->node, x, w->dims + 2, &win, dims + 2)) return false;
    *g = lmn_cpu_geom(&win, x->dims[0], x->dims[1], w->dims[0]);
    g->threads = lmn_par_width(ec->par);
    dims[0] = g->n, dims[1] = g->c_out;
    if (g->n < 1 || g->c_in < 1 || g->c_out < 1 || g->c_in % g->groups || g->c_out % g->groups ||
        w->dims[1] != g->c_in / g->groups)
        return false;
    if (lmn_conv_volume(g->out) >= LMN_CPU_EXTENT_MAX ||
        lmn_count(w) / g->c_out >= LMN_CPU_EXTENT_MAX || g->c_out >= LMN_CPU_EXTENT_MAX)
        return false;
    a->x = x->data, a->x_signed = lmn_cpu_is_signed(x);
    a->w = w->data, a->w_signed = lmn_cpu_is_signed(w);
    const int32_t *none;
    return lmn_cpu_zero_point(ec, lmn_in(ec, at[1]), a->x_signed, -1, &a->x_zp, &none) &&
           lmn_cpu_zero_point(ec, lmn_in(ec, at[3]), a->w_signed, g->c_out, &a->w_zp, &a->w_zps);
}

static lamina_status run_job(const lamina_kernel *k, lmn_eval *ec, qconv_job *j,
                             const lmn_conv_geom *g)
{
    const lmn_qgemm_row *row = k->dev->kset.qgemm_i8;
    lmn_tune_use use = {.problem = NULL};
    lmn_qconv_plan_make(row, g, &j->plan);
    if (lmn_tune_wanted(k->site) && j->plan.gemm.n_chunks) {
        const lmn_qgemm_plan *q = &j->plan.gemm;
        const lmn_qgemm_shape shape = {
            .m = q->m, .n = q->n, .k = q->k, .n_batch = q->n_batch, .bring = q->bring};
        const lmn_tune_around a = {.items = 1, .threads = lmn_par_width(ec->par)};
        const lmn_tune_key key = lmn_tune_key_qgemm(&shape, &a);
        lmn_tune_begin(k->site, &key, &k->dev->kset, &use);
        (void)lmn_qconv_plan_as(row, g, &use.choice, &j->plan);
    }
    LMN_TRY(lmn_cpu_worker_scratch(ec, j->plan.scratch_bytes, &j->scratch));
    lmn_par_for(ec->par, j->plan.n_chunks, qconv_chunk, j);
    lmn_tune_end(&use);
    return LAMINA_OK;
}

static lamina_status run_conv_integer(const lamina_kernel *k, lmn_eval *ec)
{
    static const int32_t at[4] = {0, 2, 1, 3};
    qconv_job j = {0};
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    if (!read_operands(ec, at, &j, &g, dims)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_I32, lmn_in(ec, 0)->rank, dims, &y));
    if (!y) return LAMINA_OK;
    j.args.y = y->data;
    return run_job(k, ec, &j, &g);
}

bool lmn_cpu_qconv_ends(lmn_eval *ec, int64_t c_out, lmn_qconv_args *a)
{
    const lamina_tensor *ws = lmn_in(ec, 4), *y_zp = lmn_in(ec, 7), *bias = lmn_in(ec, 8);
    float xs, ys;
    if (!lmn_cpu_is_8bit(y_zp) || lmn_count(y_zp) != 1 || !lmn_cpu_scale(lmn_in(ec, 1), &xs) ||
        !lmn_cpu_scale(lmn_in(ec, 6), &ys) || !lmn_cpu_is_f32(ws))
        return false;
    if (bias && (bias->kind != LAMINA_KIND_TENSOR || bias->dtype != LAMINA_I32 || bias->rank != 1 ||
                 bias->dims[0] != c_out))
        return false;
    a->requant = true;
    a->bias = bias ? bias->data : NULL;
    lmn_cpu_out_range(y_zp, &a->zp, &a->lo, &a->hi);
    const float *scales = ws->data;
    if (lmn_count(ws) == 1) {
        a->mul = xs * scales[0] / ys;
        return true;
    }
    if (lmn_count(ws) != c_out) return false;
    float *mul = lmn_scratch(ec, (size_t)c_out * sizeof *mul);
    for (int64_t c = 0; mul && c < c_out; c++) mul[c] = xs * scales[c] / ys;
    a->muls = mul;
    return mul != NULL;
}

static lamina_status run_qlinear_conv(const lamina_kernel *k, lmn_eval *ec)
{
    static const int32_t at[4] = {0, 2, 3, 5};
    qconv_job j = {0};
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    if (!read_operands(ec, at, &j, &g, dims) || !lmn_cpu_qconv_ends(ec, g.c_out, &j.args))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 7)->dtype, lmn_in(ec, 0)->rank, dims, &y));
    if (!y) return LAMINA_OK;
    j.args.y = y->data;
    return run_job(k, ec, &j, &g);
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (lmn_cpu_rank(node, 0) > 5) {
        (void)lmn_format(text, cap, "more than three spatial axes");
        return false;
    }
    return lmn_cpu_takes_8bit(dev, node, 0, text, cap);
}

const lmn_cpu_binding lmn_cpu_conv_integer = {
    .domain = "",
    .op = "ConvInteger",
    .families = "qgemm.i8",
    .supports = supports,
    .run = run_conv_integer,
};
const lmn_cpu_binding lmn_cpu_qlinear_conv = {
    .domain = "",
    .op = "QLinearConv",
    .families = "qgemm.i8",
    .supports = supports,
    .run = run_qlinear_conv,
};
