/*
 * The MPMC queue, its hazard pointers and the eventcount with real threads: every item once, each
 * producer's in order, from 1:1 to 8:8 threads; closing wakes who sleeps and loses nothing; nothing
 * leaks, also when memory runs out. The orderings are the business of tests/stmc.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "sync/eventcount.h"
#include "sync/mpmc.h"

#define MOST 8

static void domain_init(t_env *env, lmn_smr *d, lmn_asym asym)
{
    const lamina_allocator a = {LAMINA_ALLOCATOR_ABI, env, t_alloc, t_free};
    lmn_smr_init(d, &a, asym);
}

typedef struct rig {
    lmn_smr domain;
    lmn_mpmc queue;
    lmn_eventcount ec;
    uint64_t per_producer;
    lmn_atomic(uint64_t) sum, count, wrong;
    bool sleeps;
} rig;

typedef struct worker {
    rig *r;
    uint64_t id;
} worker;

/* Items are numbers made to look like pointers: producer, then sequence, times two. */
static void *item_of(uint64_t producer, uint64_t i)
{
    return (void *)(uintptr_t)(((producer + 1) << 40 | i) << 1);
}

static void *produce(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    lmn_hp *hp = lmn_smr_join(&r->domain);
    uint64_t wrong = hp == NULL;
    for (uint64_t i = 1; hp && i <= r->per_producer; i++) {
        wrong += lmn_mpmc_push(&r->queue, hp, item_of(w->id, i)) != LAMINA_OK;
        if (r->sleeps) lmn_ec_notify(&r->ec, 1);
    }
    if (hp) lmn_smr_leave(hp);
    (void)lmn_atomic_add(&r->wrong, wrong, relaxed);
    return NULL;
}

static lamina_status next_item(rig *r, lmn_hp *hp, void **item)
{
    for (;;) {
        lamina_status st = lmn_mpmc_pop(&r->queue, hp, item);
        if (st != LAMINA_E_AGAIN) return st;
        if (!r->sleeps) {
            (void)sched_yield();
            continue;
        }
        const uint32_t key = lmn_ec_prepare(&r->ec);
        st = lmn_mpmc_pop(&r->queue, hp, item);
        if (st != LAMINA_E_AGAIN) {
            lmn_ec_cancel(&r->ec);
            return st;
        }
        (void)lmn_ec_wait(&r->ec, key, 0);
    }
}

static void *consume(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    uint64_t last[MOST] = {0}, sum = 0, n = 0, wrong = 0;
    lmn_hp *hp = lmn_smr_join(&r->domain);
    void *item;
    lamina_status st = hp ? LAMINA_OK : LAMINA_E_NOMEM;
    while (hp && (st = next_item(r, hp, &item)) == LAMINA_OK) {
        const uint64_t v = (uint64_t)(uintptr_t)item >> 1, from = (v >> 40) - 1;
        const uint64_t i = v & (((uint64_t)1 << 40) - 1);
        wrong += from >= MOST || i <= last[from % MOST];
        last[from % MOST] = i;
        sum += i, n++;
    }
    wrong += st != LAMINA_E_CLOSED;
    if (hp) lmn_smr_leave(hp);
    (void)lmn_atomic_add(&r->sum, sum, relaxed);
    (void)lmn_atomic_add(&r->count, n, relaxed);
    (void)lmn_atomic_add(&r->wrong, wrong, relaxed);
    return NULL;
}

static void traffic(t_env *env, int producers, int consumers, bool sleeps, lmn_asym asym)
{
    static rig r;
    domain_init(env, &r.domain, asym);
    T_OK(lmn_mpmc_init(&r.queue, &r.domain));
    lmn_ec_init(&r.ec, asym);
    r.per_producer = 24000 / (uint64_t)producers;
    r.sleeps = sleeps;
    lmn_atomic_init(&r.sum, 0);
    lmn_atomic_init(&r.count, 0);
    lmn_atomic_init(&r.wrong, 0);
    worker w[MOST];
    lmn_thread in[MOST], out[MOST];
    for (int i = 0; i < MOST; i++) w[i] = (worker){&r, (uint64_t)i};
    for (int i = 0; i < consumers; i++) T_OK(lmn_thread_start(&out[i], consume, &w[i]));
    for (int i = 0; i < producers; i++) T_OK(lmn_thread_start(&in[i], produce, &w[i]));
    for (int i = 0; i < producers; i++) lmn_thread_join(&in[i]);
    lmn_hp *hp = lmn_smr_join(&r.domain);
    T_REQUIRE(hp);
    lmn_mpmc_close(&r.queue, hp);
    lmn_ec_notify(&r.ec, INT32_MAX);
    T_EQ(lmn_mpmc_push(&r.queue, hp, item_of(0, 1)), LAMINA_E_CLOSED);
    lmn_smr_leave(hp);
    for (int i = 0; i < consumers; i++) lmn_thread_join(&out[i]);
    const uint64_t n = r.per_producer, all = n * (uint64_t)producers;
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    T_EQ(lmn_atomic_load(&r.count, relaxed), all);
    T_EQ(lmn_atomic_load(&r.sum, relaxed), n * (n + 1) / 2 * (uint64_t)producers);
    lmn_mpmc_finish(&r.queue);
    lmn_smr_finish(&r.domain);
}

