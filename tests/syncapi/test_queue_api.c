/*
 * The public queues (lamina/queue.h): what each call says to good and bad arguments, order, bounds,
 * closing and deadlines alone and among more threads than a queue has seats; every allocation
 * failing in turn. The orderings are the business of tests/stmc.
 */
#include "t.h"

#include "lamina/queue.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "sync/seats.h"

static lamina_queue_opts opts_of(t_env *env, uint64_t capacity)
{
    return (lamina_queue_opts){sizeof(lamina_queue_opts), &env->alloc, capacity};
}

static void *item_of(uint64_t i)
{
    return (void *)(uintptr_t)(i << 1);
}

static void test_ring(t_env *env)
{
    (void)env;
    static _Alignas(LAMINA_SPSC_ALIGN) uint8_t mem[4096];
    lamina_spsc_end in, out;
    lamina_items run[2];
    T_EQ(lamina_spsc_bytes(8, 3), 0);
    T_EQ(lamina_spsc_bytes(0, 4), 0);
    T_CHECK(lamina_spsc_bytes(8, 4) <= sizeof mem);
    T_EQ(lamina_spsc_init(mem, 64, 8, 4), LAMINA_E_INVALID);
    T_EQ(lamina_spsc_producer(mem, sizeof mem, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_spsc_producer(mem, sizeof mem, &in), LAMINA_E_CORRUPT);
    T_OK(lamina_spsc_init(mem, sizeof mem, 8, 4));
    T_OK(lamina_spsc_producer(mem, sizeof mem, &in));
    T_OK(lamina_spsc_consumer(mem, sizeof mem, &out));
    uint64_t v = 0;
    T_CHECK(!lamina_spsc_pop(&out, &v));
    for (uint64_t i = 1; i <= 3; i++) T_CHECK(lamina_spsc_push(&in, &i));
    for (uint64_t i = 1; i <= 3; i++) T_CHECK(lamina_spsc_pop(&out, &v) && v == i);
    T_EQ(lamina_spsc_reserve(&in, 9, run), 4); /* from place 3: wraps */
    T_EQ(run[0].n, 1);
    T_EQ(run[1].n, 3);
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t item = 10 + i;
        memcpy(i ? (uint8_t *)run[1].data + (i - 1) * 8 : run[0].data, &item, 8);
    }
    lamina_spsc_set_lazy(&in, 100); /* as much as there is room for: 4 */
    lamina_spsc_commit(&in, 3);
    T_EQ(lamina_spsc_peek(&out, 9, run), 0);
    lamina_spsc_flush(&in);
    T_EQ(lamina_spsc_peek(&out, 9, run), 3);
    lamina_spsc_release(&out, 2);
    lamina_spsc_commit(&in, 1);
    lamina_spsc_flush(&in);
    T_CHECK(lamina_spsc_pop(&out, &v) && v == 12);
    T_CHECK(lamina_spsc_pop(&out, &v) && v == 13);
}

static void test_bounded(t_env *env)
{
    (void)env;
    static _Alignas(LAMINA_SPSC_ALIGN) uint8_t mem[16384];
    lamina_bounded q, other;
    uint32_t v = 0;
    T_EQ(lamina_bounded_bytes(4, 3), 0);
    T_CHECK(lamina_bounded_bytes(4, 4) <= sizeof mem);
    T_EQ(lamina_bounded_init(mem, sizeof mem, 4, 4, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_bounded_init(mem, 100, 4, 4, &q), LAMINA_E_INVALID);
    T_EQ(lamina_bounded_attach(mem, sizeof mem, &other), LAMINA_E_CORRUPT);
    T_OK(lamina_bounded_init(mem, sizeof mem, 4, 4, &q));
    T_OK(lamina_bounded_attach(mem, sizeof mem, &other));
    T_EQ(lamina_bounded_pop(&other, &v), LAMINA_E_AGAIN);
    T_EQ(lamina_bounded_pop(&other, NULL), LAMINA_E_INVALID);
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 4; i++) T_OK(lamina_bounded_push(&q, &(uint32_t){round + i}));
        T_EQ(lamina_bounded_push(&q, &v), LAMINA_E_AGAIN);
        for (uint32_t i = 0; i < 4; i++) {
            T_OK(lamina_bounded_pop(&other, &v));
            T_EQ(v, round + i);
        }
    }
    T_OK(lamina_bounded_push(&q, &v));
    lamina_bounded_close(&other);
    T_EQ(lamina_bounded_push(&q, &v), LAMINA_E_CLOSED);
    T_OK(lamina_bounded_pop(&q, &v));
    T_EQ(lamina_bounded_pop(&q, &v), LAMINA_E_CLOSED);
}

