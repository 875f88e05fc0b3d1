/*
 * Parallel loops and reductions: every chunk once whatever the width, several callers and nested
 * loops at once, more threads than CPUs, reasons to stop, workers that stay awake, and sums whose
 * bits do not depend on the number of threads or on the caller's rounding.
 */
#include "t.h"

#include "sync/workpool.h"

#include <fenv.h>
#include <unistd.h>

#define CHUNKS 500

static lmn_workpool *pool_of(t_env *env, uint32_t width)
{
    lmn_workpool *p = NULL;
    const lmn_pool_opts o = {.width = width};
    T_OK(lmn_workpool_create(&env->alloc, &o, &p));
    return p;
}

typedef struct job {
    lmn_atomic(uint32_t) seen[CHUNKS];
    lmn_atomic(uint32_t) busy[16]; /* a worker number is one worker's */
    lmn_atomic(uint32_t) ran, wrong;
    lmn_workpool *inner;
    lmn_atomic(uint32_t) stop;
    uint32_t stop_after; /* 0: never */
} job;

static void chunk(void *arg, int64_t c, int32_t worker)
{
    job *j = arg;
    const bool in_range = c >= 0 && c < CHUNKS && worker >= 0 && worker < 16;
    if (!in_range || lmn_atomic_add(&j->busy[worker], 1, relaxed) != 0 ||
        lmn_atomic_add(&j->seen[c], 1, relaxed) != 0)
        (void)lmn_atomic_add(&j->wrong, 1, relaxed);
    const uint32_t n = lmn_atomic_add(&j->ran, 1, relaxed) + 1;
    if (n == j->stop_after) lmn_atomic_store(&j->stop, 1, relaxed);
    while (j->stop_after && n > j->stop_after && !lmn_atomic_load(&j->stop, relaxed))
        (void)sched_yield();
    for (volatile int i = 0; i < 100; i++) {
    }
    if (in_range) (void)lmn_atomic_sub(&j->busy[worker], 1, relaxed);
}

static bool stopped(void *ctx)
{
    return lmn_atomic_load(&((job *)ctx)->stop, relaxed) != 0;
}

static bool run(lmn_workpool *p, job *j, int32_t width)
{
    memset(j, 0, sizeof *j);
    lmn_workpool_for(p, &(lmn_loop){.n_chunks = CHUNKS, .fn = chunk, .arg = j, .width = width});
    return lmn_atomic_load(&j->ran, relaxed) == CHUNKS && lmn_atomic_load(&j->wrong, relaxed) == 0;
}

static void test_widths(t_env *env)
{
    static job j;
    for (uint32_t width = 1; width <= 16; width++) {
        lmn_workpool *p = pool_of(env, width);
        T_REQUIRE(p);
        for (int turn = 0; turn < 10; turn++) T_CHECK(run(p, &j, turn));
        memset(&j, 0, sizeof j);
        lmn_workpool_for(p, &(lmn_loop){.n_chunks = 0, .fn = chunk, .arg = &j});
        lmn_workpool_for(p, &(lmn_loop){.n_chunks = 1, .fn = chunk, .arg = &j});
        T_EQ(lmn_atomic_load(&j.ran, relaxed), 1);
        lmn_workpool_destroy(p);
    }
}

#define FIXED_WIDTH 5
#define FIXED_TURNS 200

/* Which thread had a worker's number in the last loop that it came to. */
typedef struct given {
    lmn_atomic(uintptr_t) thread[FIXED_WIDTH];
    lmn_atomic(uint32_t) came, moved;
} given;

static void number_chunk(void *arg, int64_t c, int32_t worker)
{
    given *n = arg;
    const uintptr_t me = lmn_thread_key();
    (void)c;
    const uintptr_t before = lmn_atomic_exchange(&n->thread[worker], me, relaxed);
    if (before != me) (void)lmn_atomic_add(before ? &n->moved : &n->came, 1, relaxed);
    for (volatile int i = 0; i < 2000; i++) {
    }
}

/* Loop after loop a thread has the same number. */
static void test_numbers(t_env *env)
{
    static given n;
    lmn_workpool *p = pool_of(env, FIXED_WIDTH);
    T_REQUIRE(p);
    for (int turn = 0; turn < FIXED_TURNS; turn++)
        lmn_workpool_for(p, &(lmn_loop){.n_chunks = 60, .fn = number_chunk, .arg = &n});
    T_EQ(lmn_atomic_load(&n.moved, relaxed), 0);
    T_CHECK(lmn_atomic_load(&n.came, relaxed) > 2);
    lmn_workpool_destroy(p);
}

static void outer(void *arg, int64_t c, int32_t worker)
{
    job *j = arg, *inner = malloc(sizeof *inner);
    (void)c, (void)worker;
    if (!inner || !run(j->inner, inner, 0)) (void)lmn_atomic_add(&j->wrong, 1, relaxed);
    free(inner);
    (void)lmn_atomic_add(&j->ran, 1, relaxed);
}

/* Chunks that run loops themselves; more of them than there are offers. */
static void test_nested(t_env *env)
{
    static job j;
    lmn_workpool *p = pool_of(env, 12);
    T_REQUIRE(p);
    j.inner = p;
    lmn_workpool_for(p, &(lmn_loop){.n_chunks = 24, .fn = outer, .arg = &j});
    T_EQ(lmn_atomic_load(&j.ran, relaxed), 24);
    T_EQ(lmn_atomic_load(&j.wrong, relaxed), 0);
    lmn_workpool_destroy(p);
}

