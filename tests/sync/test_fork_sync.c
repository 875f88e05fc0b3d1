/*
 * A fork in whatever state: threads push and pop while the process forks again and again. In each
 * child, where those threads do not exist, what had been pushed comes out in the order of its
 * producer, and the queues go on; nobody waits for a thread that is not there.
 *
 * Not with sanitizers: the locks of their allocators may be held by a thread that is not there.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/eventcount.h"
#include "sync/mpmc.h"
#include "sync/mpmc_bounded.h"
#include "sync/mpmc_relaxed.h"

#include <sched.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    FORKS = 12,
    PRODUCERS = 2,
    CONSUMERS = 2,
    BACKLOG = 3000,
    CAPACITY = 64,
    OWN = 20,
    MOST = 10000000
};

typedef struct yard {
    lmn_smr domain;
    lmn_mpmc strict;
    lmn_mpmc_bounded bounded;
    lmn_mpmc_relaxed relaxed;
    lmn_eventcount ec;
    lmn_atomic(uint32_t) stop;
    lmn_atomic(int64_t) backlog; /* about */
} yard;

typedef struct worker {
    yard *y;
    uintptr_t id;
} worker;

/* Even, not 0. */
static void *item_of(uintptr_t id, uintptr_t seq)
{
    return (void *)((seq * 8 + id + 8) * 2);
}

static void *produce(void *arg)
{
    const worker *w = arg;
    yard *y = w->y;
    lmn_hp *hp = lmn_smr_join(&y->domain);
    lmn_relaxed_producer p;
    if (!hp || lmn_relaxed_produce(&y->relaxed, &p) != LAMINA_OK) return NULL;
    for (uintptr_t seq = 1; !lmn_atomic_load(&y->stop, relaxed);) {
        if (lmn_atomic_load(&y->backlog, relaxed) > BACKLOG) {
            sched_yield();
            continue;
        }
        void *item = item_of(w->id, seq++);
        (void)lmn_atomic_add(&y->backlog, 1, relaxed);
        (void)lmn_mpmc_push(&y->strict, hp, item);
        (void)lmn_relaxed_push(&p, item);
        (void)lmn_mpmc_bounded_push(&y->bounded, &item); /* lost when full */
        lmn_ec_notify(&y->ec, 1);
    }
    lmn_relaxed_stop_producing(&p);
    lmn_smr_leave(hp);
    return NULL;
}

static void *consume(void *arg)
{
    const worker *w = arg;
    yard *y = w->y;
    lmn_hp *hp = lmn_smr_join(&y->domain);
    lmn_relaxed_consumer c;
    if (!hp || lmn_relaxed_consume(&y->relaxed, &c) != LAMINA_OK) return NULL;
    while (!lmn_atomic_load(&y->stop, relaxed)) {
        void *item;
        (void)lmn_mpmc_bounded_pop(&y->bounded, &item);
        (void)lmn_relaxed_pop(&c, &item);
        if (lmn_mpmc_pop(&y->strict, hp, &item) == LAMINA_OK) {
            (void)lmn_atomic_sub(&y->backlog, 1, relaxed);
            continue;
        }
        const uint32_t key = lmn_ec_prepare(&y->ec);
        if (lmn_atomic_load(&y->stop, acquire) || lmn_atomic_load(&y->backlog, relaxed) > 0)
            lmn_ec_cancel(&y->ec);
        else
            (void)lmn_ec_wait(&y->ec, key, 0);
    }
    lmn_relaxed_stop_consuming(&c);
    lmn_smr_leave(hp);
    return NULL;
}

/* The main thread's records, which only children use. */
typedef struct own {
    lmn_hp *hp;
    lmn_relaxed_producer p;
    lmn_relaxed_consumer c;
} own;

static lamina_status push(yard *y, own *o, int queue, void *item)
{
    if (queue == 0) return lmn_mpmc_push(&y->strict, o->hp, item);
    if (queue == 1) return lmn_mpmc_bounded_push(&y->bounded, &item);
    return lmn_relaxed_push(&o->p, item);
}

