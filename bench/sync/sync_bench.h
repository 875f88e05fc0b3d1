/*
 * What the C side (ours) and the C++ side (peers) of bench_sync share: the item, the run, the
 * loops. Every contender runs the very same loops, made by the macros below around its own push and
 * pop.
 *
 * An item is a word: producer and sequence number, even and not 0. Every consumer checks that what
 * it gets of one producer rises, counts, and adds up; the driver compares count and sum. A failed
 * operation pauses 64 times and then yields, so that sixteen threads on two cores get on.
 */
#ifndef SYNC_BENCH_H
#define SYNC_BENCH_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SYNC_MAX_THREADS 64
#define SYNC_CHUNK 256u          /* items a producer promises, or a consumer claims, at once */
#define SYNC_BACKLOG (64u << 10) /* items on their way at most */
#define SYNC_RING 4096u          /* places of a bounded queue, */
#define SYNC_TRIP_RING 64u       /* and in a dialogue, which has few on their way */

/* One run of producers and consumers. Counters stand apart; the builtins are those of gcc and clang
 * because C and C++ have no common word for an atomic object. */
typedef struct sync_run {
    uint64_t items; /* of each producer; UINT64_MAX: until stop */
    uint32_t producers, consumers;
    __attribute__((aligned(128))) uint64_t promised; /* by producers, in chunks */
    uint32_t producing;                              /* producers that are not done */
    __attribute__((aligned(128))) uint64_t claimed;  /* by consumers */
    __attribute__((aligned(128))) uint32_t stop;
} sync_run;

/* What one consumer saw. */
typedef struct sync_tally {
    __attribute__((aligned(128))) uint64_t n;
    uint64_t sum, wrong;
} sync_tally;

/* Round trips: what the client notes, in ticks. */
typedef struct sync_trips {
    uint32_t *ticks;
    size_t n;
} sync_trips;

typedef struct sync_queue_kind {
    const char *name, *order, *progress;
    bool ours;
    void *(*make)(uint32_t ring); /* places, a power of two, where it is bounded */
    void (*destroy)(void *q);
    void (*produce)(void *q, uint32_t id, sync_run *r);
    void (*consume)(void *q, uint32_t id, sync_run *r, sync_tally *t);
    void (*client)(void *there, void *back, sync_trips *t);
    void (*server)(void *there, void *back, sync_trips *t);
    /* May be called in a signal handler of consumer `id`: is it in the middle of a pop? */
    bool (*inside)(void *q, uint32_t id);
    /* Objects that were unlinked and not given back, now; the printed bound in *bound. */
    size_t (*garbage)(void *q, size_t *bound);
} sync_queue_kind;

typedef struct sync_pool_kind {
    const char *name;
    bool ours;
    void *(*make)(uint32_t threads);
    void (*destroy)(void *p);
    /* n tasks that each count one up in their own place of `done`; back when all have run. */
    void (*empty)(void *p, uint8_t *done, uint64_t n);
    uint64_t (*fib)(void *p, uint32_t n); /* a task a call, no cut-off; NULL: not made for it */
    uint64_t most;                        /* tasks it is asked for at most; 0: all */
    /* Bits of a sum of floats that does not associate; NULL: none. */
    uint32_t (*sum)(void *p, const float *x, uint64_t n);
} sync_pool_kind;

/* Tables; a row without a name ends one. */
extern const sync_queue_kind sync_spsc_ours[], sync_spsc_peers[];
extern const sync_queue_kind sync_mpmc_ours[], sync_mpmc_peers[];
extern const sync_pool_kind sync_pool_ours[], sync_pool_peers[];
/* Peers that were not there when this was built, with the package that has them. */
extern const char *const sync_missing[];

static inline void sync_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void sync_wait(unsigned *spins)
{
    if (++*spins % 64)
        sync_pause();
    else
        (void)sched_yield();
}

static inline uint64_t sync_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The cheapest clock there is; sync_tick_ns says what a tick lasts. */
static inline uint64_t sync_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return sync_ns();
#endif
}

static inline uint64_t sync_item(uint32_t producer, uint64_t seq)
{
    return ((uint64_t)(producer + 1) << 41) | seq << 1;
}

