/*
 * The pool's life: workers, threads, threads that enter (workpool.h).
 *
 * Workers are registered once and live as long as the pool. A guest record is a worker without a
 * thread: whoever sets `taken` is its owner until it clears it, and what its deque holds then is
 * stolen by the others, so records are also where tasks from outside go in.
 */
#include "sync/workpool_int.h"

#include "base/alloc.h"
#include "base/os/os_self.h"
#include "base/os/os_time.h"

#define SPIN_NS 40000u
#define STAY_NS 500000u              /* to wake fifteen takes some 200 us */
#define RETRY_NS 100000000u          /* after a refused thread */
#define TOPO_NS UINT64_C(5000000000) /* between two looks at the quota */
#define TAG "workers"

static void worker_init(lmn_workpool *p, lmn_worker *w, bool guest)
{
    w->pool = p;
    w->lot = &p->lot;
    w->hooked = p->hooked;
    w->guest = guest;
    w->seed = 0;
    w->stole_at = w->stole_ns = w->rest_ns = 0;
    lmn_atomic_init(&w->taken, 1);
    lmn_deque_init(&w->deque, &p->alloc);
}

static lamina_status guest_new(lmn_workpool *p, lmn_worker **out)
{
    lmn_worker *w = lmn_alloc(&p->alloc, sizeof *w, LMN_APART, TAG);
    if (!w) return LAMINA_E_NOMEM;
    worker_init(p, w, true);
    if (!lmn_park_register(&p->lot, &w->sleeper)) {
        lmn_free(&p->alloc, w, sizeof *w, LMN_APART, TAG);
        return LAMINA_E_LIMIT;
    }
    *out = w;
    return LAMINA_OK;
}

/* A free record, or a new one. */
lamina_status lmn_guest_take(lmn_workpool *p, lmn_worker **out)
{
    const uint32_t n = lmn_pool_workers(p);
    uint32_t at = (uint32_t)(lmn_thread_key() >> 12) * 2654435761u >> 16;
    for (uint32_t k = 0; k < n; k++, at++) {
        lmn_worker *w = lmn_pool_worker(p, at % n);
        uint32_t unused = 0;
        if (!w || !w->guest || lmn_atomic_load(&w->taken, relaxed)) continue;
        if (!lmn_atomic_cas(&w->taken, &unused, 1, acquire)) continue;
        *out = w;
        return LAMINA_OK;
    }
    return guest_new(p, out);
}

static void guest_leave(lmn_worker *w)
{
    lmn_atomic_store(&w->taken, 0, release);
}

lamina_status lmn_workpool_enter(lmn_workpool *p, lmn_worker **out)
{
    *out = NULL;
    (void)lmn_pool_start(p, lmn_workpool_width(p) - 1);
    LMN_TRY(lmn_guest_take(p, out));
    lmn_fpenv_enter(&(*out)->fpenv);
    return LAMINA_OK;
}

void lmn_workpool_leave(lmn_worker *w)
{
    lmn_fpenv_leave(&w->fpenv);
    /* Tasks that nobody waits for: somebody has to be there for them. */
    if (!lmn_deque_seems_empty(&w->deque) && lmn_pool_start(w->pool, 1) > 0)
        lmn_park_notify(w->lot, 1);
    guest_leave(w);
}

