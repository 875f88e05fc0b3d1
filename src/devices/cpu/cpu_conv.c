/*
 * Conv and FusedConv: f32 on the convolution driver (im2col into gemm, pointwise, depthwise,
 * Winograd), with bias and fused steps as its epilogue, weights used where they lie; by weights of
 * 16 bits, the model's or the session's, on hgemm (cpu_hconv.c). What of 16 bits has groups is
 * computed in f32.
 */
#include "devices/cpu/cpu_fused.h"
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_half.h"
#include "devices/cpu/cpu_hconv.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/conv/conv_plan.h"
#include "kernels/conv/dwconv.h"
#include "kernels/conv/wino.h"
#include "kernels/gemm/gemm.h"
#include "ops/packbits.h"
#include "tune/tune.h"

typedef struct conv_job {
    lmn_conv_plan plan;
    lmn_conv_args args;
    lmn_cpu_scratch scratch;
} conv_job;

static void conv_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const conv_job *j = arg;
    lmn_conv_f32_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

static void conv_prepare(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const conv_job *j = arg;
    lmn_conv_f32_prepare(&j->plan, &j->args, chunk);
}

static bool of_type(const lamina_tensor *t, const lamina_tensor *x)
{
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype == x->dtype &&
           (t->dtype == LAMINA_F32 || lmn_cpu_is_half(t->dtype));
}

/* False: something the driver does not know, or an error. */
static bool conv_geom(const lmn_eval *ec, lmn_conv_geom *g, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1), *b = lmn_in(ec, 2);
    lmn_cpu_window win;
    if (!of_type(x, x) || !of_type(w, x) || x->rank != w->rank || x->rank < 3) return false;
    if (!lmn_cpu_is_f32(x) && ec->node->def->domain[0] != 0) return false;
    if (!lmn_cpu_window_of(ec->node, x, w->dims + 2, &win, dims + 2)) return false;
    *g = lmn_cpu_geom(&win, x->dims[0], x->dims[1], w->dims[0]);
    g->threads = lmn_par_width(ec->par);
    dims[0] = g->n, dims[1] = g->c_out;
    if (g->n < 1 || g->c_in < 1 || g->c_out < 1 || g->c_in % g->groups || g->c_out % g->groups)
        return false;
    if (w->dims[1] != g->c_in / g->groups) return false;
    return !b || (of_type(b, x) && b->rank == 1 && b->dims[0] == g->c_out);
}

static lamina_status conv_go(lmn_eval *ec, conv_job *j)
{
    LMN_TRY(lmn_cpu_worker_scratch(ec, j->plan.scratch_bytes, &j->scratch));
    if (j->plan.shared_bytes && !(j->args.shared = lmn_scratch(ec, j->plan.shared_bytes)))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    if (j->plan.n_prepare) lmn_par_for(ec->par, j->plan.n_prepare, conv_prepare, j);
    lmn_par_for(ec->par, j->plan.n_chunks, conv_chunk, j);
    return LAMINA_OK;
}

/* In f32, whatever the session wants; by what was tuned for this machine, if that is. */
static lamina_status run_f32(const lamina_kernel *k, lmn_eval *ec, const lmn_conv_geom *g,
                             const lmn_conv_args *args)
{
    conv_job j = {.args = *args};
    const bool strict = k->precision == LAMINA_PRECISION_STRICT;
    const lmn_kset *rows = strict ? &k->dev->strict : &k->dev->kset;
    if (!lmn_tune_wanted(k->site)) {
        lmn_conv_f32_plan(rows, g, &j.plan);
        return conv_go(ec, &j);
    }
    const lmn_tune_around a = {
        .epi = args->epi, .items = 1, .threads = lmn_par_width(ec->par), .strict = strict};
    const lmn_tune_key key = lmn_tune_key_conv(g, &a);
    lmn_tune_use use;
    lmn_tune_begin(k->site, &key, rows, &use);
    (void)lmn_conv_f32_plan_as(rows, g, &use.choice, &j.plan);
    const lamina_status st = conv_go(ec, &j);
    lmn_tune_end(&use);
    return st;
}