/* A producer may send this many more items now; 0: it is done. *sent counts. */
static inline uint64_t sync_promise(sync_run *r, uint64_t *sent)
{
    unsigned spins = 0;
    for (;;) {
        if (*sent == r->items || __atomic_load_n(&r->stop, __ATOMIC_RELAXED)) break;
        const uint64_t promised = __atomic_load_n(&r->promised, __ATOMIC_RELAXED);
        if (promised - __atomic_load_n(&r->claimed, __ATOMIC_RELAXED) < SYNC_BACKLOG) {
            *sent += SYNC_CHUNK;
            (void)__atomic_fetch_add(&r->promised, SYNC_CHUNK, __ATOMIC_RELEASE);
            return SYNC_CHUNK;
        }
        sync_wait(&spins);
    }
    (void)__atomic_fetch_sub(&r->producing, 1, __ATOMIC_RELEASE);
    return 0;
}

/* A consumer shall take this many more items, which are or will be there; 0: it is done. */
static inline uint64_t sync_claim(sync_run *r)
{
    unsigned spins = 0;
    for (;;) {
        const uint32_t producing = __atomic_load_n(&r->producing, __ATOMIC_ACQUIRE);
        uint64_t claimed = __atomic_load_n(&r->claimed, __ATOMIC_RELAXED);
        if (claimed != __atomic_load_n(&r->promised, __ATOMIC_ACQUIRE)) {
            if (__atomic_compare_exchange_n(&r->claimed, &claimed, claimed + SYNC_CHUNK, false,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                return SYNC_CHUNK;
        } else if (!producing) {
            return 0;
        } else {
            sync_wait(&spins);
        }
    }
}

static inline void sync_check(sync_tally *t, uint64_t last[SYNC_MAX_THREADS], uint64_t item)
{
    const uint64_t producer = (item >> 41) % SYNC_MAX_THREADS;
    t->wrong += item <= last[producer];
    last[producer] = item;
    t->sum += item;
    t->n++;
}

/* The same for the one producer of a pair, whose every item is known. */
static inline void sync_check_next(sync_tally *t, uint64_t item)
{
    t->wrong += item != sync_item(0, ++t->n);
    t->sum += item;
}

/* Loops around PUSH (tries to send the word `item`) and POP (tries to receive into it), for as many
 * threads as there are. BEGIN and END frame a thread: its token, its hazard pointers. */
#define SYNC_MANY_LOOPS(name, Q, BEGIN_PUSH, PUSH, END_PUSH, BEGIN_POP, POP, END_POP)  \
    static void name##_produce(void *queue, uint32_t id, sync_run *r)                  \
    {                                                                                  \
        Q *q = (Q *)queue;                                                             \
        uint64_t sent = 0, seq = 1;                                                    \
        BEGIN_PUSH;                                                                    \
        for (uint64_t n; (n = sync_promise(r, &sent)) != 0;)                           \
            for (; n; n--, seq++) {                                                    \
                const uint64_t item = sync_item(id, seq);                              \
                unsigned spins = 0;                                                    \
                while (!(PUSH)) sync_wait(&spins);                                     \
            }                                                                          \
        END_PUSH;                                                                      \
    }                                                                                  \
    static void name##_consume(void *queue, uint32_t id, sync_run *r, sync_tally *out) \
    {                                                                                  \
        Q *q = (Q *)queue;                                                             \
        uint64_t last[SYNC_MAX_THREADS] = {0};                                         \
        sync_tally t = {0, 0, 0};                                                      \
        (void)id;                                                                      \
        BEGIN_POP;                                                                     \
        for (uint64_t n; (n = sync_claim(r)) != 0;) {                                  \
            for (; n; n--) {                                                           \
                uint64_t item = 0;                                                     \
                unsigned spins = 0;                                                    \
                while (!(POP)) sync_wait(&spins);                                      \
                sync_check(&t, last, item);                                            \
            }                                                                          \
            __atomic_store_n(&out->n, t.n, __ATOMIC_RELAXED);                          \
        }                                                                              \
        END_POP;                                                                       \
        *out = t;                                                                      \
    }

/* The same for one producer and one consumer, who need no promises. */
#define SYNC_PAIR_LOOPS(name, Q, PUSH, POP)                                            \
    static void name##_produce(void *queue, uint32_t id, sync_run *r)                  \
    {                                                                                  \
        Q *q = (Q *)queue;                                                             \
        for (uint64_t seq = 1; seq <= r->items; seq++) {                               \
            const uint64_t item = sync_item(id, seq);                                  \
            unsigned spins = 0;                                                        \
            while (!(PUSH)) sync_wait(&spins);                                         \
        }                                                                              \
    }                                                                                  \
    static void name##_consume(void *queue, uint32_t id, sync_run *r, sync_tally *out) \
    {                                                                                  \
        Q *q = (Q *)queue;                                                             \
        sync_tally t = {0, 0, 0};                                                      \
        (void)id;                                                                      \
        while (t.n < r->items) {                                                       \
            uint64_t item = 0;                                                         \
            unsigned spins = 0;                                                        \
            while (!(POP)) sync_wait(&spins);                                          \
            sync_check_next(&t, item);                                                 \
        }                                                                              \
        *out = t;                                                                      \
    }

/* Batches: PUSH sends some of words[0..n), POP receives up to n; each gives how many. */
#define SYNC_BATCH_LOOPS(name, Q, BATCH, PUSH, POP)                                    \
    static void name##_produce(void *queue, uint32_t id, sync_run *r)                  \
    {                                                                                  \
        Q *q = (Q *)queue;                                                             \
        uint64_t buffer[BATCH];                                                        \
        for (uint64_t seq = 1; seq <= r->items;) {                                     \
            const uint64_t left = r->items - seq + 1;                                  \
            size_t n = left < BATCH ? (size_t)left : BATCH;                            \
            for (size_t k = 0; k < n; k++) buffer[k] = sync_item(id, seq + k);         \
            seq += n;                                                                  \
            unsigned spins = 0;                                                        \
            for (const uint64_t *words = buffer; n;) {                                 \
                const size_t done = (PUSH);                                            \
                words += done;                                                         \
                n -= done;                                                             \
                if (!done) sync_wait(&spins);                                          \
            }                                                                          \
        }                                                                              \
    }                                                                                  \
    static void name##_consume(void *queue, uint32_t id, sync_run *r, sync_tally *out) \
    {                                                                                  \
        Q *q = (Q *)queue;                                                             \
        uint64_t words[BATCH];                                                         \
        sync_tally t = {0, 0, 0};                                                      \
        unsigned spins = 0;                                                            \
        (void)id;                                                                      \
        while (t.n < r->items) {                                                       \
            const size_t n = BATCH, done = (POP);                                      \
            for (size_t k = 0; k < done; k++) sync_check_next(&t, words[k]);           \
            if (!done) sync_wait(&spins);                                              \
        }                                                                              \
        *out = t;                                                                      \
    }

/* Round trips: a word there, the same word back. PUSH and POP work on `q`. */
#define SYNC_TRIP_LOOPS(name, Q, PUSH, POP)                                                   \
    static inline void name##_send(Q *q, uint64_t item)                                       \
    {                                                                                         \
        unsigned spins = 0;                                                                   \
        while (!(PUSH)) sync_patience(&spins);                                                \
    }                                                                                         \
    static inline uint64_t name##_receive(Q *q)                                               \
    {                                                                                         \
        uint64_t item = 0;                                                                    \
        unsigned spins = 0;                                                                   \
        while (!(POP)) sync_patience(&spins);                                                 \
        return item;                                                                          \
    }                                                                                         \
    static void name##_client(void *there, void *back, sync_trips *t)                         \
    {                                                                                         \
        for (size_t i = 0; i < t->n; i++) {                                                   \
            const uint64_t from = sync_ticks();                                               \
            name##_send((Q *)there, 2 * i + 2);                                               \
            const bool same = name##_receive((Q *)back) == 2 * i + 2;                         \
            const uint64_t ticks = sync_ticks() - from;                                       \
            t->ticks[i] = !same ? 0 : ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;      \
        }                                                                                     \
    }                                                                                         \
    static void name##_server(void *there, void *back, sync_trips *t)                         \
    {                                                                                         \
        for (size_t i = 0; i < t->n; i++) name##_send((Q *)back, name##_receive((Q *)there)); \
    }

/* Latency wants a longer spin than throughput: a yield only when the other side must be asleep. */
static inline void sync_patience(unsigned *spins)
{
    if (++*spins % 4096)
        sync_pause();
    else
        (void)sched_yield();
}

#ifdef __cplusplus
}
#endif

#endif
