/*
 * The pool: every chunk runs once whatever the width, worker numbers stay below it, the caller
 * works too, uses nest and meet, a reason to stop skips what is left.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "runtime/workers.h"

#define CHUNKS 1000

typedef struct job {
    atomic_int seen[CHUNKS];
    atomic_int wrong, ran;
    int32_t width;
    uintptr_t caller;
    atomic_int by_caller;
    lmn_stop *stop; /* set after 10 chunks, or NULL */
    const lmn_par *inner;
} job;

static void chunk(void *arg, int64_t c, int32_t worker)
{
    job *j = arg;
    if (c < 0 || c >= CHUNKS || worker < 0 || worker >= j->width) {
        atomic_fetch_add(&j->wrong, 1);
        return;
    }
    atomic_fetch_add(&j->seen[c], 1);
    if (lmn_thread_key() == j->caller) atomic_fetch_add(&j->by_caller, 1);
    const int before = atomic_fetch_add(&j->ran, 1);
    if (before == 9 && j->stop) lmn_stop_set(j->stop, LAMINA_E_CANCELLED);
    /* Whoever is to set it may be held up. */
    while (before > 9 && j->stop && lmn_stop_poll(j->stop) == LAMINA_OK) (void)sched_yield();
    for (volatile int i = 0; i < 500; i++) {
    }
}

static void begin(job *j, const lmn_par *par)
{
    memset(j, 0, sizeof *j);
    j->width = par->width;
    j->caller = lmn_thread_key();
}

static void check_all(const job *j)
{
    int missed = 0;
    for (int i = 0; i < CHUNKS; i++) missed += atomic_load(&j->seen[i]) != 1;
    T_EQ(missed, 0);
    T_EQ(atomic_load(&j->wrong), 0);
    T_EQ(atomic_load(&j->ran), CHUNKS);
}

static lmn_workpool *pool_of(t_env *env, uint32_t width)
{
    lmn_workpool *p = NULL;
    env->engine->n_threads = width;
    T_OK(lmn_workers_get(env->engine, &p));
    return p;
}

static void test_widths(t_env *env)
{
    static job j;
    lmn_workpool *p = pool_of(env, 4);
    T_REQUIRE(p);
    for (int32_t width = 0; width <= 6; width++) {
        lmn_par_ctx ctx;
        lmn_par par;
        lmn_workers_par(p, width, NULL, &ctx, &par);
        T_EQ(par.width, width >= 1 && width <= 4 ? width : 4);
        for (int turn = 0; turn < 20; turn++) {
            begin(&j, &par);
            lmn_par_for(&par, CHUNKS, chunk, &j);
            check_all(&j);
            if (par.width == 1) T_EQ(atomic_load(&j.by_caller), CHUNKS);
        }
        begin(&j, &par);
        lmn_par_for(&par, 0, chunk, &j);
        T_EQ(atomic_load(&j.ran), 0);
        lmn_par_for(&par, 1, chunk, &j);
        T_EQ(atomic_load(&j.by_caller), 1); /* one chunk: nobody is asked */
    }
    lmn_workpool *again = NULL;
    T_OK(lmn_workers_get(env->engine, &again));
    T_CHECK(again == p);
}

/* A pool of one never starts a thread. */
static void test_single(t_env *env)
{
    static job j;
    lmn_par_ctx ctx;
    lmn_par par;
    lmn_workpool *p = pool_of(env, 1);
    T_REQUIRE(p);
    lmn_workers_par(p, 8, NULL, &ctx, &par);
    T_EQ(par.width, 1);
    begin(&j, &par);
    lmn_par_for(&par, CHUNKS, chunk, &j);
    T_EQ(atomic_load(&j.by_caller), CHUNKS);
}

static void outer(void *arg, int64_t c, int32_t worker)
{
    job *j = arg;
    (void)c, (void)worker;
    static _Thread_local job inner;
    memset(&inner, 0, sizeof inner);
    inner.width = j->inner->width;
    inner.caller = lmn_thread_key();
    lmn_par_for(j->inner, CHUNKS, chunk, &inner);
    if (atomic_load(&inner.ran) != CHUNKS || atomic_load(&inner.wrong))
        atomic_fetch_add(&j->wrong, 1);
    atomic_fetch_add(&j->ran, 1);
}

/* A chunk may use the pool itself and does not wait for ever. */
static void test_nested(t_env *env)
{
    static job j;
    lmn_par_ctx ctx;
    lmn_par par;
    lmn_workpool *p = pool_of(env, 3);
    T_REQUIRE(p);
    lmn_workers_par(p, 3, NULL, &ctx, &par);
    begin(&j, &par);
    j.inner = &par;
    lmn_par_for(&par, 8, outer, &j);
    T_EQ(atomic_load(&j.ran), 8);
    T_EQ(atomic_load(&j.wrong), 0);
}

static void test_stop(t_env *env)
{
    static job j;
    lmn_workpool *p = pool_of(env, 4);
    T_REQUIRE(p);
    for (int32_t width = 1; width <= 4; width++) {
        lmn_par_ctx ctx;
        lmn_par par;
        lmn_stop stop = {0};
        lmn_workers_par(p, width, &stop, &ctx, &par);
        begin(&j, &par);
        j.stop = &stop;
        lmn_par_for(&par, CHUNKS, chunk, &j);
        T_CHECK(atomic_load(&j.ran) >= 10 && atomic_load(&j.ran) <= 10 + width);
        T_EQ(lmn_stop_poll(&stop), LAMINA_E_CANCELLED);
        lmn_stop_set(&stop, LAMINA_E_TIMEOUT); /* the first reason stays */
        T_EQ(lmn_stop_poll(&stop), LAMINA_E_CANCELLED);
        begin(&j, &par);
        lmn_par_for(&par, CHUNKS, chunk, &j);
        T_EQ(atomic_load(&j.ran), 0);
    }
    lmn_stop late = {.deadline_ns = 1};
    T_EQ(lmn_stop_poll(&late), LAMINA_E_TIMEOUT);
}

typedef struct caller {
    lmn_workpool *pool;
    int wrong;
} caller;

static void *caller_main(void *arg)
{
    caller *c = arg;
    static _Thread_local job j;
    lmn_par_ctx ctx;
    lmn_par par;
    lmn_workers_par(c->pool, 3, NULL, &ctx, &par);
    for (int turn = 0; turn < 50; turn++) {
        begin(&j, &par);
        lmn_par_for(&par, CHUNKS, chunk, &j);
        c->wrong += atomic_load(&j.ran) != CHUNKS || atomic_load(&j.wrong);
    }
    return NULL;
}

/* Several callers at once share the helpers. */
static void test_callers(t_env *env)
{
    caller c[3];
    lmn_thread t[3];
    lmn_workpool *p = pool_of(env, 3);
    T_REQUIRE(p);
    for (int i = 0; i < 3; i++) {
        c[i] = (caller){p, 0};
        T_OK(lmn_thread_start(&t[i], caller_main, &c[i]));
    }
    for (int i = 0; i < 3; i++) {
        lmn_thread_join(&t[i]);
        T_EQ(c[i].wrong, 0);
    }
}

T_MAIN(T_TEST(test_widths), T_TEST(test_single), T_TEST(test_nested), T_TEST(test_stop),
       T_TEST(test_callers))