/* x, w and y of 16 bits; the epilogue is of f32. */
static lamina_status run_16(const lamina_kernel *k, lmn_eval *ec, const lmn_conv_geom *g,
                            const lmn_epi *epi, lamina_tensor *y)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1);
    const lmn_hgemm_row *row = lmn_cpu_hgemm(k->dev, x->dtype);
    if (lmn_cpu_hconv_takes(row, g)) {
        const lmn_cpu_hconv c = {
            .row = row, .g = g, .w = w->data, .x = x->data, .y = y->data, .epi = epi};
        return lmn_cpu_hconv_run(k->dev, ec, &c);
    }
    lmn_conv_args args = {.epi = epi};
    LMN_TRY(lmn_f32_in(ec, x, &args.x));
    LMN_TRY(lmn_f32_in(ec, w, &args.w));
    size_t bytes;
    if (!lmn_mul_size((size_t)lmn_count(y), sizeof(float), &bytes))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scratch memory overflows");
    if (!(args.y = lmn_scratch(ec, bytes)))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    LMN_TRY(run_f32(k, ec, g, &args));
    row->narrow(y->data, lmn_count(y), args.y, lmn_count(y), 1, lmn_count(y));
    return LAMINA_OK;
}

/* f32 by the precision of the session. */
static lamina_status run_32(const lamina_kernel *k, lmn_eval *ec, const lmn_conv_geom *g,
                            const lmn_epi *epi, lamina_tensor *y)
{
    lmn_cpu_weights *w = k->state;
    const lmn_conv_args args = {
        .x = lmn_in(ec, 0)->data, .w = lmn_in(ec, 1)->data, .y = y->data, .epi = epi};
    const lmn_cpu_verdict verdict = lmn_cpu_weights_verdict(w);
    if (verdict == LMN_CPU_F32) return run_f32(k, ec, g, &args);
    lmn_cpu_hconv c = {.row = lmn_cpu_hgemm(k->dev, LAMINA_BF16), .g = g};
    c.x = args.x, c.y = args.y, c.f32 = true, c.epi = epi;
    if (!lmn_cpu_hconv_takes(c.row, g)) return run_f32(k, ec, g, &args);
    if (!(c.w = lmn_packed_data(w->half)))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for weights in bf16");
    if (verdict == LMN_CPU_SHORT) return lmn_cpu_hconv_run(k->dev, ec, &c);
    LMN_TRY(run_f32(k, ec, g, &args));
    if (!(c.y = lmn_scratch(ec, y->data_bytes)))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    LMN_TRY(lmn_cpu_hconv_run(k->dev, ec, &c));
    lmn_cpu_trial_judge(&w->trial, args.y, c.y, lmn_count(y));
    return LAMINA_OK;
}

static lamina_status run_conv(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *bias = lmn_in(ec, 2);
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    if (!conv_geom(ec, &g, dims)) return lmn_cpu_reference(ec);
    const lamina_tensor *x = lmn_in(ec, 0);
    const int32_t rank = x->rank;
    const lmn_cpu_layout layout = {rank, 1, 2, dims};
    lmn_epi epi = {.n_ops = 0};
    if (bias) {
        epi.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW};
        LMN_TRY(lmn_f32_in(ec, bias, &epi.op[epi.n_ops++].x));
    }
    if (!lmn_cpu_epilogue(ec, 3, &layout, &epi)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, rank, dims, &y));
    if (!y) return LAMINA_OK;
    return (lmn_cpu_is_half(x->dtype) ? run_16 : run_32)(k, ec, &g, epi.n_ops ? &epi : NULL, y);
}

static bool supports_conv(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (lmn_cpu_rank(node, 0) > 5) {
        (void)lmn_format(text, cap, "more than three spatial axes");
        return false;
    }
    return lmn_cpu_takes_product(dev, node, &dev->kset.gemm_f32->head, text, cap);
}

/* Weights are broadcast, gathered or moved by vector rows of kernels at any address. */
static bool any_address(const lmn_cpu_dev *dev, int32_t i)
{
    const lmn_kset *k = &dev->kset;
    return i == 1 && k->gemm_f32->head.isa != LMN_ISA_REF &&
           k->dwconv_f32->head.isa != LMN_ISA_REF && k->wino_f32->head.isa != LMN_ISA_REF;
}

#define BINDING(symbol, Domain, Op)                                                 \
    const lmn_cpu_binding lmn_cpu_##symbol = {                                      \
        .domain = Domain,                                                           \
        .op = Op,                                                                   \
        .families = "gemm.f32 im2col.f32 dwconv.f32 wino.f32 hgemm.bf16 hgemm.f16", \
        .state_bytes = sizeof(lmn_cpu_weights),                                     \
        .init = lmn_cpu_weights_init,                                               \
        .supports = supports_conv,                                                  \
        .run = run_conv,                                                            \
        .any_address = any_address}
BINDING(conv, "", "Conv");
BINDING(fused_conv, "lamina", "FusedConv");
