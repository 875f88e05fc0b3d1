/*
 * Conv and FusedConv in f32 on the convolution driver (im2col into gemm, pointwise, depthwise),
 * with bias and fused steps as its epilogue. Weights are used where they lie.
 */
#include "devices/cpu/cpu_fused.h"
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/conv/conv_plan.h"
#include "kernels/conv/dwconv.h"
#include "kernels/conv/wino.h"
#include "kernels/gemm/gemm.h"

typedef struct conv_job {
    lmn_conv_plan plan;
    lmn_conv_args args;
    uint8_t *scratch;
    size_t scratch_step;
} conv_job;

static void conv_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const conv_job *j = arg;
    uint8_t *scratch = j->scratch ? j->scratch + (size_t)worker * j->scratch_step : NULL;
    lmn_conv_f32_chunk(&j->plan, &j->args, chunk, scratch);
}

static void conv_prepare(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const conv_job *j = arg;
    lmn_conv_f32_prepare(&j->plan, &j->args, chunk);
}

/* False: something the driver does not know, or an error. */
static bool conv_geom(const lmn_eval *ec, lmn_conv_geom *g, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1), *b = lmn_in(ec, 2);
    lmn_cpu_window win;
    if (!lmn_cpu_is_f32(x) || !lmn_cpu_is_f32(w) || x->rank != w->rank || x->rank < 3) return false;
    if (!lmn_cpu_window_of(ec->node, x, w->dims + 2, &win, dims + 2)) return false;
    *g = lmn_cpu_geom(&win, x->dims[0], x->dims[1], w->dims[0]);
    dims[0] = g->n, dims[1] = g->c_out;
    if (g->n < 1 || g->c_in < 1 || g->c_out < 1 || g->c_in % g->groups || g->c_out % g->groups)
        return false;
    if (w->dims[1] != g->c_in / g->groups) return false;
    return !b || (lmn_cpu_is_f32(b) && b->rank == 1 && b->dims[0] == g->c_out);
}

static lamina_status run_conv(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *bias = lmn_in(ec, 2);
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    if (!conv_geom(ec, &g, dims)) return lmn_cpu_reference(ec);
    const int32_t rank = lmn_in(ec, 0)->rank;
    const lmn_cpu_layout layout = {rank, 1, 2, dims};
    lmn_epi epi = {.n_ops = 0};
    if (bias)
        epi.op[epi.n_ops++] =
            (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias->data};
    if (!lmn_cpu_epilogue(ec, 3, &layout, &epi)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, rank, dims, &y));
    if (!y) return LAMINA_OK;
    conv_job j = {.args = {.x = lmn_in(ec, 0)->data, .w = lmn_in(ec, 1)->data, .y = y->data}};
    if (epi.n_ops) j.args.epi = &epi;
    lmn_conv_f32_plan(&k->dev->kset, &g, &j.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch, &j.scratch_step));
    if (j.plan.shared_bytes && !(j.args.shared = lmn_scratch(ec, j.plan.shared_bytes)))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    if (j.plan.n_prepare) lmn_par_for(ec->par, j.plan.n_prepare, conv_prepare, &j);
    lmn_par_for(ec->par, j.plan.n_chunks, conv_chunk, &j);
    return LAMINA_OK;
}

static bool supports_conv(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (lmn_cpu_rank(node, 0) > 5) {
        (void)lmn_format(text, cap, "more than three spatial axes");
        return false;
    }
    return lmn_cpu_takes_f32(node, 0, &dev->kset.gemm_f32->head, text, cap);
}

/* Weights are broadcast, gathered or moved by vector rows of kernels at any address. */
static bool any_address(const lmn_cpu_dev *dev, int32_t i)
{
    const lmn_kset *k = &dev->kset;
    return i == 1 && k->gemm_f32->head.isa != LMN_ISA_REF &&
           k->dwconv_f32->head.isa != LMN_ISA_REF && k->wino_f32->head.isa != LMN_ISA_REF;
}

const lmn_cpu_binding lmn_cpu_conv = {
    .domain = "",
    .op = "Conv",
    .families = "gemm.f32 im2col.f32 dwconv.f32 wino.f32",
    .supports = supports_conv,
    .run = run_conv,
    .any_address = any_address,
};
const lmn_cpu_binding lmn_cpu_fused_conv = {
    .domain = "lamina",
    .op = "FusedConv",
    .families = "gemm.f32 im2col.f32 dwconv.f32 wino.f32",
    .supports = supports_conv,
    .run = run_conv,
    .any_address = any_address,
};