static void test_calls(t_env *env)
{
    lamina_queue_opts o = opts_of(env, 0);
    lamina_queue *q = NULL;
    lamina_queue_handle *h = NULL;
    void *item = T_UNTOUCHED, *items[8];
    size_t n;
    T_EQ(lamina_queue_create(&o, NULL), LAMINA_E_INVALID);
    o.size = 0;
    T_EQ(lamina_queue_create(&o, &q), LAMINA_E_INVALID);
    o.size = sizeof o;
    T_OK(lamina_queue_create(&o, &q));
    T_EQ(lamina_queue_push(q, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_queue_push(q, (void *)(uintptr_t)3), LAMINA_E_INVALID);
    T_EQ(lamina_queue_push(NULL, item_of(1)), LAMINA_E_INVALID);
    T_EQ(lamina_queue_pop(q, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_queue_pop(q, &item), LAMINA_E_AGAIN);
    T_CHECK(item == T_UNTOUCHED);
    T_OK(lamina_queue_join(q, &h));
    for (uint64_t i = 1; i <= 5; i++) {
        if (i % 2)
            T_OK(lamina_queue_push(q, item_of(i)));
        else
            T_OK(lamina_queue_push_by(h, item_of(i)));
    }
    T_OK(lamina_queue_pop_by(h, &item));
    T_CHECK(item == item_of(1));
    T_OK(lamina_queue_pop_n(q, items, 3, &n));
    T_EQ(n, 3);
    T_CHECK(items[0] == item_of(2) && items[2] == item_of(4));
    for (uint64_t i = 0; i < 8; i++) items[i] = i == 6 ? NULL : item_of(20 + i);
    T_EQ(lamina_queue_push_n(q, items, 8, &n), LAMINA_E_INVALID);
    T_EQ(n, 6);
    lamina_queue_stats s = {.size = sizeof s};
    T_OK(lamina_queue_describe(q, &s));
    T_EQ(s.n_records, 2);
    T_CHECK(s.garbage_bound > 0 && s.segment_bytes > s.segment_items * sizeof(void *));
    T_OK(lamina_queue_close(q));
    T_OK(lamina_queue_close(q));
    T_EQ(lamina_queue_push(q, item_of(9)), LAMINA_E_CLOSED);
    T_EQ(lamina_queue_push_wait(q, item_of(9), 0), LAMINA_E_CLOSED);
    T_OK(lamina_queue_pop_n(q, items, 8, &n));
    T_EQ(n, 7);
    T_EQ(lamina_queue_pop_n(q, items, 8, &n), LAMINA_E_CLOSED);
    T_EQ(lamina_queue_pop_wait(q, &item, 0), LAMINA_E_CLOSED);
    lamina_queue_leave(h);
    lamina_queue_leave(NULL);
    lamina_queue_destroy(q);
    lamina_queue_destroy(NULL);
}

static void test_capacity(t_env *env)
{
    const lamina_queue_opts o = opts_of(env, 3);
    lamina_queue *q = NULL;
    void *item;
    T_OK(lamina_queue_create(&o, &q));
    T_EQ(lamina_queue_pop_wait(q, &item, lmn_now_ns() + 1000000), LAMINA_E_TIMEOUT);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 1; i <= 3; i++) T_OK(lamina_queue_push(q, item_of(i)));
        T_EQ(lamina_queue_push(q, item_of(4)), LAMINA_E_AGAIN);
        T_EQ(lamina_queue_push_wait(q, item_of(4), lmn_now_ns() + 1000000), LAMINA_E_TIMEOUT);
        T_EQ(lamina_queue_push_wait(q, item_of(4), 1), LAMINA_E_TIMEOUT);
        lamina_queue_stats s = {.size = sizeof s};
        T_OK(lamina_queue_describe(q, &s));
        T_EQ(s.held, 3);
        for (uint64_t i = 1; i <= 3; i++) {
            T_OK(lamina_queue_pop(q, &item));
            T_CHECK(item == item_of(i));
        }
    }
    for (uint64_t i = 1; i <= 3; i++) T_OK(lamina_queue_push(q, item_of(i)));
    T_OK(lamina_queue_close(q));
    T_EQ(lamina_queue_push_wait(q, item_of(4), 0), LAMINA_E_CLOSED); /* full and closed */
    lamina_queue_destroy(q);
}