static void test_traffic(t_env *env)
{
    static const int SHAPES[][2] = {{1, 1}, {2, 2}, {8, 8}, {1, 8}, {8, 1}};
    const lmn_asym best = lmn_asym_detect();
    for (size_t i = 0; i < T_COUNT(SHAPES); i++) {
        traffic(env, SHAPES[i][0], SHAPES[i][1], false, best);
        traffic(env, SHAPES[i][0], SHAPES[i][1], true, best);
    }
    traffic(env, 2, 2, true, LMN_ASYM_FENCE);
}

static void test_alone(t_env *env)
{
    lmn_smr domain;
    lmn_mpmc q;
    void *item;
    domain_init(env, &domain, LMN_ASYM_FENCE);
    T_OK(lmn_mpmc_init(&q, &domain));
    lmn_hp *hp = lmn_smr_join(&domain);
    T_REQUIRE(hp);
    T_EQ(lmn_mpmc_pop(&q, hp, &item), LAMINA_E_AGAIN);
    uint64_t in = 0, out = 0;
    for (int step = 0; step < 200; step++) {
        for (uint64_t n = t_rand(env) % 300; n > 0; n--)
            T_OK(lmn_mpmc_push(&q, hp, item_of(0, ++in)));
        for (uint64_t n = t_rand(env) % 300; n > 0; n--) {
            if (out == in) {
                T_EQ(lmn_mpmc_pop(&q, hp, &item), LAMINA_E_AGAIN);
                break;
            }
            T_OK(lmn_mpmc_pop(&q, hp, &item));
            T_CHECK(item == item_of(0, ++out));
        }
    }
    lmn_smr_stats st;
    lmn_smr_get_stats(&domain, &st);
    T_EQ(st.n_threads, 1);
    T_CHECK(st.bound >= hp->n_retired);
    lmn_mpmc_close(&q, hp);
    lmn_mpmc_close(&q, hp);
    while (out < in) {
        T_OK(lmn_mpmc_pop(&q, hp, &item));
        T_CHECK(item == item_of(0, ++out));
    }
    T_EQ(lmn_mpmc_pop(&q, hp, &item), LAMINA_E_CLOSED);
    lmn_mpmc_finish(&q);
    lmn_smr_leave(hp);
    lmn_smr_finish(&domain);
}

/* Random runs by many at once against two counters, over a good many segments, most of which are
 * used again; refused pushes, however many, do not keep the last word back. */
static void test_bulk(t_env *env)
{
    enum { MOST_AT_ONCE = 2500 };
    static void *items[MOST_AT_ONCE];
    lmn_smr domain;
    lmn_mpmc q;
    domain_init(env, &domain, lmn_asym_detect());
    T_OK(lmn_mpmc_init(&q, &domain));
    lmn_hp *hp = lmn_smr_join(&domain);
    T_REQUIRE(hp);
    uint64_t in = 0, out = 0;
    size_t n = 0;
    for (int step = 0; step < 400; step++) {
        const size_t want = t_rand(env) % (step % 50 ? 600 : MOST_AT_ONCE);
        for (size_t i = 0; i < want; i++) items[i] = item_of(0, ++in);
        T_OK(lmn_mpmc_push_bulk(&q, hp, items, want, &n));
        T_EQ(n, want);
        for (size_t left = t_rand(env) % 700; left > 0 && out < in; left -= n < left ? n : left) {
            T_OK(lmn_mpmc_pop_bulk(&q, hp, items, 1 + left, &n));
            T_CHECK(n >= 1 && n <= 1 + left);
            for (size_t i = 0; i < n; i++) T_CHECK(items[i] == item_of(0, ++out));
        }
    }
    T_CHECK(in / LMN_MPMC_CELLS > 50);
    T_CHECK(atomic_load(&env->n_allocs) < (long long)(in / LMN_MPMC_CELLS) / 2);
    lmn_mpmc_close(&q, hp);
    for (int i = 0; i < 3000; i++) {
        T_EQ(lmn_mpmc_push(&q, hp, items), LAMINA_E_CLOSED);
        T_EQ(lmn_mpmc_push_bulk(&q, hp, items, 2, &n), LAMINA_E_CLOSED);
        T_EQ(n, 0);
    }
    while (out < in) {
        T_OK(lmn_mpmc_pop(&q, hp, items));
        T_CHECK(items[0] == item_of(0, ++out));
    }
    T_EQ(lmn_mpmc_pop(&q, hp, items), LAMINA_E_CLOSED);
    T_EQ(lmn_mpmc_pop_bulk(&q, hp, items, 9, &n), LAMINA_E_CLOSED);
    lmn_mpmc_finish(&q);
    lmn_smr_leave(hp);
    lmn_smr_finish(&domain);
}

