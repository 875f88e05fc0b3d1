/*
 * Convolutions by weights of 16 bits (cpu_hconv.h). Planes of 16 bits under a window are widened
 * once for all chunks; rounding them again gives what they were.
 */
#include "devices/cpu/cpu_hconv.h"

#include "devices/cpu/cpu_half.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/conv/im2col.h"
#include "kernels/hgemm/hgemm_plan.h"

typedef struct job {
    lmn_hgemm_plan plan;
    lmn_hgemm_args args;
    const lmn_conv_geom *g;
    const lmn_im2col_row *im2col;
    const float *x;
    lmn_cpu_scratch scratch;
} job;

static bool pointwise(const lmn_conv_geom *g)
{
    for (int i = 0; i < 3; i++)
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i])
            return false;
    return true;
}

bool lmn_cpu_hconv_takes(const lmn_hgemm_row *row, const lmn_conv_geom *g)
{
    return g->groups == 1 && (row->rows_f32 || pointwise(g)) &&
           lmn_conv_volume(g->out) < LMN_CPU_EXTENT_MAX &&
           g->c_in * lmn_conv_volume(g->kernel) < LMN_CPU_EXTENT_MAX;
}

/* Pixels of whole channels: k is cut at multiples of the window. */
static void gather(const void *ctx, const lmn_hgemm_slab *s)
{
    const job *j = ctx;
    const int64_t window = lmn_conv_volume(j->g->kernel), plane = lmn_conv_volume(j->g->in);
    const lmn_im2col_block b = {.g = j->g,
                                .x = j->x + (s->item * j->g->c_in + s->k0 / window) * plane,
                                .n_c = s->k / window,
                                .p0 = s->col,
                                .n = s->n,
                                .nr = s->nr,
                                .packed = s->dst};
    j->im2col->pack(&b);
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const job *j = arg;
    lmn_hgemm_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

lamina_status lmn_cpu_hconv_run(const lmn_cpu_dev *dev, lmn_eval *ec, const lmn_cpu_hconv *c)
{
    const lmn_conv_geom *g = c->g;
    const int64_t pixels = lmn_conv_volume(g->out), in = g->c_in * lmn_conv_volume(g->in);
    const bool direct = pointwise(g);
    lmn_hgemm_shape s = {.m = g->c_out, .n = pixels, .n_batch = g->n, .threads = g->threads};
    s.k = g->c_in * lmn_conv_volume(g->kernel);
    s.flags = (c->f32 ? LMN_HGEMM_C_F32 : 0) | (c->f32 && direct ? LMN_HGEMM_B_F32 : 0);
    if (!direct) s.flags |= LMN_HGEMM_BRING, s.k_unit = lmn_conv_volume(g->kernel);
    job j = {.g = g, .im2col = dev->kset.im2col_f32, .x = c->x};
    lmn_hgemm_plan_make(c->row, &s, &j.plan);
    j.args = (lmn_hgemm_args){.a = c->w, .lda = s.k, .b = c->x, .ldb = pixels, .b_batch = in};
    j.args.c = c->y, j.args.ldc = pixels, j.args.c_batch = g->c_out * pixels;
    j.args.bring = gather, j.args.bring_ctx = &j, j.args.epi = c->epi;
    if (!direct && !c->f32) {
        size_t bytes;
        if (!lmn_mul_size((size_t)(g->n * in), sizeof(float), &bytes))
            return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scratch memory overflows");
        float *wide = lmn_scratch(ec, bytes);
        if (!wide) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
        lmn_cpu_widen(c->row, wide, c->x, g->n * in);
        j.x = wide;
    }
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch));
    if (j.plan.n_chunks) lmn_par_for(ec->par, j.plan.n_chunks, run_chunk, &j);
    return LAMINA_OK;
}