lamina_status lmn_workpool_submit(lmn_workpool *p, lmn_group *g, lmn_task *task)
{
    lmn_worker *w;
    lmn_assert(task->fn);
    const uint32_t helpers = lmn_workpool_width(p) - 1;
    /* Who waits for a group does its tasks if need be. */
    if (lmn_pool_start(p, helpers ? helpers : 1) == 0 && !g) return LAMINA_E_AGAIN;
    LMN_TRY(lmn_guest_take(p, &w));
    lmn_atomic(uint64_t) *word = lmn_deque_reserve(&w->deque);
    if (word) {
        uint64_t part[LMN_TASK_PAYLOAD / 8];
        __builtin_memcpy(part, task->payload, LMN_TASK_PAYLOAD);
        if (g) lmn_group_add(g, w);
        lmn_atomic_store(&word[0], (uintptr_t)task->fn, relaxed);
        lmn_atomic_store(&word[1], (uintptr_t)task->drop, relaxed);
        for (int i = 0; i < LMN_TASK_PAYLOAD / 8; i++)
            lmn_atomic_store(&word[2 + i], part[i], relaxed);
        lmn_atomic_store(&word[LMN_TASK_GROUP], (uintptr_t)g, relaxed);
        lmn_deque_push(&w->deque);
        task->fn = NULL;
    }
    guest_leave(w);
    if (!word) return LAMINA_E_NOMEM;
    lmn_park_notify(&p->lot, 1);
    return LAMINA_OK;
}

/* The quota may have changed since: a look now and then by a thread that has nothing to do. */
void lmn_pool_look_again(lmn_workpool *p)
{
    const uint64_t now = lmn_now_ns();
    uint64_t due = lmn_atomic_load(&p->look_again_ns, relaxed);
    if (!p->own_width || now < due) return;
    if (!lmn_atomic_cas(&p->look_again_ns, &due, now + TOPO_NS, relaxed)) return;
    lmn_topo topo;
    lmn_topo_read(&topo, p->root);
    lmn_atomic_store(&p->width, topo.width < p->most ? topo.width : p->most, relaxed);
}

static void *thread_main(void *arg)
{
    lmn_worker *w = arg;
    lmn_fpenv_enter(&w->fpenv);
    lmn_worker_work(w, NULL);
    return NULL;
}

static lamina_status start_one(lmn_workpool *p)
{
    const uint64_t now = lmn_now_ns();
    lmn_worker *w = &p->worker[p->started];
    if (now < p->retry_ns) return LAMINA_E_AGAIN;
    if (p->registered == p->started) { /* else a thread was refused to it before */
        if (!lmn_park_register(&p->lot, &w->sleeper)) return LAMINA_E_LIMIT;
        p->registered++;
    }
    if (p->start(&p->thread[p->started], thread_main, w) != LAMINA_OK) {
        p->retry_ns = now + RETRY_NS;
        return LAMINA_E_AGAIN;
    }
    p->started++;
    return LAMINA_OK;
}

uint32_t lmn_pool_start(lmn_workpool *p, uint32_t need)
{
    const uint32_t n = lmn_atomic_load(&p->n_threads, relaxed);
    if (LMN_LIKELY(n >= need)) return n;
    if (need > p->n_room) need = p->n_room;
    lmn_mutex_lock(&p->starting);
    while (p->started < need && start_one(p) == LAMINA_OK) continue;
    const uint32_t started = p->started;
    lmn_mutex_unlock(&p->starting);
    if (started != n) lmn_atomic_store(&p->n_threads, started, relaxed);
    return started;
}

/* What the options leave open. */
static void settle(lmn_workpool *p, const lmn_pool_opts *o)
{
    lmn_topo topo;
    p->root = o->root ? o->root : "";
    if (o->topo)
        topo = *o->topo;
    else
        lmn_topo_read(&topo, p->root);
    p->own_width = o->width == 0;
    uint32_t width = p->own_width ? topo.width : o->width;
    if (width > LMN_OFFER_WIDTH_MAX) width = LMN_OFFER_WIDTH_MAX;
    /* A quota may be raised later up to the CPUs that there are. */
    p->most = p->own_width && topo.n_affinity > width ? topo.n_affinity : width;
    if (p->most > LMN_OFFER_WIDTH_MAX) p->most = LMN_OFFER_WIDTH_MAX;
    lmn_atomic_init(&p->width, width);
    lmn_atomic_init(&p->look_again_ns, lmn_now_ns() + TOPO_NS);
    p->spin_ns = o->spin_ns ? o->spin_ns : width > topo.width ? 0 : SPIN_NS;
    p->stay_ns = o->stay_ns ? o->stay_ns : STAY_NS;
    p->hooks = o->hooks;
    p->hooked = o->hooks.task_begin || o->hooks.task_end || o->hooks.park || o->hooks.unpark;
    p->start = o->start ? o->start : lmn_thread_start;
}