#define N_IN 12
#define N_OUT 24 /* with those above more than there are seats */
_Static_assert(N_IN + N_OUT > LMN_SEATS, "some find every seat taken");
#define EACH 600u

typedef struct rig {
    lamina_queue *q;
    lmn_atomic(uint64_t) sum, count, wrong;
} rig;

typedef struct worker {
    rig *r;
    uint64_t id;
} worker;

static void *produce(void *arg)
{
    const worker *w = arg;
    lamina_queue_handle *h = NULL;
    uint64_t wrong = 0;
    if (w->id % 2) wrong += lamina_queue_join(w->r->q, &h) != LAMINA_OK;
    for (uint64_t i = 1; i <= EACH; i++) {
        void *item = item_of((w->id + 1) << 32 | i);
        lamina_status st = h && i % 3 ? lamina_queue_push_by(h, item) : LAMINA_E_AGAIN;
        if (st == LAMINA_E_AGAIN) st = lamina_queue_push_wait(w->r->q, item, 0);
        wrong += st != LAMINA_OK;
    }
    lamina_queue_leave(h);
    (void)lmn_atomic_add(&w->r->wrong, wrong, relaxed);
    return NULL;
}

static void *consume(void *arg)
{
    const worker *w = arg;
    uint64_t last[N_IN] = {0}, sum = 0, n = 0, wrong = 0;
    lamina_status st;
    void *item;
    while ((st = lamina_queue_pop_wait(w->r->q, &item, 0)) == LAMINA_OK) {
        const uint64_t v = (uint64_t)(uintptr_t)item >> 1, from = (v >> 32) - 1, i = (uint32_t)v;
        wrong += from >= N_IN || i <= last[from % N_IN];
        last[from % N_IN] = i;
        sum += i, n++;
    }
    wrong += st != LAMINA_E_CLOSED;
    (void)lmn_atomic_add(&w->r->sum, sum, relaxed);
    (void)lmn_atomic_add(&w->r->count, n, relaxed);
    (void)lmn_atomic_add(&w->r->wrong, wrong, relaxed);
    return NULL;
}

static void traffic(t_env *env, uint64_t capacity)
{
    const lamina_queue_opts o = opts_of(env, capacity);
    rig r = {0};
    worker w[N_IN + N_OUT];
    lmn_thread t[N_IN + N_OUT];
    T_OK(lamina_queue_create(&o, &r.q));
    for (uint64_t i = 0; i < N_IN + N_OUT; i++) {
        w[i] = (worker){&r, i};
        T_OK(lmn_thread_start(&t[i], i < N_IN ? produce : consume, &w[i]));
    }
    for (int i = 0; i < N_IN; i++) lmn_thread_join(&t[i]);
    T_OK(lamina_queue_close(r.q));
    for (int i = N_IN; i < N_IN + N_OUT; i++) lmn_thread_join(&t[i]);
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    T_EQ(lmn_atomic_load(&r.count, relaxed), N_IN * EACH);
    T_EQ(lmn_atomic_load(&r.sum, relaxed), N_IN * (uint64_t)EACH * (EACH + 1) / 2);
    lamina_queue_destroy(r.q);
}

static void test_traffic(t_env *env)
{
    traffic(env, 0);
    traffic(env, 5);
}

/* Whatever allocation fails, the queue goes on. */
static void test_no_memory(t_env *env)
{
    for (int nth = 1;; nth++) {
        const lamina_queue_opts o = opts_of(env, 0);
        lamina_queue *q = NULL;
        lamina_queue_handle *h = NULL;
        void *item = NULL;
        uint64_t in = 0;
        t_fail_alloc(env, nth);
        if (lamina_queue_create(&o, &q) == LAMINA_OK) {
            if (lamina_queue_join(q, &h) == LAMINA_OK) lamina_queue_leave(h);
            for (uint64_t i = 1; i <= 1500; i++)
                in += lamina_queue_push(q, item_of(i)) == LAMINA_OK;
            T_CHECK(in >= 1499);
            while (lamina_queue_pop(q, &item) == LAMINA_OK) in--;
            T_EQ(in, 0);
            lamina_queue_destroy(q);
        }
        if (t_fail_pending(env)) break;
    }
}

T_MAIN(T_TEST(test_ring), T_TEST(test_bounded), T_TEST(test_calls), T_TEST(test_capacity),
       T_TEST(test_no_memory), T_TEST(test_traffic))
