/*
 * The public pool (lamina/pool.h): what each call says to bad arguments, fork and join, tasks run
 * or dropped exactly once, loops and reductions with the same bits for any width; few allocations
 * failing in turn.
 */
#include "t.h"

#include "lamina/pool.h"

#include "base/os/os_thread.h"

static lamina_pool *pool_of(t_env *env, uint32_t width)
{
    const lamina_pool_opts o = {.size = sizeof o, .allocator = &env->alloc, .width = width};
    lamina_pool *p = NULL;
    T_OK(lamina_pool_create(&o, &p));
    return p;
}

typedef struct fib {
    uint32_t n;
    uint64_t *out;
} fib;

static void fib_run(lamina_worker *w, void *payload)
{
    const fib f = *(const fib *)payload;
    uint64_t a = 0, b = 0;
    if (f.n < 2) {
        *f.out = f.n;
        return;
    }
    lamina_group g;
    const fib left = {f.n - 1, &a};
    fib right = {f.n - 2, &b};
    lamina_group_init(&g, w);
    (void)lamina_spawn(w, &g, fib_run, NULL, &left, sizeof left);
    fib_run(w, &right);
    (void)lamina_group_wait(&g);
    *f.out = a + b;
}

static void test_fork_join(t_env *env)
{
    for (uint32_t width = 1; width <= 4; width++) {
        lamina_pool *p = pool_of(env, width);
        lamina_worker *w = NULL;
        uint64_t out = 0;
        fib f = {17, &out};
        T_REQUIRE(p);
        T_EQ(lamina_pool_width(p), width);
        T_OK(lamina_pool_enter(p, &w));
        fib_run(w, &f);
        T_EQ(out, 1597);
        lamina_pool_leave(w);
        lamina_pool_destroy(p);
    }
}

static lmn_atomic(uint32_t) n_run, n_dropped;

static void count_run(lamina_worker *w, void *payload)
{
    (void)w, (void)payload;
    (void)lmn_atomic_add(&n_run, 1, relaxed);
}

static void count_drop(void *payload)
{
    (void)payload;
    (void)lmn_atomic_add(&n_dropped, 1, relaxed);
}

static void test_calls(t_env *env)
{
    const uint8_t payload[64] = {0};
    lamina_pool_opts o = {.size = sizeof o, .reserved = 1};
    lamina_worker *w = NULL;
    lamina_group g;
    lamina_pool *p = NULL;
    T_EQ(lamina_pool_create(&o, &p), LAMINA_E_INVALID);
    T_EQ(lamina_pool_create(NULL, NULL), LAMINA_E_INVALID);
    p = pool_of(env, 3);
    T_REQUIRE(p);
    lmn_atomic_store(&n_run, 0, relaxed);
    lmn_atomic_store(&n_dropped, 0, relaxed);
    T_EQ(lamina_pool_submit(p, NULL, NULL, NULL, 0), LAMINA_E_INVALID);
    T_EQ(lamina_pool_submit(p, count_run, count_drop, payload, 49), LAMINA_E_INVALID);
    T_EQ(lamina_pool_submit(p, count_run, count_drop, NULL, 8), LAMINA_E_INVALID);
    T_OK(lamina_pool_enter(p, &w));
    T_EQ(lamina_spawn(w, NULL, count_run, NULL, payload, 64), LAMINA_E_INVALID);
    for (uint32_t i = 0; i < 50; i++)
        T_OK(lamina_pool_submit(p, count_run, count_drop, payload, i % 49));
    lamina_group_init(&g, w);
    T_CHECK(!lamina_group_cancelled(&g));
    for (uint32_t i = 0; i < 50; i++)
        T_OK(lamina_spawn(w, &g, count_run, count_drop, payload, i % 49));
    T_OK(lamina_group_wait(&g));
    lamina_group_cancel(&g);
    T_CHECK(lamina_group_cancelled(&g));
    for (uint32_t i = 0; i < 10; i++) T_OK(lamina_spawn(w, &g, count_run, count_drop, NULL, 0));
    T_EQ(lamina_group_wait(&g), LAMINA_E_CANCELLED);
    T_CHECK(lmn_atomic_load(&n_dropped, relaxed) >= 10);
    lamina_pool_leave(w);
    lamina_pool_destroy(p);
    lamina_pool_destroy(NULL);
    T_EQ(lmn_atomic_load(&n_run, relaxed) + lmn_atomic_load(&n_dropped, relaxed), 110);
}

static void chunk(void *arg, int64_t i, int32_t who)
{
    (void)who;
    ((uint8_t *)arg)[i]++;
}

static void sum(void *arg, int64_t begin, int64_t end, void *partial)
{
    (void)arg;
    for (int64_t i = begin; i < end; i++) *(float *)partial += 1.0f / (float)(i + 1);
}

static void add(void *arg, void *into, const void *partial)
{
    (void)arg;
    *(float *)into += *(const float *)partial;
}

static void test_loops(t_env *env)
{
    static uint8_t seen[1000];
    float first = 0;
    for (uint32_t width = 1; width <= 5; width++) {
        lamina_pool *p = pool_of(env, width);
        T_REQUIRE(p);
        memset(seen, 0, sizeof seen);
        lamina_pool_for(p, sizeof seen, chunk, seen);
        lamina_pool_for(p, 0, chunk, seen);
        for (size_t i = 0; i < sizeof seen; i++) T_EQ(seen[i], 1);
        lamina_reduction r = {
            .size = sizeof r, .n = 100000, .grain = 1000, .partial = sizeof(float), .map = sum};
        float out = 0;
        T_EQ(lamina_pool_reduce(p, &r, &out), LAMINA_E_INVALID);
        r.combine = add;
        T_OK(lamina_pool_reduce(p, &r, &out));
        if (width == 1) first = out;
        T_MEM_EQ(&first, &out, sizeof out);
        lamina_pool_destroy(p);
    }
}

/* What cannot be had is said; what was taken is done or dropped. */
static void test_no_memory(t_env *env)
{
    for (int nth = 1, done = 0; !done && nth < 60; nth++) {
        const lamina_pool_opts o = {.size = sizeof o, .allocator = &env->alloc, .width = 2};
        lamina_pool *p = NULL;
        uint32_t taken = 0;
        lmn_atomic_store(&n_run, 0, relaxed);
        lmn_atomic_store(&n_dropped, 0, relaxed);
        t_fail_alloc(env, nth);
        if (lamina_pool_create(&o, &p) == LAMINA_OK) {
            for (int i = 0; i < 5; i++)
                taken += lamina_pool_submit(p, count_run, count_drop, NULL, 0) == LAMINA_OK;
            lamina_pool_destroy(p);
        }
        T_EQ(lmn_atomic_load(&n_run, relaxed) + lmn_atomic_load(&n_dropped, relaxed), taken);
        done = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_NOTHING_HELD(env);
    }
}

T_MAIN(T_TEST(test_calls), T_TEST(test_fork_join), T_TEST(test_loops), T_TEST(test_no_memory))
