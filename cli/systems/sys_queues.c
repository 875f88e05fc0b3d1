/*
 * The subject about handing items from thread to thread: the queues of lamina/queue.h beside a ring
 * whose two indices lie on one line, a ring under a mutex, and the same with condition variables.
 * Every sample passes the same numbers and checks count and sum; a failed operation pauses 64 times
 * and then yields.
 */
#include "sys_bench.h"

#include "lamina/queue.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RING 4096u
#define ITEMS 96000u /* of all producers; divisible by 2 and 32 */
#define SPAN 32u

typedef struct channel {
    lamina_spsc_end in, out;
    void *ring_mem;
    lamina_queue *queue;
    /* the naive ring, and the locked one */
    _Alignas(SYS_APART) atomic_ullong tail;
    atomic_ullong head; /* beside it on purpose */
    _Alignas(SYS_APART) pthread_mutex_t lock;
    pthread_cond_t filled, freed;
    uint64_t pushed, popped;
    _Alignas(SYS_APART) uint64_t slot[RING];
} channel;

/* One of the threads of a sample: producers are even, consumers odd. */
typedef struct side {
    channel *c;
    const struct kind *kind;
    uint32_t items;
    uint64_t sum;
    bool failed;
} side;

typedef struct kind {
    const char *name;
    int pairs;
    void (*produce)(side *s);
    void (*consume)(side *s);
} kind;

static void pause_or_yield(unsigned *spins)
{
    if (++*spins % 64 == 0) (void)sched_yield();
#if defined(__x86_64__)
    else
        __builtin_ia32_pause();
#endif
}

/* Loops around TRY, which moves the word `item`. */
#define PRODUCE(TRY)                                              \
    channel *c = s->c;                                            \
    for (uint64_t item = 2; item <= 2ull * s->items; item += 2) { \
        unsigned spins = 0;                                       \
        while (!(TRY)) pause_or_yield(&spins);                    \
    }
#define CONSUME(TRY)                           \
    channel *c = s->c;                         \
    for (uint32_t i = 0; i < s->items; i++) {  \
        unsigned spins = 0;                    \
        uint64_t item = 0;                     \
        while (!(TRY)) pause_or_yield(&spins); \
        s->sum += item;                        \
    }

static void ring_produce(side *s)
{
    PRODUCE(lamina_spsc_push(&c->in, &item))
}

static void ring_consume(side *s)
{
    CONSUME(lamina_spsc_pop(&c->out, &item))
}

static void span_produce(side *s)
{
    unsigned spins = 0;
    for (uint64_t item = 2, last = 2ull * s->items; item <= last;) {
        lamina_items run[2];
        const size_t left = (size_t)(last - item) / 2 + 1;
        const size_t n = lamina_spsc_reserve(&s->c->in, left < SPAN ? left : SPAN, run);
        for (int k = 0; k < 2; k++)
            for (size_t i = 0; i < run[k].n; i++, item += 2) ((uint64_t *)run[k].data)[i] = item;
        lamina_spsc_commit(&s->c->in, n);
        if (!n) pause_or_yield(&spins);
    }
}

static void span_consume(side *s)
{
    unsigned spins = 0;
    for (uint32_t got = 0; got < s->items;) {
        lamina_items run[2];
        const size_t n = lamina_spsc_peek(&s->c->out, SPAN, run);
        for (int k = 0; k < 2; k++)
            for (size_t i = 0; i < run[k].n; i++) s->sum += ((const uint64_t *)run[k].data)[i];
        lamina_spsc_release(&s->c->out, n);
        got += (uint32_t)n;
        if (!n) pause_or_yield(&spins);
    }
}

static bool naive_push(channel *c, uint64_t item)
{
    const uint64_t at = atomic_load_explicit(&c->tail, memory_order_relaxed);
    if (at - atomic_load_explicit(&c->head, memory_order_acquire) == RING) return false;
    c->slot[at % RING] = item;
    atomic_store_explicit(&c->tail, at + 1, memory_order_release);
    return true;
}

static bool naive_pop(channel *c, uint64_t *item)
{
    const uint64_t at = atomic_load_explicit(&c->head, memory_order_relaxed);
    if (at == atomic_load_explicit(&c->tail, memory_order_acquire)) return false;
    *item = c->slot[at % RING];
    atomic_store_explicit(&c->head, at + 1, memory_order_release);
    return true;
}

static void naive_produce(side *s)
{
    PRODUCE(naive_push(c, item))
}

static void naive_consume(side *s)
{
    CONSUME(naive_pop(c, &item))
}

static bool locked_push(channel *c, uint64_t item, bool sleep)
{
    (void)pthread_mutex_lock(&c->lock);
    while (sleep && c->pushed - c->popped == RING) (void)pthread_cond_wait(&c->freed, &c->lock);
    const bool room = c->pushed - c->popped < RING;
    if (room) c->slot[c->pushed++ % RING] = item;
    (void)pthread_mutex_unlock(&c->lock);
    if (sleep) (void)pthread_cond_signal(&c->filled);
    return room;
}

