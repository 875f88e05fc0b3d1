/*
 * The relaxed queue: a model agrees over single and bulk operations, rings grow and shrink, a lane
 * is used again, memory may run out at any call, every item arrives once and in its producer's
 * order from 1:1 to 8:8 threads that come and go, and closing under load loses nothing. The
 * orderings are the business of tests/stmc/mc_mpmc_relaxed.c.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/mpmc_relaxed.h"

#define MOST 8

typedef struct rig {
    lmn_smr domain;
    lmn_mpmc_relaxed queue;
    uint64_t per_producer;
    lmn_atomic(uint64_t) sent, sent_sum, got, got_sum, wrong;
} rig;

typedef struct worker {
    rig *r;
    uint64_t id;
} worker;

static void rig_init(t_env *env, rig *r)
{
    const lamina_allocator a = {LAMINA_ALLOCATOR_ABI, env, t_alloc, t_free};
    lmn_smr_init(&r->domain, &a, lmn_asym_detect());
    lmn_relaxed_init(&r->queue, &r->domain);
    lmn_atomic_init(&r->sent, 0);
    lmn_atomic_init(&r->sent_sum, 0);
    lmn_atomic_init(&r->got, 0);
    lmn_atomic_init(&r->got_sum, 0);
    lmn_atomic_init(&r->wrong, 0);
}

static void rig_finish(rig *r)
{
    lmn_relaxed_finish(&r->queue);
    lmn_smr_finish(&r->domain);
}

/* Items are numbers made to look like pointers. */
static void *item_of(uint64_t producer, uint64_t i)
{
    return (void *)(uintptr_t)(producer << 40 | i);
}

/* One producer and one consumer in one thread are a FIFO. */
static void test_model(t_env *env)
{
    static rig r;
    rig_init(env, &r);
    lmn_relaxed_producer p;
    lmn_relaxed_consumer c;
    T_OK(lmn_relaxed_consume(&r.queue, &c));
    void *items[300] = {NULL};
    size_t n = 0;
    T_EQ(lmn_relaxed_pop(&c, items), LAMINA_E_AGAIN);
    T_OK(lmn_relaxed_produce(&r.queue, &p));
    uint64_t in = 0, out = 0;
    for (int step = 0; step < 600; step++) {
        const size_t want = t_rand(env) % (step % 100 < 50 ? 300 : 20);
        for (size_t i = 0; i < want; i++) items[i] = item_of(1, in++);
        if (step & 1)
            T_OK(lmn_relaxed_push_bulk(&p, items, want));
        else
            for (size_t i = 0; i < want; i++) T_OK(lmn_relaxed_push(&p, items[i]));
        for (size_t left = t_rand(env) % 300; left > 0 && out < in; left -= n < left ? n : left) {
            T_OK(lmn_relaxed_pop_bulk(&c, items, 1 + left % 7, &n));
            T_CHECK(n >= 1 && n <= 1 + left % 7);
            for (size_t i = 0; i < n; i++) T_CHECK(items[i] == item_of(1, out++));
        }
    }
    lmn_relaxed_close(&r.queue);
    lmn_relaxed_close(&r.queue);
    T_EQ(lmn_relaxed_push(&p, item_of(1, 0)), LAMINA_E_CLOSED);
    for (; out < in; out++) {
        T_OK(lmn_relaxed_pop(&c, items));
        T_CHECK(items[0] == item_of(1, out));
    }
    T_EQ(lmn_relaxed_pop(&c, items), LAMINA_E_CLOSED);
    T_EQ(lmn_relaxed_pop(&c, items), LAMINA_E_CLOSED);
    lmn_relaxed_stop_producing(&p);
    T_EQ(lmn_relaxed_produce(&r.queue, &p), LAMINA_E_CLOSED);
    lmn_relaxed_stop_consuming(&c);
    rig_finish(&r);
}

