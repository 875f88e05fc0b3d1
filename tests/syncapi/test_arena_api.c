/*
 * The public memory tools (lamina/arena.h): bounds, alignments, bad options, every allocation
 * failing in turn; the pool for many threads by seats and by caches, with more threads than seats.
 */
#include "t.h"

#include "lamina/arena.h"

#include "base/os/os_thread.h"
#include "base/poison.h"
#include "sync/seats.h"

static void test_arena(t_env *env)
{
    lamina_arena_opts o = {sizeof o, &env->alloc, 1 << 20};
    lamina_arena *a = NULL;
    T_EQ(lamina_arena_create(&o, NULL), LAMINA_E_INVALID);
    o.size = 1;
    T_EQ(lamina_arena_create(&o, &a), LAMINA_E_INVALID);
    o.size = sizeof o;
    t_fail_alloc(env, 1);
    T_EQ(lamina_arena_create(&o, &a), LAMINA_E_NOMEM);
    T_OK(lamina_arena_create(&o, &a));
    T_CHECK(!lamina_arena_alloc(a, 1, 0) && !lamina_arena_alloc(a, 1, 48));
    T_CHECK(!lamina_arena_alloc(a, 1, 128) && !lamina_arena_alloc(a, 2 << 20, 16));
    for (size_t align = 1; align <= 64; align *= 2) {
        uint8_t *p = lamina_arena_alloc(a, 100, align);
        T_REQUIRE(p);
        T_EQ((uintptr_t)p % align, 0);
        memset(p, 1, 100);
    }
    const lamina_arena_mark mark = lamina_arena_mark_here(a);
    uint8_t *first = lamina_arena_alloc(a, 8, 8);
    for (int i = 0; i < 1000; i++) T_CHECK(lamina_arena_alloc(a, 100, 8) != NULL);
    T_CHECK(lamina_arena_bytes(a) > 100000);
    lamina_arena_rewind(a, mark);
    T_CHECK(lamina_arena_alloc(a, 8, 8) == first);
    lamina_arena_rewind(a, mark);
#ifdef LMN_ASAN
    T_CHECK(__asan_address_is_poisoned(first));
#endif
    lamina_arena_destroy(a);
    lamina_arena_destroy(NULL);
}

static void test_objects(t_env *env)
{
    lamina_objpool_opts o = {sizeof o, &env->alloc, 0, 100};
    lamina_objpool *p = NULL;
    void *all[128];
    T_EQ(lamina_objpool_create(NULL, &p), LAMINA_E_INVALID);
    T_EQ(lamina_objpool_create(&o, &p), LAMINA_E_INVALID);
    o.object_bytes = (size_t)1 << 33;
    T_EQ(lamina_objpool_create(&o, &p), LAMINA_E_INVALID);
    o.object_bytes = 40;
    t_fail_alloc(env, 1);
    T_EQ(lamina_objpool_create(&o, &p), LAMINA_E_NOMEM);
    T_OK(lamina_objpool_create(&o, &p));
    T_EQ(lamina_objpool_take_n(p, all, 128), 100);
    T_CHECK(!lamina_objpool_take(p));
    for (int i = 0; i < 100; i++) memset(all[i], i, 40);
    for (int i = 0; i < 100; i++) T_EQ(((uint8_t *)all[i])[39], i);
    lamina_objpool_give(p, NULL);
    lamina_objpool_give(p, all[50]);
#ifdef LMN_ASAN
    T_CHECK(__asan_address_is_poisoned(all[50]));
#endif
    T_CHECK(lamina_objpool_take(p) == all[50]);
    lamina_objpool_give_n(p, all, 100);
    T_EQ(lamina_objpool_take_n(p, all, 128), 100);
    lamina_objpool_destroy(p);
    lamina_objpool_destroy(NULL);
}

#define THREADS 40
_Static_assert(THREADS > LMN_SEATS, "some find every seat taken");

typedef struct rig {
    lamina_magpool *pool;
    lmn_atomic(uint64_t) wrong;
    lmn_atomic(void *) slot[THREADS];
} rig;

typedef struct worker {
    rig *r;
    uint32_t id;
} worker;

/* Objects wander from thread to thread; half of the threads have a cache. */
static void *work(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    lamina_magcache *c = NULL;
    uint64_t wrong = 0;
    if (w->id % 2) wrong += lamina_magpool_join(r->pool, &c) != LAMINA_OK;
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t *o = c ? lamina_magpool_take_by(c) : lamina_magpool_take(r->pool);
        if (!o) {
            wrong++;
            continue;
        }
        o[0] = i;
        o[1] = ~o[0];
        uint64_t *other =
            lmn_atomic_exchange(&r->slot[(w->id * 7 + i) % THREADS], (void *)o, acq_rel);
        wrong += other && other[0] != ~other[1];
        if (other) other[0] = other[1] = 0;
        if (c && other)
            lamina_magpool_give_by(c, other);
        else
            lamina_magpool_give(r->pool, other);
    }
    lamina_magpool_leave(c);
    (void)lmn_atomic_add(&r->wrong, wrong, relaxed);
    return NULL;
}

static void test_shared(t_env *env)
{
    const lamina_objpool_opts o = {sizeof o, &env->alloc, 16, 0};
    static rig r;
    worker w[THREADS];
    lmn_thread t[THREADS];
    T_OK(lamina_magpool_create(&o, &r.pool));
    lmn_atomic_init(&r.wrong, 0);
    for (int i = 0; i < THREADS; i++) lmn_atomic_init(&r.slot[i], NULL);
    for (uint32_t i = 0; i < THREADS; i++) {
        w[i] = (worker){&r, i};
        T_OK(lmn_thread_start(&t[i], work, &w[i]));
    }
    for (int i = 0; i < THREADS; i++) lmn_thread_join(&t[i]);
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    T_CHECK(lamina_magpool_objects(r.pool) <= 2 * THREADS + (uint64_t)186 * (2 * THREADS));
    lamina_magpool_destroy(r.pool);
    lamina_magpool_destroy(NULL);
}

static void test_shared_no_memory(t_env *env)
{
    for (int nth = 1, done = 0; !done; nth++) {
        const lamina_objpool_opts o = {sizeof o, &env->alloc, 16, 0};
        lamina_magpool *p = NULL;
        lamina_magcache *c = NULL;
        void *all[300];
        size_t n = 0;
        t_fail_alloc(env, nth);
        if (lamina_magpool_create(&o, &p) == LAMINA_OK) {
            if (lamina_magpool_join(p, &c) == LAMINA_OK) lamina_magpool_leave(c);
            for (int i = 0; i < 300; i++) n += (all[n] = lamina_magpool_take(p)) != NULL;
            T_CHECK(n >= 298);
            const uint64_t made = lamina_magpool_objects(p);
            for (size_t i = 0; i < n; i++) lamina_magpool_give(p, all[i]);
            for (n = 0; n < made && n < 300; n++) T_CHECK(lamina_magpool_take(p) != NULL);
            T_EQ(lamina_magpool_objects(p), made);
            lamina_magpool_destroy(p);
        }
        done = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_NOTHING_HELD(env);
    }
}

T_MAIN(T_TEST(test_arena), T_TEST(test_objects), T_TEST(test_shared), T_TEST(test_shared_no_memory))
