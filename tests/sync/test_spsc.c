/*
 * The SPSC ring: bad geometry and headers are refused, an array model agrees over random spans, two
 * threads pass numbered items without loss, and a peer that scribbles on the shared part gets
 * nothing out of bounds. The orderings are the business of tests/stmc/mc_spsc.c.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/spsc.h"

#define CAPACITY 16u
static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_spsc_mem) + 4096 * sizeof(uint64_t)];

static void test_refused(t_env *env)
{
    (void)env;
    T_EQ(lmn_spsc_bytes(0, 8), 0);
    T_EQ(lmn_spsc_bytes(8, 0), 0);
    T_EQ(lmn_spsc_bytes(8, 12), 0);
    T_EQ(lmn_spsc_bytes(8, 8), sizeof(lmn_spsc_mem) + 64);
    lmn_spsc q;
    T_EQ(lmn_spsc_init(NULL, 4096, 8, 8), LAMINA_E_INVALID);
    T_EQ(lmn_spsc_init(memory + 8, 4096, 8, 8), LAMINA_E_INVALID);
    T_EQ(lmn_spsc_init(memory, lmn_spsc_bytes(8, 8) - 1, 8, 8), LAMINA_E_INVALID);
    T_OK(lmn_spsc_init(memory, sizeof memory, 8, 8));
    lmn_spsc_mem *m = (lmn_spsc_mem *)(void *)memory;
    T_EQ(lmn_spsc_producer(memory, sizeof(lmn_spsc_mem) - 1, &q), LAMINA_E_INVALID);
    T_EQ(lmn_spsc_producer(memory, lmn_spsc_bytes(8, 8) - 1, &q), LAMINA_E_CORRUPT);
    m->capacity = 9;
    T_EQ(lmn_spsc_consumer(memory, sizeof memory, &q), LAMINA_E_CORRUPT);
    m->capacity = 8, m->magic ^= 1;
    T_EQ(lmn_spsc_consumer(memory, sizeof memory, &q), LAMINA_E_CORRUPT);
    m->magic ^= 1, m->version++;
    T_EQ(lmn_spsc_consumer(memory, sizeof memory, &q), LAMINA_E_CORRUPT);
    m->version--;
    lmn_atomic_store(&m->head, 1, relaxed);
    T_EQ(lmn_spsc_producer(memory, sizeof memory, &q), LAMINA_E_CORRUPT);
    T_EQ(lmn_spsc_consumer(memory, sizeof memory, &q), LAMINA_E_CORRUPT);
}

static uint64_t *slot(lmn_slots s[2], size_t i)
{
    return (uint64_t *)(void *)(i < s[0].n ? s[0].p + 8 * i : s[1].p + 8 * (i - s[0].n));
}

/* Random spans in and out against two counters; handles re-attached on the way. */
static void test_model(t_env *env)
{
    lmn_spsc in, out;
    T_OK(lmn_spsc_init(memory, sizeof memory, 8, CAPACITY));
    T_OK(lmn_spsc_producer(memory, sizeof memory, &in));
    T_OK(lmn_spsc_consumer(memory, sizeof memory, &out));
    uint64_t pushed = 0, popped = 0;
    for (int step = 0; step < 20000; step++) {
        lmn_slots s[2];
        const size_t want = t_rand(env) % (CAPACITY + 3);
        if (t_rand(env) & 1) {
            const size_t n = lmn_spsc_reserve(&in, want, s), room = CAPACITY - (pushed - popped);
            T_EQ(n, want < room ? want : room);
            const size_t used = n ? t_rand(env) % (n + 1) : 0;
            for (size_t i = 0; i < used; i++) *slot(s, i) = pushed++;
            lmn_spsc_commit(&in, used);
        } else {
            const size_t n = lmn_spsc_peek(&out, want, s), there = pushed - popped;
            T_EQ(n, want < there ? want : there);
            const size_t used = n ? t_rand(env) % (n + 1) : 0;
            for (size_t i = 0; i < used; i++) T_EQ(*slot(s, i), popped + i);
            popped += used;
            lmn_spsc_release(&out, used);
        }
        if (step % 1000 == 999) {
            T_OK(lmn_spsc_producer(memory, sizeof memory, &in));
            T_OK(lmn_spsc_consumer(memory, sizeof memory, &out));
        }
    }
}

