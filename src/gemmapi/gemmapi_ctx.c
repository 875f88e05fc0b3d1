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

lamina_status lamina_gemm_plan_create(lamina_gemm *g, const lamina_gemm_shape *shape,
                                      lamina_gemm_plan **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    lamina_gemm_plan *p = lmn_calloc(&g->alloc, 1, sizeof *p, "gemm plan");
    if (!p) return LAMINA_E_NOMEM;
    p->g = g, p->shape = *shape;
    const lmn_gemm_shape s = {shape->m, shape->n, shape->k, shape->n_batch, (int32_t)shape->flags};
    lmn_gemm_f32_plan(g->kset.gemm_f32, &s, &p->plan);
    *out = p;
    return LAMINA_OK;
}

void lamina_gemm_plan_destroy(lamina_gemm_plan *plan)
{
    if (!plan) return;
    const lamina_allocator a = plan->g->alloc;
    lmn_cfree(&a, plan, 1, sizeof *plan, "gemm plan");
}