static void test_limit(t_env *env)
{
    lmn_smr domain;
    lmn_mpmc q;
    void *items[12];
    size_t n = 0;
    domain_init(env, &domain, LMN_ASYM_FENCE);
    T_OK(lmn_mpmc_init(&q, &domain));
    lmn_mpmc_limit(&q, 10);
    lmn_hp *hp = lmn_smr_join(&domain);
    T_REQUIRE(hp);
    for (uint64_t i = 0; i < 12; i++) items[i] = item_of(0, i);
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 7; i++) T_OK(lmn_mpmc_push(&q, hp, items[i]));
        T_EQ(lmn_mpmc_push_bulk(&q, hp, items + 7, 5, &n), LAMINA_E_AGAIN);
        T_EQ(n, 3);
        T_EQ(lmn_mpmc_push(&q, hp, items[0]), LAMINA_E_AGAIN);
        void *out[12] = {NULL};
        T_OK(lmn_mpmc_pop(&q, hp, out));
        T_OK(lmn_mpmc_pop_bulk(&q, hp, out + 1, 11, &n));
        while (n < 9) {
            size_t more = 0;
            T_OK(lmn_mpmc_pop_bulk(&q, hp, out + 1 + n, 11 - n, &more));
            n += more;
        }
        for (int i = 0; i < 10; i++) T_CHECK(out[i] == items[i]);
    }
    lmn_mpmc_finish(&q);
    lmn_smr_leave(hp);
    lmn_smr_finish(&domain);
}

/* Whichever allocation fails: what is refused is not taken, the rest is delivered. */
static void test_each_allocation(t_env *env)
{
    for (int k = 1; k <= 12; k++) {
        lmn_smr domain;
        lmn_mpmc q;
        void *item = NULL;
        uint64_t in = 0, out = 0;
        domain_init(env, &domain, LMN_ASYM_FENCE);
        t_fail_alloc(env, k);
        lmn_hp *hp = lmn_smr_join(&domain);
        const bool made = lmn_mpmc_init(&q, &domain) == LAMINA_OK;
        for (uint64_t i = 1; made && hp && i <= 8 * LMN_MPMC_CELLS; i++) {
            const lamina_status st = lmn_mpmc_push(&q, hp, item_of(0, i));
            T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
            in += st == LAMINA_OK;
        }
        T_CHECK(!made || !hp || in + 1 >= 8 * LMN_MPMC_CELLS);
        t_fail_alloc(env, 0);
        while (made && hp && lmn_mpmc_pop(&q, hp, &item) == LAMINA_OK) out++;
        T_EQ(in, out);
        if (made) lmn_mpmc_finish(&q);
        if (hp) lmn_smr_leave(hp);
        lmn_smr_finish(&domain);
    }
}

/* A push that finds no memory takes nothing; the queue goes on. */
static void test_no_memory(t_env *env)
{
    lmn_smr domain;
    lmn_mpmc q;
    void *item;
    domain_init(env, &domain, LMN_ASYM_FENCE);
    T_OK(lmn_mpmc_init(&q, &domain));
    lmn_hp *hp = lmn_smr_join(&domain);
    T_REQUIRE(hp);
    for (uint64_t i = 1; i <= LMN_MPMC_CELLS; i++) T_OK(lmn_mpmc_push(&q, hp, item_of(0, i)));
    t_fail_alloc(env, 1);
    T_EQ(lmn_mpmc_push(&q, hp, item_of(0, 7777)), LAMINA_E_NOMEM);
    T_OK(lmn_mpmc_push(&q, hp, item_of(0, LMN_MPMC_CELLS + 1)));
    for (uint64_t i = 1; i <= LMN_MPMC_CELLS + 1; i++) {
        T_OK(lmn_mpmc_pop(&q, hp, &item));
        T_CHECK(item == item_of(0, i));
    }
    lmn_mpmc_finish(&q);
    lmn_smr_leave(hp);
    lmn_smr_finish(&domain);
}

/* A deadline ends a wait that nobody ends. */
static void test_deadline(t_env *env)
{
    (void)env;
    lmn_eventcount ec;
    lmn_ec_init(&ec, lmn_asym_detect());
    const uint32_t key = lmn_ec_prepare(&ec);
    T_CHECK(!lmn_ec_wait(&ec, key, lmn_now_ns() + 1000000));
    T_EQ(lmn_atomic_load(&ec.waiters, relaxed), 0);
}

T_MAIN(T_TEST(test_alone), T_TEST(test_bulk), T_TEST(test_limit), T_TEST(test_no_memory),
       T_TEST(test_each_allocation), T_TEST(test_deadline), T_TEST(test_traffic))