/* What a burst took is given back, and a lane that is free is used before a new one is made. */
static void test_memory(t_env *env)
{
    static rig r;
    rig_init(env, &r);
    lmn_relaxed_producer p;
    lmn_relaxed_consumer c;
    void *item = NULL;
    T_OK(lmn_relaxed_consume(&r.queue, &c));
    T_OK(lmn_relaxed_produce(&r.queue, &p));
    for (uint64_t i = 0; i < 20000; i++) T_OK(lmn_relaxed_push(&p, item_of(1, i)));
    T_CHECK(p.mask + 1 == 1 << 15);
    for (uint64_t i = 0; i < 20000; i++) {
        T_OK(lmn_relaxed_pop(&c, &item));
        T_CHECK(item == item_of(1, i));
    }
    for (uint64_t i = 0; i < 500000; i++) {
        T_OK(lmn_relaxed_push(&p, item_of(1, i)));
        T_OK(lmn_relaxed_pop(&c, &item));
        T_CHECK(item == item_of(1, i));
    }
    T_CHECK(p.mask + 1 <= 4 * LMN_RELAXED_CELLS);
    T_CHECK(atomic_load(&env->live_bytes) < 16384);
    T_OK(lmn_relaxed_push(&p, item_of(1, 7)));
    const lmn_relaxed_lane *lane = p.lane;
    lmn_relaxed_stop_producing(&p);
    T_OK(lmn_relaxed_produce(&r.queue, &p));
    T_CHECK(p.lane == lane);
    T_OK(lmn_relaxed_push(&p, item_of(1, 8)));
    for (uint64_t i = 7; i <= 8; i++) {
        T_OK(lmn_relaxed_pop(&c, &item));
        T_CHECK(item == item_of(1, i));
    }
    lmn_relaxed_stop_producing(&p);
    lmn_relaxed_stop_consuming(&c);
    rig_finish(&r);
}

/* One run in which the k-th allocation fails: what is refused is not taken, the rest goes on. */
static void starve(t_env *env, int k)
{
    static rig r;
    rig_init(env, &r);
    lmn_relaxed_producer p[2];
    lmn_relaxed_consumer c;
    t_fail_alloc(env, k);
    int n = 0;
    while (n < 2 && lmn_relaxed_produce(&r.queue, &p[n]) == LAMINA_OK) n++;
    const bool takes = lmn_relaxed_consume(&r.queue, &c) == LAMINA_OK;
    uint64_t in = 0, out = 0;
    for (uint64_t i = 1; n > 0 && i <= 200; i++) {
        const lamina_status st = lmn_relaxed_push(&p[i % (uint64_t)n], item_of(1, i));
        T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
        if (st == LAMINA_OK) in += i;
    }
    t_fail_alloc(env, 0);
    void *item = NULL;
    while (takes && lmn_relaxed_pop(&c, &item) == LAMINA_OK)
        out += (uint64_t)(uintptr_t)item & 0xffffff;
    T_CHECK(!takes || in == out);
    for (int i = 0; i < n; i++) lmn_relaxed_stop_producing(&p[i]);
    if (takes) lmn_relaxed_stop_consuming(&c);
    rig_finish(&r);
}

static void test_no_memory(t_env *env)
{
    for (int k = 1; k <= 14; k++) starve(env, k);
}

/* ---- threads ------------------------------------------------------------------------------ */

/* In three visits: the lane may change in between, so each visit counts as a producer. */
static void *produce(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    uint64_t sum = 0, n = 0, wrong = 0;
    lamina_status st = LAMINA_OK;
    for (uint64_t visit = 0; visit < 3 && st != LAMINA_E_CLOSED; visit++) {
        lmn_relaxed_producer p;
        st = lmn_relaxed_produce(&r->queue, &p);
        if (st != LAMINA_OK) break;
        for (uint64_t i = 1; st == LAMINA_OK && i <= r->per_producer; i++) {
            st = lmn_relaxed_push(&p, item_of(visit * MOST + w->id, i));
            if (st == LAMINA_OK) sum += i, n++;
        }
        lmn_relaxed_stop_producing(&p);
    }
    wrong += st != LAMINA_OK && st != LAMINA_E_CLOSED;
    (void)lmn_atomic_add(&r->sent, n, relaxed);
    (void)lmn_atomic_add(&r->sent_sum, sum, relaxed);
    (void)lmn_atomic_add(&r->wrong, wrong, relaxed);
    return NULL;
}