static void *caller_main(void *arg)
{
    uintptr_t wrong = 0;
    job *j = malloc(sizeof *j);
    for (int turn = 0; j && turn < 40; turn++) wrong += !run(arg, j, 0);
    free(j);
    return (void *)wrong;
}

static void test_callers(t_env *env)
{
    lmn_thread t[6];
    lmn_workpool *p = pool_of(env, 3);
    T_REQUIRE(p);
    for (int i = 0; i < 6; i++) T_OK(lmn_thread_start(&t[i], caller_main, p));
    for (int i = 0; i < 6; i++) {
        void *wrong = NULL;
        T_EQ(pthread_join(t[i].t, &wrong), 0);
        T_CHECK(wrong == NULL);
    }
    lmn_workpool_destroy(p);
}

static void test_stop(t_env *env)
{
    static job j;
    for (uint32_t width = 1; width <= 4; width++) {
        lmn_workpool *p = pool_of(env, width);
        T_REQUIRE(p);
        memset(&j, 0, sizeof j);
        j.stop_after = 10;
        const lmn_loop loop = {CHUNKS, chunk, &j, stopped, &j, 0};
        lmn_workpool_for(p, &loop);
        const uint32_t ran = lmn_atomic_load(&j.ran, relaxed);
        T_CHECK(ran >= 10 && ran < 10 + width);
        lmn_workpool_for(p, &loop);
        T_EQ(lmn_atomic_load(&j.ran, relaxed), ran);
        lmn_workpool_destroy(p);
    }
}

static uint32_t asleep(lmn_workpool *p)
{
    lmn_pool_stats st;
    lmn_workpool_stats(p, &st);
    return st.n_asleep;
}

/* While loops are expected a worker does not sleep between them; afterwards it does, at once. */
static void test_expected(t_env *env)
{
    static job j;
    lmn_workpool *p = NULL;
    const lmn_pool_opts o = {.width = 2, .spin_ns = 1, .stay_ns = UINT64_MAX};
    T_OK(lmn_workpool_create(&env->alloc, &o, &p));
    T_REQUIRE(p);
    lmn_workpool_expect(p, 1);
    T_CHECK(run(p, &j, 2));
    for (int i = 0; i < 50; i++) {
        T_EQ(asleep(p), 0);
        (void)usleep(1000);
    }
    lmn_workpool_expect(p, -1);
    while (asleep(p) == 0) (void)sched_yield(); /* for ever, if it stayed awake */
    T_CHECK(run(p, &j, 2));
    lmn_workpool_destroy(p);
}

#define N 20000

static float numbers[N];

static void map_sum(void *arg, int64_t begin, int64_t end, void *partial)
{
    float *sum = partial; /* of floats in float: the order shows */
    (void)arg;
    for (int64_t i = begin; i < end; i++) *sum += numbers[i];
}

static void add(void *arg, void *into, const void *partial)
{
    (void)arg;
    *(float *)into += *(const float *)partial;
}

static void test_reductions(t_env *env)
{
    static const int64_t GRAINS[] = {0, 1, 7, 1000, N, INT64_MAX};
    for (int i = 0; i < N; i++) numbers[i] = (float)t_rand_real(env, -1e6, 1e6);
    for (size_t k = 0; k < T_COUNT(GRAINS); k++) {
        float first = 0;
        for (uint32_t width = 1; width <= 16; width++) {
            lmn_workpool *p = pool_of(env, width);
            T_REQUIRE(p);
            const lmn_reduction r = {N, GRAINS[k], sizeof(float), map_sum, add, NULL, 0};
            float sum = 1;
            const int rounding = fegetround();
            if (width % 2 == 0) (void)fesetround(FE_UPWARD); /* the caller's own business */
            T_OK(lmn_workpool_reduce(p, &r, &sum));
            if (width % 2 == 0) T_EQ(fegetround(), FE_UPWARD);
            (void)fesetround(rounding);
            if (width == 1) first = sum;
            T_MEM_EQ(&sum, &first, sizeof sum);
            lmn_workpool_destroy(p);
        }
    }
}

static void test_bad_reductions(t_env *env)
{
    lmn_workpool *p = pool_of(env, 1);
    T_REQUIRE(p);
    float sum = 1;
    lmn_reduction r = {N, 0, sizeof(float), map_sum, add, NULL, 0};
    t_fail_alloc(env, 1);
    T_EQ(lmn_workpool_reduce(p, &r, &sum), LAMINA_E_NOMEM);
    r.n = -1;
    T_EQ(lmn_workpool_reduce(p, &r, &sum), LAMINA_E_INVALID);
    r.n = 0;
    T_OK(lmn_workpool_reduce(p, &r, &sum));
    r.bytes = 1 << 20;
    T_EQ(lmn_workpool_reduce(p, &r, &sum), LAMINA_E_INVALID);
    T_NEAR(sum, 1, 0);
    lmn_workpool_destroy(p);
}

T_MAIN(T_TEST(test_widths), T_TEST(test_numbers), T_TEST(test_nested), T_TEST(test_callers),
       T_TEST(test_stop), T_TEST(test_expected), T_TEST(test_reductions),
       T_TEST(test_bad_reductions))