static void pool_free(lmn_workpool *p)
{
    const lamina_allocator a = p->alloc;
    lmn_free(&a, p->thread, p->n_room * sizeof *p->thread, 16, TAG);
    lmn_free(&a, p->worker, p->n_room * sizeof *p->worker, LMN_APART, TAG);
    lmn_free(&a, p, sizeof *p, LMN_APART, TAG);
}

lamina_status lmn_workpool_create(const lamina_allocator *a, const lmn_pool_opts *opts,
                                  lmn_workpool **out)
{
    *out = NULL;
    lmn_workpool *p = lmn_alloc(a, sizeof *p, LMN_APART, TAG);
    if (!p) return LAMINA_E_NOMEM;
    p->alloc = *a;
    settle(p, opts ? opts : &(const lmn_pool_opts){0});
    p->n_room = p->most > 1 ? p->most - 1 : 1; /* one for tasks that nobody waits for */
    p->thread = lmn_alloc(a, p->n_room * sizeof *p->thread, 16, TAG);
    p->worker = lmn_alloc(a, p->n_room * sizeof *p->worker, LMN_APART, TAG);
    if (!p->thread || !p->worker) {
        pool_free(p);
        return LAMINA_E_NOMEM;
    }
    for (uint32_t i = 0; i < p->n_room; i++) worker_init(p, &p->worker[i], false);
    lmn_parking_init(&p->lot, lmn_asym_detect());
    for (int i = 0; i < LMN_POOL_OFFERS; i++) lmn_offer_init(&p->offer[i]);
    p->process = lmn_self_pid();
    lmn_atomic_init(&p->quit, 0);
    lmn_atomic_init(&p->n_threads, 0);
    lmn_atomic_init(&p->expected, 0);
    lmn_mutex_init_as(&p->starting, LMN_RANK_POOL, "pool", NULL);
    p->retry_ns = 0;
    p->started = 0;
    p->registered = 0;
    *out = p;
    return LAMINA_OK;
}

static void worker_finish(lmn_workpool *p, lmn_worker *w)
{
    lmn_deque_item t;
    while (lmn_deque_take(&w->deque, &t)) lmn_task_drop(&t);
    lmn_deque_finish(&w->deque);
    if (w->guest) lmn_free(&p->alloc, w, sizeof *w, LMN_APART, TAG);
}

void lmn_workpool_destroy(lmn_workpool *p)
{
    if (!p) return;
    lmn_atomic_store(&p->quit, 1, relaxed);
    lmn_park_notify_all(&p->lot);
    const bool forked = p->process != lmn_self_pid();
    for (uint32_t i = 0; !forked && i < p->started; i++) lmn_thread_join(&p->thread[i]);
    for (uint32_t i = 0; i < lmn_pool_workers(p); i++) worker_finish(p, lmn_pool_worker(p, i));
    lmn_mutex_finish(&p->starting);
    pool_free(p);
}

uint32_t lmn_workpool_width(const lmn_workpool *p)
{
    return lmn_atomic_load(&p->width, relaxed);
}

void lmn_workpool_stats(lmn_workpool *p, lmn_pool_stats *out)
{
    *out = (lmn_pool_stats){.width = lmn_workpool_width(p),
                            .n_threads = lmn_atomic_load(&p->n_threads, relaxed),
                            .n_asleep = lmn_atomic_load(&p->lot.asleep, relaxed)};
    for (uint32_t i = 0; i < lmn_pool_workers(p); i++) {
        const lmn_worker *w = lmn_pool_worker(p, i);
        out->n_guests += w && w->guest;
    }
}
