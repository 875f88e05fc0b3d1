/*
 * The subject about handing work to threads: tasks that count one up, as a call, as a thread each,
 * through the pool of lamina/pool.h and one under a mutex, and claimed from a shared counter, one
 * at a time and 64 at a time. Every sample checks that each task ran once. A pool has a thread for
 * each processor, four at most, and they sleep between samples.
 */
#include "sys_bench.h"

#include "lamina/pool.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TASKS 8192u
#define FEW 64u /* where a task is a thread */
#define MOST_THREADS 4

typedef struct pool {
    lamina_pool *ours;
    pthread_t thread[MOST_THREADS];
    int threads;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    uint32_t queued, taken, done, piece; /* tasks by number; under the lock */
    bool ending;
    _Alignas(SYS_APART) atomic_uint next; /* the shared counter */
    _Alignas(SYS_APART) uint8_t ran[TASKS];
} pool;

static void task(pool *p, uint32_t i)
{
    *(volatile uint8_t *)&p->ran[i] += 1;
}

static void *serve(void *arg)
{
    pool *p = arg;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->ending && p->taken == p->queued) (void)pthread_cond_wait(&p->work, &p->lock);
        if (p->ending) break;
        const uint32_t from = p->taken, left = p->queued - from;
        const uint32_t n = left < p->piece ? left : p->piece;
        p->taken += n;
        (void)pthread_mutex_unlock(&p->lock);
        for (uint32_t i = from; i < from + n; i++) task(p, i);
        (void)pthread_mutex_lock(&p->lock);
        p->done += n;
        if (p->done == TASKS) (void)pthread_cond_signal(&p->idle);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Each of n tasks ran once: ns a task; else not a number. */
static double judged(pool *p, double ns, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (p->ran[i] != 1) return (void)cli_fail("pool: task %u ran %u times", i, p->ran[i]), NAN;
    return ns / n;
}

static double called(void *state, int arg)
{
    pool *p = state;
    (void)arg;
    memset(p->ran, 0, sizeof p->ran);
    const double from = sys_now_ns();
    for (uint32_t i = 0; i < TASKS; i++) task(p, i);
    return judged(p, sys_now_ns() - from, TASKS);
}

typedef struct one {
    pool *pool;
    uint32_t i;
} one;

static void *run_one(void *arg)
{
    const one *o = arg;
    task(o->pool, o->i);
    return NULL;
}

static double thread_each(void *state, int arg)
{
    pool *p = state;
    (void)arg;
    memset(p->ran, 0, sizeof p->ran);
    const double from = sys_now_ns();
    for (uint32_t i = 0; i < FEW; i++) {
        pthread_t t;
        one o = {p, i};
        if (pthread_create(&t, NULL, run_one, &o) != 0) return NAN;
        (void)pthread_join(t, NULL);
    }
    return judged(p, sys_now_ns() - from, FEW);
}