static void *consume(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    uint64_t last[3 * MOST] = {0}, sum = 0, n = 0, wrong = 0;
    lmn_relaxed_consumer c;
    lamina_status st = lmn_relaxed_consume(&r->queue, &c);
    wrong += st != LAMINA_OK;
    while (st != LAMINA_E_CLOSED && st != LAMINA_E_NOMEM) {
        void *items[5] = {NULL};
        size_t got = 0;
        st = lmn_relaxed_pop_bulk(&c, items, 1 + w->id % 2 * 4, &got);
        if (st == LAMINA_E_AGAIN) (void)sched_yield();
        for (size_t k = 0; st == LAMINA_OK && k < got; k++) {
            const uint64_t v = (uint64_t)(uintptr_t)items[k], i = v & 0xffffffffff;
            const uint64_t from = (v >> 40) % (3 * MOST);
            wrong += i <= last[from];
            last[from] = i;
            sum += i, n++;
        }
    }
    wrong += st != LAMINA_E_CLOSED;
    lmn_relaxed_stop_consuming(&c);
    (void)lmn_atomic_add(&r->got, n, relaxed);
    (void)lmn_atomic_add(&r->got_sum, sum, relaxed);
    (void)lmn_atomic_add(&r->wrong, wrong, relaxed);
    return NULL;
}

/* per_producer 0: until somebody closes under load, or a good many. */
static void traffic(t_env *env, int producers, int consumers, uint64_t per_producer)
{
    static rig r;
    rig_init(env, &r);
    r.per_producer = per_producer ? per_producer : 20000;
    worker w[MOST];
    lmn_thread in[MOST], out[MOST];
    for (int i = 0; i < MOST; i++) w[i] = (worker){&r, (uint64_t)i};
    for (int i = 0; i < consumers; i++) T_OK(lmn_thread_start(&out[i], consume, &w[i]));
    for (int i = 0; i < producers; i++) T_OK(lmn_thread_start(&in[i], produce, &w[i]));
    for (int i = 0; !per_producer && i < 50; i++) (void)sched_yield();
    if (!per_producer) lmn_relaxed_close(&r.queue);
    for (int i = 0; i < producers; i++) lmn_thread_join(&in[i]);
    if (per_producer) lmn_relaxed_close(&r.queue);
    for (int i = 0; i < consumers; i++) lmn_thread_join(&out[i]);
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    T_EQ(lmn_atomic_load(&r.got, relaxed), lmn_atomic_load(&r.sent, relaxed));
    T_EQ(lmn_atomic_load(&r.got_sum, relaxed), lmn_atomic_load(&r.sent_sum, relaxed));
    if (per_producer)
        T_EQ(lmn_atomic_load(&r.sent, relaxed), 3 * per_producer * (uint64_t)producers);
    lmn_smr_stats st;
    lmn_smr_get_stats(&r.domain, &st);
    T_EQ(st.n_threads, 0);
    rig_finish(&r);
}

static void test_traffic(t_env *env)
{
    static const int SHAPES[][2] = {{1, 1}, {2, 2}, {8, 8}, {1, 8}, {8, 1}};
    for (size_t i = 0; i < T_COUNT(SHAPES); i++)
        traffic(env, SHAPES[i][0], SHAPES[i][1], 24000 / (uint64_t)SHAPES[i][0]);
}

static void test_close_under_load(t_env *env)
{
    for (int i = 0; i < 6; i++) traffic(env, 1 + i % 4 * 2, 1 + i % 3 * 3, 0);
}

T_MAIN(T_TEST(test_model), T_TEST(test_memory), T_TEST(test_no_memory), T_TEST(test_traffic),
       T_TEST(test_close_under_load))
