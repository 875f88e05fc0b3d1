/*
 * Making and releasing what products need (lamina/gemm.h): the processor's kernels are chosen once,
 * and LAMINA_ISA and LAMINA_KERNEL are obeyed as in an engine. Plans are a shape and its blocks.
 */
#include "gemmapi/gemmapi_int.h"

#include "base/engine.h"
#include "base/os/os_env.h"

enum {
    MOST_THREADS = LMN_OFFER_WIDTH_MAX,
    LEAST_KEPT = 64 << 10 /* smaller scratch would not be recycled (base/recycle.c) */
};

static lamina_status open_pool(lamina_gemm *g, uint32_t n_threads)
{
    g->width = 1;
    if (n_threads == 1) return LAMINA_OK;
    const lmn_pool_opts opts = {.width = n_threads};
    LMN_TRY(lmn_workpool_create(&g->alloc, &opts, &g->pool));
    g->width = (int32_t)lmn_workpool_width(g->pool);
    if (g->width > 1) return LAMINA_OK;
    lmn_workpool_destroy(g->pool);
    g->pool = NULL;
    return LAMINA_OK;
}

lamina_status lamina_gemm_create(const lamina_gemm_opts *opts, lamina_gemm **out)
{
    lamina_gemm_opts o;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    const lamina_allocator *a = o.allocator ? o.allocator : &lmn_libc_allocator;
    LMN_CHECK(a->abi == LAMINA_ALLOCATOR_ABI && a->alloc && a->free, LAMINA_E_INVALID);
    LMN_CHECK(o.reserved == 0 && o.n_threads <= MOST_THREADS, LAMINA_E_INVALID);
    lamina_gemm *g = lmn_calloc(a, 1, sizeof *g, "gemm");
    if (!g) return LAMINA_E_NOMEM;
    g->alloc = *a;
    lmn_cpu cpu;
    (void)lmn_cpu_detect(&cpu, lmn_os_getenv("LAMINA_ISA"));
    (void)lmn_kset_choose(&cpu, lmn_os_getenv("LAMINA_KERNEL"), &g->kset);
    const lamina_status st = open_pool(g, o.n_threads);
    if (st != LAMINA_OK) {
        lamina_gemm_destroy(g);
        return st;
    }
    *out = g;
    return LAMINA_OK;
}

void lamina_gemm_destroy(lamina_gemm *g)
{
    if (!g) return;
    lmn_workpool_destroy(g->pool);
    const lamina_allocator a = g->alloc;
    (void)lmn_recycle_trim(&g->recycle, &a, 0);
    lmn_cfree(&a, g, 1, sizeof *g, "gemm");
}

void lmn_gemmapi_plan(const lamina_gemm *g, const lamina_gemm_shape *s, any_plan *out)
{
    const lmn_gemm_shape plain = {s->m, s->n, s->k, s->n_batch, (int32_t)s->flags, g->width};
    out->dtype = s->dtype;
    if (s->dtype == LAMINA_F32) {
        lmn_gemm_f32_plan(g->kset.gemm_f32, &plain, &out->f32);
        out->n_chunks = out->f32.n_chunks, out->scratch_bytes = out->f32.scratch_bytes;
    } else if (s->dtype == LAMINA_F64) {
        lmn_dgemm_f64_plan(g->kset.dgemm_f64, &plain, &out->f64);
        out->n_chunks = out->f64.n_chunks, out->scratch_bytes = out->f64.scratch_bytes;
    } else {
        const lmn_hgemm_shape bf16 = {.m = s->m,
                                      .n = s->n,
                                      .k = s->k,
                                      .n_batch = s->n_batch,
                                      .flags = (int32_t)s->flags | LMN_HGEMM_C_F32,
                                      .threads = g->width};
        lmn_hgemm_plan_make(g->kset.hgemm_bf16, &bf16, &out->bf16);
        out->n_chunks = out->bf16.n_chunks, out->scratch_bytes = out->bf16.scratch_bytes;
    }
}

void lmn_gemmapi_chunks(const lamina_gemm *g, int64_t n, lmn_par_fn *fn, void *arg)
{
    if (n > 1 && g->pool) {
        lmn_workpool_for(g->pool, &(lmn_loop){.n_chunks = n, .fn = fn, .arg = arg});
        return;
    }
    for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
}

lamina_status lmn_gemmapi_workers_begin(lamina_gemm *g, size_t bytes, int64_t n_chunks,
                                        workers *out)
{
    const size_t n = (size_t)lmn_min_i64(g->pool ? g->width : 1, n_chunks);
    *out = (workers){0};
    if (bytes == 0) return LAMINA_OK;
    out->step = lmn_worker_step(bytes, n);
    LMN_CHECK(lmn_mul_size(out->step, n, &out->all), LAMINA_E_NOMEM);
    if (out->all < LEAST_KEPT) out->all = LEAST_KEPT;
    out->scratch = lmn_recycle_alloc(&g->recycle, &g->alloc, out->all, "gemm scratch");
    return out->scratch ? LAMINA_OK : LAMINA_E_NOMEM;
}

void lmn_gemmapi_workers_end(lamina_gemm *g, workers *w)
{
    if (w->scratch) lmn_recycle_free(&g->recycle, &g->alloc, w->scratch, w->all, "gemm scratch");
}

lamina_status lamina_gemm_plan_create(lamina_gemm *g, const lamina_gemm_shape *shape,
                                      lamina_gemm_plan **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    lamina_gemm_plan *p = lmn_calloc(&g->alloc, 1, sizeof *p, "gemm plan");
    if (!p) return LAMINA_E_NOMEM;
    p->g = g, p->shape = *shape, p->tiny = lmn_gemmapi_is_tiny(shape);
    lmn_gemmapi_plan(g, shape, &p->plan);
    *out = p;
    return LAMINA_OK;
}

void lamina_gemm_plan_destroy(lamina_gemm_plan *plan)
{
    if (!plan) return;
    const lamina_allocator a = plan->g->alloc;
    lmn_cfree(&a, plan, 1, sizeof *plan, "gemm plan");
}
