/*
 * Making and releasing what products need (lamina/gemm.h): the processor's kernels are chosen once,
 * and LAMINA_ISA and LAMINA_KERNEL are obeyed as in an engine. Plans are a shape and its blocks.
 */
#include "gemmapi/gemmapi_int.h"

#include "base/engine.h"
#include "base/os/os_env.h"

enum { MOST_THREADS = LMN_OFFER_WIDTH_MAX };

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
    out->half = s->dtype == LAMINA_BF16;
    if (!out->half) {
        const lmn_gemm_shape f32 = {s->m, s->n, s->k, s->n_batch, (int32_t)s->flags};
        lmn_gemm_f32_plan(g->kset.gemm_f32, &f32, &out->f32);
        out->n_chunks = out->f32.n_chunks, out->scratch_bytes = out->f32.scratch_bytes;
        return;
    }
    const lmn_hgemm_shape bf16 = {.m = s->m,
                                  .n = s->n,
                                  .k = s->k,
                                  .n_batch = s->n_batch,
                                  .flags = (int32_t)s->flags | LMN_HGEMM_C_F32};
    lmn_hgemm_plan_make(g->kset.hgemm_bf16, &bf16, &out->bf16);
    out->n_chunks = out->bf16.n_chunks, out->scratch_bytes = out->bf16.scratch_bytes;
}

lamina_status lamina_gemm_plan_create(lamina_gemm *g, const lamina_gemm_shape *shape,
                                      lamina_gemm_plan **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    lamina_gemm_plan *p = lmn_calloc(&g->alloc, 1, sizeof *p, "gemm plan");
    if (!p) return LAMINA_E_NOMEM;
    p->g = g, p->shape = *shape;
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
