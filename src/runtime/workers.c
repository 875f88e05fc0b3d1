/*
 * The engine's pool is an lmn_workpool; here are its slot in the engine and the way from lmn_par to
 * it: a run's width and its reasons to stop go with every loop.
 */
#include "runtime/workers.h"

#include "trace/trace_hook.h"

static void pool_finish(lamina_engine *e, void *ptr)
{
    (void)e;
    lmn_workpool_destroy(ptr);
}

lamina_status lmn_workers_get(lamina_engine *e, lmn_workpool **out)
{
    *out = e->slot[LMN_SLOT_POOL].ptr;
    if (*out) return LAMINA_OK;
    /* First called by lamina_engine_create, so there is no race here. */
    lamina_trace *trace = e->slot[LMN_SLOT_TRACE].ptr;
    lmn_pool_opts opts = {.width = e->n_threads, .topo = &e->topo};
    if (trace) opts.hooks = lmn_trace_pool_hooks(trace);
    LMN_TRY(lmn_workpool_create(&e->alloc, &opts, out));
    e->slot[LMN_SLOT_POOL].ptr = *out;
    e->slot[LMN_SLOT_POOL].finish = pool_finish;
    return LAMINA_OK;
}

static bool stopped(void *stop)
{
    return lmn_stop_poll(stop) != LAMINA_OK;
}

static void par_run(void *ctx, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    const lmn_par_ctx *c = ctx;
    const lmn_loop loop = {n_chunks, fn, arg, c->stop ? stopped : NULL, c->stop, c->width};
    if (n_chunks <= 1 || c->width <= 1)
        lmn_loop_alone(&loop); /* a run of one thread does not pay for the way there */
    else
        lmn_workpool_for(c->pool, &loop);
}

void lmn_workers_par(lmn_workpool *pool, int32_t width, lmn_stop *stop, lmn_par_ctx *ctx,
                     lmn_par *par)
{
    const int32_t most = (int32_t)lmn_workpool_width(pool);
    if (width <= 0 || width > most) width = most;
    *ctx = (lmn_par_ctx){pool, width, stop};
    *par = (lmn_par){ctx, width, par_run};
}
