/*
 * The pool of magazines with real threads: objects taken by one thread and given by another, never
 * two owners, contents intact, never more objects than the bound says; threads come and go; every
 * allocation fails in turn. The orderings are the business of tests/stmc.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/magpool.h"

#define THREADS 8
#define SLOTS 300
#define ROUNDS 6000u

typedef struct object {
    lmn_atomic(uint32_t) live;
    uint32_t by;
    uint64_t note, again;
} object;

typedef struct rig {
    lmn_magpool pool;
    lmn_atomic(void *) slot[SLOTS];
    lmn_atomic(uint64_t) wrong;
    uint32_t rejoin; /* leave and join again so often */
} rig;

typedef struct worker {
    rig *r;
    uint32_t id;
} worker;

static bool fill(object *o, uint32_t id, uint64_t note)
{
    const bool mine = lmn_atomic_exchange(&o->live, 1, relaxed) == 0;
    o->by = id;
    o->note = note;
    o->again = ~note;
    return mine;
}

static bool empty(object *o)
{
    const bool intact = o->by < THREADS && o->again == ~o->note;
    return lmn_atomic_exchange(&o->live, 0, relaxed) == 1 && intact;
}

/* An object into a slot; what lay there, of whoever put it there, goes back to the pool. */
static void *work(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    lmn_magcache *c = lmn_mag_join(&r->pool);
    uint64_t wrong = c == NULL, x = w->id + 1;
    for (uint32_t i = 0; c && i < ROUNDS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        object *o = lmn_mag_take(c);
        if (!o) {
            wrong++;
            continue;
        }
        wrong += !fill(o, w->id, x);
        object *other = lmn_atomic_exchange(&r->slot[(x >> 33) % SLOTS], (void *)o, acq_rel);
        if (other) {
            wrong += !empty(other);
            lmn_mag_give(c, other);
        }
        if (i % r->rejoin == r->rejoin - 1) {
            lmn_mag_leave(c);
            c = lmn_mag_join(&r->pool);
        }
    }
    if (c) lmn_mag_leave(c);
    (void)lmn_atomic_add(&r->wrong, wrong + !c, relaxed);
    return NULL;
}

static void traffic(t_env *env, uint32_t rejoin)
{
    rig r;
    worker w[THREADS];
    lmn_thread t[THREADS];
    lmn_magpool_init(&r.pool, &env->alloc, sizeof(object), UINT64_MAX);
    for (int i = 0; i < SLOTS; i++) lmn_atomic_init(&r.slot[i], NULL);
    lmn_atomic_init(&r.wrong, 0);
    r.rejoin = rejoin;
    /* Objects begin dead: as many as there can be are made first. */
    const uint64_t most = SLOTS + THREADS + lmn_magpool_slack(THREADS);
    object **all = calloc((size_t)most, sizeof *all);
    lmn_magcache *c = lmn_mag_join(&r.pool);
    T_REQUIRE(all && c);
    for (uint64_t i = 0; i < most; i++) {
        T_REQUIRE(all[i] = lmn_mag_take(c));
        lmn_atomic_init(&all[i]->live, 0);
    }
    for (uint64_t i = 0; i < most; i++) lmn_mag_give(c, all[i]);
    lmn_mag_leave(c);
    free(all);
    const uint64_t made = lmn_atomic_load(&r.pool.n_made, relaxed);
    T_CHECK(made >= most && made < most + LMN_MAG_OBJECTS);
    for (uint32_t i = 0; i < THREADS; i++) {
        w[i] = (worker){&r, i};
        T_OK(lmn_thread_start(&t[i], work, &w[i]));
    }
    for (int i = 0; i < THREADS; i++) lmn_thread_join(&t[i]);
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    T_EQ(lmn_atomic_load(&r.pool.n_made, relaxed), made); /* the bound held */
    lmn_magpool_finish(&r.pool);
}

static void test_traffic(t_env *env)
{
    traffic(env, ROUNDS);
    traffic(env, 97);
}

/* One thread: what is taken differs, is aligned, and comes back last in, first out. */
static void test_alone(t_env *env)
{
    lmn_magpool p;
    void *all[500];
    lmn_magpool_init(&p, &env->alloc, 64, T_COUNT(all));
    lmn_magcache *c = lmn_mag_join(&p), *other = lmn_mag_join(&p);
    T_REQUIRE(c && other);
    for (size_t i = 0; i < T_COUNT(all); i++) {
        T_REQUIRE(all[i] = lmn_mag_take(c));
        T_EQ((uintptr_t)all[i] % 64, 0);
        memset(all[i], (int)i, 64);
    }
    T_CHECK(!lmn_mag_take(c) && !lmn_mag_take(other)); /* the maximum */
    for (size_t i = 0; i < T_COUNT(all); i++) T_EQ(((uint8_t *)all[i])[63], (uint8_t)i);
    lmn_mag_give(c, all[3]);
    T_CHECK(lmn_mag_take(c) == all[3]);
    for (size_t i = 0; i < T_COUNT(all); i++) lmn_mag_give(other, all[i]);
    size_t n = 0;
    while (lmn_mag_take(c)) n++;
    T_CHECK(n >= T_COUNT(all) - 2 * LMN_MAG_OBJECTS); /* but for what the other has */
    lmn_mag_leave(other);
    while (lmn_mag_take(c)) n++;
    T_EQ(n, T_COUNT(all));
    lmn_mag_leave(c);
    lmn_magpool_finish(&p);
}

/* Whatever allocation fails, nothing is lost, and giving goes on. */
static void test_no_memory(t_env *env)
{
    for (int nth = 1, done = 0; !done; nth++) {
        lmn_magpool p;
        void *all[700];
        size_t n = 0, again = 0;
        lmn_magpool_init(&p, &env->alloc, 24, UINT64_MAX);
        t_fail_alloc(env, nth);
        lmn_magcache *c = lmn_mag_join(&p);
        if (!c) c = lmn_mag_join(&p);
        T_REQUIRE(c);
        for (size_t i = 0; i < T_COUNT(all); i++) n += (all[n] = lmn_mag_take(c)) != NULL;
        T_CHECK(n >= T_COUNT(all) - 1);
        const uint64_t made = lmn_atomic_load(&p.n_made, relaxed);
        for (size_t i = 0; i < n; i++) lmn_mag_give(c, all[i]);
        p.max = made;
        while (lmn_mag_take(c)) again++;
        T_EQ(again, made);
        done = t_fail_pending(env);
        t_fail_alloc(env, 0);
        lmn_mag_leave(c);
        lmn_magpool_finish(&p);
        T_NOTHING_HELD(env);
    }
}

T_MAIN(T_TEST(test_alone), T_TEST(test_no_memory), T_TEST(test_traffic))