/* Submitted and taken `piece` at a time, a lock each. */
static double queued(void *state, int piece)
{
    pool *p = state;
    memset(p->ran, 0, sizeof p->ran);
    (void)pthread_mutex_lock(&p->lock);
    p->queued = p->taken = p->done = 0;
    p->piece = (uint32_t)piece;
    (void)pthread_mutex_unlock(&p->lock);
    const double from = sys_now_ns();
    for (uint32_t i = 0; i < TASKS; i += (uint32_t)piece) {
        (void)pthread_mutex_lock(&p->lock);
        p->queued += (uint32_t)piece;
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_cond_signal(&p->work);
    }
    (void)pthread_mutex_lock(&p->lock);
    while (p->done < TASKS) (void)pthread_cond_wait(&p->idle, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
    return judged(p, sys_now_ns() - from, TASKS);
}

typedef struct loop {
    pool *pool;
    uint32_t piece;
} loop;

static double claim(void *ctx, int index)
{
    const loop *l = ctx;
    const double from = sys_now_ns();
    (void)index;
    for (;;) {
        const uint32_t i =
            atomic_fetch_add_explicit(&l->pool->next, l->piece, memory_order_relaxed);
        if (i >= TASKS) return sys_now_ns() - from;
        for (uint32_t k = i; k < i + l->piece; k++) task(l->pool, k);
    }
}

/* As a parallel loop hands out its pieces; the start of the threads is left out. */
static double claimed(void *state, int piece)
{
    pool *p = state;
    loop l = {p, (uint32_t)piece};
    sys_part parts[MOST_THREADS];
    double ns = 0;
    memset(p->ran, 0, sizeof p->ran);
    atomic_store(&p->next, 0);
    for (int i = 0; i < p->threads; i++) parts[i] = (sys_part){claim, &l, -1, 0};
    if (!sys_together(parts, p->threads)) return NAN;
    for (int i = 0; i < p->threads; i++)
        if (parts[i].ns > ns) ns = parts[i].ns;
    return judged(p, ns, TASKS);
}

static void run_spawned(lamina_worker *w, void *payload)
{
    one o;
    (void)w;
    memcpy(&o, payload, sizeof o);
    task(o.pool, o.i);
}

/* Tasks of a group, spawned by a thread that works as well. */
static double spawned(void *state, int arg)
{
    pool *p = state;
    lamina_worker *w = NULL;
    lamina_group g;
    (void)arg;
    memset(p->ran, 0, sizeof p->ran);
    if (lamina_pool_enter(p->ours, &w) != LAMINA_OK) return NAN;
    const double from = sys_now_ns();
    lamina_group_init(&g, w);
    for (uint32_t i = 0; i < TASKS; i++) {
        const one o = {p, i};
        (void)lamina_spawn(w, &g, run_spawned, NULL, &o, sizeof o);
    }
    (void)lamina_group_wait(&g);
    const double ns = sys_now_ns() - from;
    lamina_pool_leave(w);
    return judged(p, ns, TASKS);
}

static void run_chunk(void *arg, int64_t chunk, int32_t who)
{
    const loop *l = arg;
    (void)who;
    const uint32_t from = (uint32_t)chunk * l->piece;
    for (uint32_t i = from; i < from + l->piece; i++) task(l->pool, i);
}

static double looped(void *state, int piece)
{
    pool *p = state;
    loop l = {p, (uint32_t)piece};
    memset(p->ran, 0, sizeof p->ran);
    const double from = sys_now_ns();
    lamina_pool_for(p->ours, TASKS / piece, run_chunk, &l);
    return judged(p, sys_now_ns() - from, TASKS);
}

void sys_pool_end(void *state)
{
    pool *p = state;
    lamina_pool_destroy(p->ours);
    (void)pthread_mutex_lock(&p->lock);
    p->ending = true;
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_cond_broadcast(&p->work);
    for (int i = 0; i < p->threads; i++) (void)pthread_join(p->thread[i], NULL);
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_cond_destroy(&p->idle);
    free(p);
}

bool sys_pool(sys_run *r, void **state)
{
    static const char NONE[] = "no thread to be had";
    int cpus[MOST_THREADS];
    const int wanted = sys_cpus(cpus, MOST_THREADS);
    pool *p = aligned_alloc(SYS_APART, sizeof *p);
    if (!p) return (void)cli_fail("out of memory"), false;
    memset(p, 0, sizeof *p);
    *state = p;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    (void)pthread_cond_init(&p->idle, NULL);
    while (p->threads < wanted && pthread_create(&p->thread[p->threads], NULL, serve, p) == 0)
        p->threads++;
    const lamina_pool_opts opts = {.size = sizeof opts, .width = (uint32_t)p->threads};
    if (p->threads == 0 || lamina_pool_create(&opts, &p->ours) != LAMINA_OK) {
        sys_pool_end(p);
        return (void)cli_fail("pool: no thread or no memory to be had"), false;
    }
    sys_add(r, called, 0, NONE, "called");
    sys_add(r, thread_each, 0, NONE, "a thread each");
    sys_add(r, spawned, 0, NONE, "lamina_pool, spawned");
    sys_add(r, looped, 1, NONE, "lamina_pool, a loop");
    sys_add(r, looped, 64, NONE, "lamina_pool, a loop, 64 at once");
    sys_add(r, queued, 1, NONE, "pool under a mutex");
    sys_add(r, queued, 64, NONE, "pool under a mutex, 64 at once");
    sys_add(r, claimed, 1, NONE, "claimed from a counter");
    sys_add(r, claimed, 64, NONE, "claimed from a counter, 64 at once");
    return true;
}
