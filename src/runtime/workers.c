/*
 * The pool. One job at a time is offered to the helpers through a slot; other callers that find the
 * slot taken simply run their chunks alone.
 *
 * Invariant: a job lives on its caller's stack; it is reachable only while `pool->job == job`,
 * which changes under `lock`, and a helper touches it only between joined++ (under `lock`) and its
 * final joined--, for which the caller waits.
 */
#include "runtime/workers.h"

#include "base/fpenv.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"

#define POOL_MAX_THREADS 256
#define SPIN_NS 40000u

typedef struct job {
    lmn_par_fn *fn;
    void *arg;
    int64_t n_chunks;
    lmn_atomic(int64_t) next;
    lmn_atomic(int32_t) joined;  /* helpers inside */
    lmn_atomic(int32_t) workers; /* worker numbers handed out; the caller is 0 */
    int32_t max_workers;
    lmn_stop *stop;
} job;

struct lmn_workers {
    lamina_engine *engine;
    lmn_mutex lock;
    job *job;                   /* offered to helpers; guarded by lock */
    lmn_atomic(uint32_t) epoch; /* bumped when a job is offered; helpers sleep on it */
    lmn_atomic(uint32_t) n_sleeping;
    lmn_atomic(bool) quit;
    uint32_t n_threads; /* helpers started; guarded by lock */
    uint32_t n_wanted;  /* helpers we may start */
    lmn_thread thread[POOL_MAX_THREADS];
};

static void work(job *j, int32_t worker)
{
    for (;;) {
        if (j->stop && lmn_stop_poll(j->stop) != LAMINA_OK) return;
        int64_t c = lmn_atomic_add(&j->next, 1, relaxed);
        if (c >= j->n_chunks) return;
        j->fn(j->arg, c, worker);
    }
}

/* Take part in the offered job, if there is one with chunks left. */
static bool help(lmn_workers *p)
{
    lmn_mutex_lock(&p->lock);
    job *j = p->job;
    int32_t worker = 0;
    if (j && lmn_atomic_load(&j->next, relaxed) < j->n_chunks)
        worker = lmn_atomic_load(&j->workers, relaxed);
    if (worker == 0 || worker >= j->max_workers) {
        lmn_mutex_unlock(&p->lock);
        return false;
    }
    lmn_atomic_store(&j->workers, worker + 1, relaxed);
    lmn_atomic_add(&j->joined, 1, relaxed);
    lmn_mutex_unlock(&p->lock);
    work(j, worker);
    lmn_atomic_sub(&j->joined, 1, release);
    return true;
}

static void *thread_main(void *arg)
{
    lmn_workers *p = arg;
    lmn_fpenv starter;
    lmn_fpenv_enter(&starter);
    uint32_t seen = lmn_atomic_load(&p->epoch, acquire);
    (void)help(p);
    while (!lmn_atomic_load(&p->quit, acquire)) {
        const uint64_t until = lmn_now_ns() + SPIN_NS;
        uint32_t now = seen;
        while ((now = lmn_atomic_load(&p->epoch, acquire)) == seen) {
            for (int i = 0; i < 32; i++) lmn_cpu_pause();
            if (lmn_now_ns() > until) break;
        }
        if (now == seen) {
            lmn_atomic_add(&p->n_sleeping, 1, seq_cst);
            lmn_futex_wait(&p->epoch, seen, 0);
            lmn_atomic_sub(&p->n_sleeping, 1, seq_cst);
            now = lmn_atomic_load(&p->epoch, acquire);
        }
        if (now == seen) continue;
        seen = now;
        (void)help(p);
    }
    return NULL;
}

static void pool_finish(lamina_engine *e, void *ptr)
{
    lmn_workers *p = ptr;
    lmn_atomic_store(&p->quit, true, release);
    lmn_atomic_add(&p->epoch, 1, seq_cst);
    lmn_futex_wake(&p->epoch, POOL_MAX_THREADS);
    for (uint32_t i = 0; i < p->n_threads; i++) lmn_thread_join(&p->thread[i]);
    lmn_mutex_finish(&p->lock);
    lmn_cfree(&e->alloc, p, 1, sizeof *p, "pool");
}

lamina_status lmn_workers_get(lamina_engine *e, lmn_workers **out)
{
    lmn_workers *p = e->slot[LMN_SLOT_POOL].ptr;
    if (!p) { /* called by lamina_engine_create first, so there is no race here */
        p = lmn_calloc(&e->alloc, 1, sizeof *p, "pool");
        if (!p) return LAMINA_E_NOMEM;
        p->engine = e;
        uint32_t width = e->n_threads ? e->n_threads : e->topo.width;
        p->n_wanted = width > 1 ? width - 1 : 0;
        if (p->n_wanted > POOL_MAX_THREADS) p->n_wanted = POOL_MAX_THREADS;
        lmn_mutex_init(&p->lock);
        e->slot[LMN_SLOT_POOL].ptr = p;
        e->slot[LMN_SLOT_POOL].finish = pool_finish;
    }
    *out = p;
    return LAMINA_OK;
}

/* Under lock: helpers exist up to what this run may use. A refused thread is no error: fewer help.
 */
static void start_threads(lmn_workers *p, uint32_t need)
{
    if (need > p->n_wanted) need = p->n_wanted;
    while (p->n_threads < need) {
        if (lmn_thread_start(&p->thread[p->n_threads], thread_main, p) != LAMINA_OK) return;
        p->n_threads++;
    }
}

static void run_alone(const lmn_par_ctx *c, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    for (int64_t i = 0; i < n_chunks; i++) {
        if (c->stop && lmn_stop_poll(c->stop) != LAMINA_OK) return;
        fn(arg, i, 0);
    }
}

static void par_run(void *ctx, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    lmn_par_ctx *c = ctx;
    lmn_workers *p = c->pool;
    if (n_chunks <= 1 || c->width <= 1) {
        run_alone(c, n_chunks, fn, arg);
        return;
    }
    job j = {.fn = fn, .arg = arg, .n_chunks = n_chunks, .max_workers = c->width, .stop = c->stop};
    lmn_atomic_init(&j.next, 0);
    lmn_atomic_init(&j.joined, 0);
    lmn_atomic_init(&j.workers, 1);
    lmn_mutex_lock(&p->lock);
    bool offered = p->job == NULL;
    if (offered) {
        start_threads(p, (uint32_t)c->width - 1);
        p->job = &j;
    }
    lmn_mutex_unlock(&p->lock);
    if (offered) {
        lmn_atomic_add(&p->epoch, 1, seq_cst);
        if (lmn_atomic_load(&p->n_sleeping, seq_cst)) lmn_futex_wake(&p->epoch, c->width - 1);
    }
    work(&j, 0);
    if (!offered) return;
    lmn_mutex_lock(&p->lock);
    p->job = NULL;
    lmn_mutex_unlock(&p->lock);
    while (lmn_atomic_load(&j.joined, acquire)) lmn_cpu_pause();
}

void lmn_workers_par(lmn_workers *pool, int32_t width, lmn_stop *stop, lmn_par_ctx *ctx,
                     lmn_par *par)
{
    int32_t most = (int32_t)pool->n_wanted + 1;
    if (width <= 0 || width > most) width = most;
    *ctx = (lmn_par_ctx){pool, width, stop};
    *par = (lmn_par){ctx, width, par_run};
}
