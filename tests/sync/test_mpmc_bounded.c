/*
 * The bounded queue: bad geometry and headers are refused, a model agrees, every item arrives once
 * and in its producer's order from 1:1 to 8:8 threads over few and many slots and two handles,
 * two processes share one, closing loses nothing, and a peer that scribbles gets nothing out of
 * bounds. The orderings are the business of tests/stmc/mc_mpmc_bounded.c.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/mpmc_bounded.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MOST 8
#define MOST_SLOTS 1024u

typedef struct message {
    uint64_t producer, number, check;
} message;

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_mpmc_bounded_mem) + MOST_SLOTS * 56];

static void test_refused(t_env *env)
{
    (void)env;
    T_EQ(lmn_mpmc_bounded_bytes(0, 8), 0);
    T_EQ(lmn_mpmc_bounded_bytes(8, 0), 0);
    T_EQ(lmn_mpmc_bounded_bytes(8, 12), 0);
    T_EQ(lmn_mpmc_bounded_bytes(8, 1u << 25), 0);
    const size_t bytes = lmn_mpmc_bounded_bytes(5, 8);
    T_EQ(bytes, sizeof(lmn_mpmc_bounded_mem) + 8 * (8 + 32));
    lmn_mpmc_bounded q;
    T_EQ(lmn_mpmc_bounded_init(&q, NULL, bytes, 5, 8), LAMINA_E_INVALID);
    T_EQ(lmn_mpmc_bounded_init(&q, memory + 8, bytes, 5, 8), LAMINA_E_INVALID);
    T_EQ(lmn_mpmc_bounded_init(&q, memory, bytes - 1, 5, 8), LAMINA_E_INVALID);
    T_OK(lmn_mpmc_bounded_init(&q, memory, bytes, 5, 8));
    T_OK(lmn_mpmc_bounded_attach(&q, memory, bytes));
    T_EQ(lmn_mpmc_bounded_attach(&q, memory, sizeof(lmn_mpmc_bounded_mem) - 1), LAMINA_E_INVALID);
    T_EQ(lmn_mpmc_bounded_attach(&q, memory, bytes - 1), LAMINA_E_CORRUPT);
    lmn_mpmc_bounded_mem *m = (lmn_mpmc_bounded_mem *)(void *)memory;
    m->capacity = 9;
    T_EQ(lmn_mpmc_bounded_attach(&q, memory, sizeof memory), LAMINA_E_CORRUPT);
    m->capacity = 8, m->magic ^= 1;
    T_EQ(lmn_mpmc_bounded_attach(&q, memory, sizeof memory), LAMINA_E_CORRUPT);
    m->magic ^= 1, m->version++;
    T_EQ(lmn_mpmc_bounded_attach(&q, memory, sizeof memory), LAMINA_E_CORRUPT);
    m->version--, m->elem_bytes = 0;
    T_EQ(lmn_mpmc_bounded_attach(&q, memory, sizeof memory), LAMINA_E_CORRUPT);
}

/* Random runs in and out against two counters, through two handles. */
static void test_model(t_env *env)
{
    for (uint32_t capacity = 1; capacity <= 64; capacity *= 4) {
        lmn_mpmc_bounded q, other;
        T_OK(lmn_mpmc_bounded_init(&q, memory, sizeof memory, 8, capacity));
        T_OK(lmn_mpmc_bounded_attach(&other, memory, sizeof memory));
        uint64_t in = 0, out = 0, item;
        for (int step = 0; step < 3000; step++) {
            for (uint64_t n = t_rand(env) % (capacity + 2); n > 0; n--) {
                const lamina_status st = lmn_mpmc_bounded_push(&q, &in);
                T_EQ(st, in - out < capacity ? LAMINA_OK : LAMINA_E_AGAIN);
                in += st == LAMINA_OK;
            }
            for (uint64_t n = t_rand(env) % (capacity + 2); n > 0; n--) {
                const lamina_status st = lmn_mpmc_bounded_pop(&other, &item);
                T_EQ(st, in > out ? LAMINA_OK : LAMINA_E_AGAIN);
                if (st == LAMINA_OK) T_EQ(item, out++);
            }
        }
        lmn_mpmc_bounded_close(&other);
        lmn_mpmc_bounded_close(&q);
        for (uint32_t i = 0; i < 3 * capacity + 2000; i++)
            T_EQ(lmn_mpmc_bounded_push(&q, &in), LAMINA_E_CLOSED);
        while (out < in) {
            T_OK(lmn_mpmc_bounded_pop(&q, &item));
            T_EQ(item, out++);
        }
        T_EQ(lmn_mpmc_bounded_pop(&q, &item), LAMINA_E_CLOSED);
    }
}