/* A lazy end shows nothing until its share is full or flushed. */
static void test_lazy(t_env *env)
{
    (void)env;
    lmn_spsc in, out;
    T_OK(lmn_spsc_init(memory, sizeof memory, 8, CAPACITY));
    T_OK(lmn_spsc_producer(memory, sizeof memory, &in));
    T_OK(lmn_spsc_consumer(memory, sizeof memory, &out));
    in.lazy = 4;
    uint64_t item = 7, got;
    for (int i = 0; i < 3; i++) T_CHECK(lmn_spsc_push(&in, &item));
    T_CHECK(!lmn_spsc_pop(&out, &got));
    T_CHECK(lmn_spsc_push(&in, &item));
    for (int i = 0; i < 4; i++) T_CHECK(lmn_spsc_pop(&out, &got));
    T_CHECK(lmn_spsc_push(&in, &item));
    lmn_spsc_flush(&in);
    T_CHECK(lmn_spsc_pop(&out, &got));
    T_EQ(got, 7);
}

/* Indices from a hostile peer: counts may be wrong, addresses never are. */
static void test_hostile(t_env *env)
{
    lmn_spsc in, out;
    T_OK(lmn_spsc_init(memory, sizeof memory, 8, CAPACITY));
    T_OK(lmn_spsc_producer(memory, sizeof memory, &in));
    T_OK(lmn_spsc_consumer(memory, sizeof memory, &out));
    lmn_spsc_mem *m = (lmn_spsc_mem *)(void *)memory;
    const uint8_t *end = m->slots + 8 * CAPACITY;
    for (int i = 0; i < 5000; i++) {
        lmn_slots s[2];
        lmn_atomic_store(&m->tail, t_rand(env) << (t_rand(env) % 64), relaxed);
        lmn_atomic_store(&m->head, t_rand(env) << (t_rand(env) % 64), relaxed);
        m->capacity = (uint32_t)t_rand(env);
        for (int side = 0; side < 2; side++) {
            const size_t n = side ? lmn_spsc_reserve(&in, 40, s) : lmn_spsc_peek(&out, 40, s);
            T_CHECK(n <= CAPACITY && s[0].n + s[1].n == n);
            T_CHECK(s[0].p >= m->slots && s[0].p + 8 * s[0].n <= end && s[1].p + 8 * s[1].n <= end);
            if (side)
                lmn_spsc_commit(&in, n);
            else
                lmn_spsc_release(&out, n);
        }
    }
}

/* ---- two threads --------------------------------------------------------------------------- */

#define ITEMS 400000u

static void *produce(void *arg)
{
    lmn_spsc *in = arg;
    for (uint64_t i = 0; i < ITEMS;) {
        lmn_slots s[2];
        const size_t n = lmn_spsc_reserve(in, 1 + i % 37, s);
        for (size_t k = 0; k < n && i < ITEMS; k++) *slot(s, k) = i++;
        lmn_spsc_commit(in, n);
        if (n == 0) sched_yield();
    }
    lmn_spsc_flush(in);
    return NULL;
}

static void test_threads(t_env *env)
{
    (void)env;
    for (uint64_t lazy = 1; lazy <= 32; lazy *= 32) {
        lmn_spsc in, out;
        T_OK(lmn_spsc_init(memory, sizeof memory, 8, 64));
        T_OK(lmn_spsc_producer(memory, sizeof memory, &in));
        T_OK(lmn_spsc_consumer(memory, sizeof memory, &out));
        in.lazy = lazy;
        lmn_thread t;
        T_OK(lmn_thread_start(&t, produce, &in));
        uint64_t next = 0, wrong = 0;
        while (next < ITEMS) {
            lmn_slots s[2];
            const size_t n = lmn_spsc_peek(&out, 1 + next % 29, s);
            for (size_t k = 0; k < n && next < ITEMS; k++) wrong += *slot(s, k) != next++;
            lmn_spsc_release(&out, n);
            if (n == 0) sched_yield();
        }
        lmn_thread_join(&t);
        T_EQ(wrong, 0);
    }
}

T_MAIN(T_TEST(test_refused), T_TEST(test_model), T_TEST(test_lazy), T_TEST(test_hostile),
       T_TEST(test_threads))