static lamina_status pop(yard *y, own *o, int queue, void **item)
{
    if (queue == 0) return lmn_mpmc_pop(&y->strict, o->hp, item);
    if (queue == 1) return lmn_mpmc_bounded_pop(&y->bounded, item);
    return lmn_relaxed_pop(&o->c, item);
}

/* 0, or what went wrong. */
static int try_queue(yard *y, own *o, int queue)
{
    uintptr_t last[8] = {0};
    void *item;
    int n = 0;
    for (; n < MOST && pop(y, o, queue, &item) == LAMINA_OK; n++) {
        const uintptr_t code = (uintptr_t)item / 2 - 8, id = code % 8, seq = code / 8;
        if (id >= PRODUCERS) return 1;
        if (seq <= last[id]) return 2;
        last[id] = seq;
    }
    if (n == MOST) return 3;
    for (uintptr_t i = 0; i < OWN; i++)
        if (push(y, o, queue, item_of(7, i)) != LAMINA_OK) return 4;
    for (uintptr_t i = 0; i < OWN; i++)
        if (pop(y, o, queue, &item) != LAMINA_OK || item != item_of(7, i)) return 5;
    return pop(y, o, queue, &item) == LAMINA_E_AGAIN ? 0 : 6;
}

static int child_of(yard *y, own *o)
{
    lmn_ec_notify(&y->ec, INT32_MAX);
    for (int queue = 0; queue < 3; queue++) {
        const int wrong = try_queue(y, o, queue);
        if (wrong) return 10 * (queue + 1) + wrong;
    }
    lmn_smr_scan(o->hp);
    return 0;
}

static void fork_beside(yard *y, own *o)
{
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        for (int k = 0; k <= i % 4; k++) sched_yield();
        const pid_t child = fork();
        if (child == 0) _exit(child_of(y, o));
        T_REQUIRE(child > 0);
        T_EQ(waitpid(child, &status, 0), child);
        T_CHECK(WIFEXITED(status));
        T_EQ(WEXITSTATUS(status), 0);
    }
}

static void test_in_any_state(t_env *env)
{
    static yard y;
    static _Alignas(LMN_APART) uint8_t memory[1 << 14];
    static own o;
    lmn_thread t[PRODUCERS + CONSUMERS];
    worker w[PRODUCERS + CONSUMERS];
    if (SANITIZED) T_SKIP("the allocators of sanitizers do not survive a fork beside threads");
    memset(&y, 0, sizeof y);
    lmn_smr_init(&y.domain, &env->alloc, lmn_asym_detect());
    T_OK(lmn_mpmc_init(&y.strict, &y.domain));
    T_OK(lmn_mpmc_bounded_init(&y.bounded, memory, sizeof memory, sizeof(void *), CAPACITY));
    lmn_relaxed_init(&y.relaxed, &y.domain);
    lmn_ec_init(&y.ec, lmn_asym_detect());
    o.hp = lmn_smr_join(&y.domain);
    T_OK(lmn_relaxed_produce(&y.relaxed, &o.p));
    T_OK(lmn_relaxed_consume(&y.relaxed, &o.c));
    for (uintptr_t i = 0; i < PRODUCERS + CONSUMERS; i++) {
        w[i] = (worker){&y, i};
        T_REQUIRE(lmn_thread_start(&t[i], i < PRODUCERS ? produce : consume, &w[i]) == LAMINA_OK);
    }
    fork_beside(&y, &o);
    lmn_atomic_store(&y.stop, 1, release);
    lmn_ec_notify(&y.ec, INT32_MAX);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) lmn_thread_join(&t[i]);
    lmn_relaxed_stop_producing(&o.p);
    lmn_relaxed_stop_consuming(&o.c);
    lmn_smr_leave(o.hp);
    lmn_mpmc_finish(&y.strict);
    lmn_relaxed_finish(&y.relaxed);
    lmn_smr_finish(&y.domain);
}

T_MAIN(T_TEST(test_in_any_state))