/* Whatever stands in the shared part, an operation ends, and stays inside the memory. */
static void test_hostile(t_env *env)
{
    lmn_mpmc_bounded q;
    const size_t bytes = lmn_mpmc_bounded_bytes(sizeof(message), 16);
    T_OK(lmn_mpmc_bounded_init(&q, memory, bytes, sizeof(message), 16));
    memset(memory + bytes, 0xa5, sizeof memory - bytes);
    for (int i = 0; i < 48; i++) {
        const size_t from = sizeof(uint32_t) * 4;
        for (int k = 0; k < 200; k++) {
            const uint64_t v = t_rand(env) << (t_rand(env) % 64);
            const size_t at = from + t_rand(env) % (bytes - from - sizeof v);
            memcpy(memory + at / 8 * 8, &v, sizeof v);
        }
        message m = {0};
        for (int k = 0; k < 3; k++) {
            (void)lmn_mpmc_bounded_push(&q, &m);
            (void)lmn_mpmc_bounded_pop(&q, &m);
        }
    }
    for (size_t i = bytes; i < sizeof memory; i++) T_CHECK(memory[i] == 0xa5);
}

/* Two processes, each with a handle of its own on memory at whatever address. */
static void test_two_processes(t_env *env)
{
    (void)env;
    enum { MESSAGES = 3000 };
    const size_t bytes = lmn_mpmc_bounded_bytes(sizeof(message), 16);
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(mem != MAP_FAILED);
    lmn_mpmc_bounded q;
    T_OK(lmn_mpmc_bounded_init(&q, mem, bytes, sizeof(message), 16));
    const pid_t child = fork();
    T_REQUIRE(child >= 0);
    if (child == 0) {
        lmn_mpmc_bounded in;
        bool ok = lmn_mpmc_bounded_attach(&in, mem, bytes) == LAMINA_OK;
        for (uint64_t i = 1; ok && i <= MESSAGES;) {
            const message m = {1, i, ~i};
            const lamina_status st = lmn_mpmc_bounded_push(&in, &m);
            ok = st == LAMINA_OK || st == LAMINA_E_AGAIN;
            if (st == LAMINA_OK)
                i++;
            else
                (void)sched_yield();
        }
        lmn_mpmc_bounded_close(&q);
        _exit(ok ? 0 : 1);
    }
    message m = {0};
    uint64_t n = 0;
    for (lamina_status st; (st = lmn_mpmc_bounded_pop(&q, &m)) != LAMINA_E_CLOSED;) {
        T_CHECK(st == LAMINA_E_AGAIN || (m.number == ++n && m.check == ~n));
        if (st != LAMINA_OK) (void)sched_yield();
    }
    T_EQ(n, MESSAGES);
    int status = -1;
    T_EQ(waitpid(child, &status, 0), child);
    T_EQ(status, 0);
    T_EQ(munmap(mem, bytes), 0);
}

/* ---- threads ------------------------------------------------------------------------------ */

typedef struct rig {
    lmn_mpmc_bounded in, out;
    uint64_t per_producer; /* 0: until closed */
    lmn_atomic(uint64_t) sent, sent_sum, got, got_sum, wrong;
} rig;

typedef struct worker {
    rig *r;
    uint64_t id;
} worker;