static bool locked_pop(channel *c, uint64_t *item, bool sleep)
{
    (void)pthread_mutex_lock(&c->lock);
    while (sleep && c->pushed == c->popped) (void)pthread_cond_wait(&c->filled, &c->lock);
    const bool any = c->pushed != c->popped;
    if (any) *item = c->slot[c->popped++ % RING];
    (void)pthread_mutex_unlock(&c->lock);
    if (sleep) (void)pthread_cond_signal(&c->freed);
    return any;
}

static void locked_produce(side *s)
{
    PRODUCE(locked_push(c, item, false))
}

static void locked_consume(side *s)
{
    CONSUME(locked_pop(c, &item, false))
}

static void asleep_produce(side *s)
{
    PRODUCE(locked_push(c, item, true))
}

static void asleep_consume(side *s)
{
    CONSUME(locked_pop(c, &item, true))
}

static bool queue_pop(lamina_queue_handle *h, uint64_t *item)
{
    void *p;
    if (lamina_queue_pop_by(h, &p) != LAMINA_OK) return false;
    *item = (uintptr_t)p;
    return true;
}

static void queue_produce(side *s)
{
    lamina_queue_handle *h = NULL;
    s->failed = lamina_queue_join(s->c->queue, &h) != LAMINA_OK;
    if (s->failed) return;
    PRODUCE(lamina_queue_push_by(h, (void *)(uintptr_t)item) == LAMINA_OK)
    (void)c;
    lamina_queue_leave(h);
}

static void queue_consume(side *s)
{
    lamina_queue_handle *h = NULL;
    s->failed = lamina_queue_join(s->c->queue, &h) != LAMINA_OK;
    if (s->failed) return;
    CONSUME(queue_pop(h, &item))
    (void)c;
    lamina_queue_leave(h);
}

static const kind KINDS[] = {
    {"1:1 lamina_spsc, one by one", 1, ring_produce, ring_consume},
    {"1:1 lamina_spsc, spans of 32", 1, span_produce, span_consume},
    {"1:1 ring, both indices on a line", 1, naive_produce, naive_consume},
    {"1:1 lamina_queue", 1, queue_produce, queue_consume},
    {"1:1 ring under a mutex", 1, locked_produce, locked_consume},
    {"1:1 mutex and condition variables", 1, asleep_produce, asleep_consume},
    {"4:4 lamina_queue", 4, queue_produce, queue_consume},
    {"4:4 ring under a mutex", 4, locked_produce, locked_consume},
    {"4:4 mutex and condition variables", 4, asleep_produce, asleep_consume},
};

static double work(void *ctx, int index)
{
    side *s = (side *)ctx + index;
    const double from = sys_now_ns();
    (index % 2 ? s->kind->consume : s->kind->produce)(s);
    return sys_now_ns() - from;
}

/* Million items a second: the slowest thread's time counts. */
static double sample(void *state, int which)
{
    const kind *k = &KINDS[which];
    side sides[8];
    sys_part parts[8];
    double ns = 0;
    uint64_t sum = 0, each = ITEMS / (uint64_t)k->pairs;
    for (int i = 0; i < 2 * k->pairs; i++) {
        sides[i] = (side){.c = state, .kind = k, .items = (uint32_t)each};
        parts[i] = (sys_part){work, sides, -1, 0};
    }
    if (!sys_together(parts, 2 * k->pairs)) return NAN;
    for (int i = 0; i < 2 * k->pairs; i++) {
        if (sides[i].failed) return NAN;
        if (parts[i].ns > ns) ns = parts[i].ns;
        sum += sides[i].sum;
    }
    if (sum != (uint64_t)k->pairs * each * (each + 1))
        return (void)cli_fail("queues: %s lost or doubled an item", k->name), NAN;
    return 1e3 * ITEMS / ns;
}

void sys_queues_end(void *state)
{
    channel *c = state;
    lamina_queue_destroy(c->queue);
    (void)pthread_mutex_destroy(&c->lock);
    (void)pthread_cond_destroy(&c->filled);
    (void)pthread_cond_destroy(&c->freed);
    free(c->ring_mem);
    free(c);
}

bool sys_queues(sys_run *r, void **state)
{
    channel *c = aligned_alloc(SYS_APART, sizeof *c);
    if (!c) return (void)cli_fail("out of memory"), false;
    memset(c, 0, sizeof *c);
    *state = c;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->filled, NULL);
    (void)pthread_cond_init(&c->freed, NULL);
    const size_t bytes = lamina_spsc_bytes(sizeof(uint64_t), RING);
    c->ring_mem = aligned_alloc(LAMINA_SPSC_ALIGN, (bytes + SYS_APART - 1) / SYS_APART * SYS_APART);
    if (!c->ring_mem || lamina_queue_create(NULL, &c->queue) != LAMINA_OK ||
        lamina_spsc_init(c->ring_mem, bytes, sizeof(uint64_t), RING) != LAMINA_OK ||
        lamina_spsc_producer(c->ring_mem, bytes, &c->in) != LAMINA_OK ||
        lamina_spsc_consumer(c->ring_mem, bytes, &c->out) != LAMINA_OK) {
        sys_queues_end(c);
        return (void)cli_fail("out of memory"), false;
    }
    for (int i = 0; i < (int)(sizeof KINDS / sizeof *KINDS); i++)
        sys_add(r, sample, i, "no thread or no memory to be had", "%s", KINDS[i].name);
    return true;
}