static void *produce(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    uint64_t sum = 0, i = 1;
    for (lamina_status st = LAMINA_OK; st != LAMINA_E_CLOSED && i - 1 != r->per_producer;) {
        const message m = {w->id, i, w->id ^ (i << 8)};
        st = lmn_mpmc_bounded_push(&r->in, &m);
        if (st == LAMINA_OK)
            sum += i++;
        else
            (void)sched_yield();
    }
    (void)lmn_atomic_add(&r->sent, i - 1, relaxed);
    (void)lmn_atomic_add(&r->sent_sum, sum, relaxed);
    return NULL;
}

static void *consume(void *arg)
{
    const worker *w = arg;
    rig *r = w->r;
    uint64_t last[MOST] = {0}, sum = 0, n = 0, wrong = 0;
    message m;
    for (lamina_status st; (st = lmn_mpmc_bounded_pop(&r->out, &m)) != LAMINA_E_CLOSED;) {
        if (st != LAMINA_OK) {
            (void)sched_yield();
            continue;
        }
        const uint64_t from = m.producer % MOST;
        wrong += m.check != (m.producer ^ (m.number << 8)) || m.number <= last[from];
        last[from] = m.number;
        sum += m.number, n++;
    }
    (void)lmn_atomic_add(&r->got, n, relaxed);
    (void)lmn_atomic_add(&r->got_sum, sum, relaxed);
    (void)lmn_atomic_add(&r->wrong, wrong, relaxed);
    return NULL;
}

/* total 0: producers go on until somebody closes under load. */
static void traffic(int producers, int consumers, uint32_t capacity, uint64_t total)
{
    static rig r;
    T_OK(lmn_mpmc_bounded_init(&r.in, memory, sizeof memory, sizeof(message), capacity));
    T_OK(lmn_mpmc_bounded_attach(&r.out, memory, sizeof memory));
    r.per_producer = total ? total / (uint64_t)producers : UINT64_MAX;
    lmn_atomic_init(&r.sent, 0);
    lmn_atomic_init(&r.sent_sum, 0);
    lmn_atomic_init(&r.got, 0);
    lmn_atomic_init(&r.got_sum, 0);
    lmn_atomic_init(&r.wrong, 0);
    worker w[MOST];
    lmn_thread in[MOST], out[MOST];
    for (int i = 0; i < MOST; i++) w[i] = (worker){&r, (uint64_t)i};
    for (int i = 0; i < consumers; i++) T_OK(lmn_thread_start(&out[i], consume, &w[i]));
    for (int i = 0; i < producers; i++) T_OK(lmn_thread_start(&in[i], produce, &w[i]));
    if (!total) {
        for (int i = 0; i < 200; i++) (void)sched_yield();
        lmn_mpmc_bounded_close(&r.out);
    }
    for (int i = 0; i < producers; i++) lmn_thread_join(&in[i]);
    if (total) lmn_mpmc_bounded_close(&r.in);
    for (int i = 0; i < consumers; i++) lmn_thread_join(&out[i]);
    T_EQ(lmn_atomic_load(&r.wrong, relaxed), 0);
    T_EQ(lmn_atomic_load(&r.got, relaxed), lmn_atomic_load(&r.sent, relaxed));
    T_EQ(lmn_atomic_load(&r.got_sum, relaxed), lmn_atomic_load(&r.sent_sum, relaxed));
    if (total) T_EQ(lmn_atomic_load(&r.sent, relaxed), total);
}

static void test_traffic(t_env *env)
{
    (void)env;
    static const int SHAPES[][2] = {{1, 1}, {2, 2}, {8, 8}, {1, 8}, {8, 1}};
    for (size_t i = 0; i < T_COUNT(SHAPES); i++) {
        traffic(SHAPES[i][0], SHAPES[i][1], MOST_SLOTS, 16000);
        traffic(SHAPES[i][0], SHAPES[i][1], 16, 8000);
        traffic(SHAPES[i][0], SHAPES[i][1], 1, 800);
    }
}

static void test_close_under_load(t_env *env)
{
    (void)env;
    for (int i = 0; i < 6; i++) traffic(1 + i % 4 * 2, 1 + i % 3 * 3, 1u << i, 0);
}

T_MAIN(T_TEST(test_refused), T_TEST(test_model), T_TEST(test_hostile), T_TEST(test_two_processes),
       T_TEST(test_traffic), T_TEST(test_close_under_load))
