/*
 * Our queues in bench_sync: lmn_spsc one by one and in batches filled in place, lmn_mpmc; and, for
 * scale, a ring as one writes it at first (padded, each side loads the other's index every time)
 * and one with a mutex.
 */
#include "sync_bench.h"

#include "base/alloc.h"
#include "sync/mpmc.h"
#include "sync/spsc.h"

#include <pthread.h>
#include <stdlib.h>

static void *aligned_zero(size_t bytes)
{
    void *p = aligned_alloc(LMN_APART, lmn_align_up(bytes, LMN_APART));
    if (!p) abort();
    memset(p, 0, bytes);
    return p;
}

/* ---- lmn_spsc ---------------------------------------------------------------------------------
 */

typedef struct pair {
    lmn_spsc in, out;
    void *mem;
} pair;

static void *pair_make(void)
{
    pair *p = aligned_zero(sizeof *p);
    const size_t bytes = lmn_spsc_bytes(sizeof(uint64_t), SYNC_RING);
    p->mem = aligned_zero(bytes);
    if (lmn_spsc_init(p->mem, bytes, sizeof(uint64_t), SYNC_RING) != LAMINA_OK ||
        lmn_spsc_producer(p->mem, bytes, &p->in) != LAMINA_OK ||
        lmn_spsc_consumer(p->mem, bytes, &p->out) != LAMINA_OK)
        abort();
    return p;
}

static void pair_destroy(void *q)
{
    free(((pair *)q)->mem);
    free(q);
}

SYNC_PAIR_LOOPS(spsc, pair, lmn_spsc_push_sized(&q->in, &item, sizeof item),
                lmn_spsc_pop_sized(&q->out, &item, sizeof item))
SYNC_TRIP_LOOPS(spsc, pair, lmn_spsc_push_sized(&q->in, &item, sizeof item),
                lmn_spsc_pop_sized(&q->out, &item, sizeof item))

static inline void fill_spans(pair *q, uint32_t id, uint64_t items, size_t batch)
{
    unsigned spins = 0;
    for (uint64_t seq = 1; seq <= items;) {
        lmn_slots s[2];
        const uint64_t left = items - seq + 1;
        const size_t n = lmn_spsc_reserve(&q->in, left < batch ? (size_t)left : batch, s);
        for (int run = 0; run < 2; run++) {
            uint64_t *p = (uint64_t *)(void *)s[run].p;
            for (size_t k = 0; k < s[run].n; k++) p[k] = sync_item(id, seq + k);
            seq += s[run].n;
        }
        lmn_spsc_commit(&q->in, n);
        if (!n) sync_wait(&spins);
    }
}

static inline void read_spans(pair *q, uint64_t items, sync_tally *out, size_t batch)
{
    sync_tally t = {0};
    unsigned spins = 0;
    while (t.n < items) {
        lmn_slots s[2];
        const size_t n = lmn_spsc_peek(&q->out, batch, s);
        for (int run = 0; run < 2; run++) {
            const uint64_t *p = (const uint64_t *)(const void *)s[run].p;
            for (size_t k = 0; k < s[run].n; k++) sync_check_next(&t, p[k]);
        }
        lmn_spsc_release(&q->out, n);
        if (!n) sync_wait(&spins);
    }
    *out = t;
}

#define SPANS(batch)                                                                     \
    static void spans##batch##_produce(void *q, uint32_t id, sync_run *r)                \
    {                                                                                    \
        fill_spans(q, id, r->items, batch);                                              \
    }                                                                                    \
    static void spans##batch##_consume(void *q, uint32_t id, sync_run *r, sync_tally *t) \
    {                                                                                    \
        (void)id;                                                                        \
        read_spans(q, r->items, t, batch);                                               \
    }
SPANS(8)
SPANS(32)
SPANS(256)

/* ---- for scale --------------------------------------------------------------------------------
 */

typedef struct naive {
    _Alignas(LMN_APART) lmn_atomic(uint64_t) tail;
    _Alignas(LMN_APART) lmn_atomic(uint64_t) head;
    _Alignas(LMN_APART) uint64_t slot[SYNC_RING];
} naive;

static void *naive_make(void)
{
    return aligned_zero(sizeof(naive));
}

static inline bool naive_push(naive *q, uint64_t item)
{
    const uint64_t at = lmn_atomic_load(&q->tail, relaxed);
    if (at - lmn_atomic_load(&q->head, acquire) == SYNC_RING) return false;
    q->slot[at % SYNC_RING] = item;
    lmn_atomic_store(&q->tail, at + 1, release);
    return true;
}

static inline bool naive_pop(naive *q, uint64_t *item)
{
    const uint64_t at = lmn_atomic_load(&q->head, relaxed);
    if (at == lmn_atomic_load(&q->tail, acquire)) return false;
    *item = q->slot[at % SYNC_RING];
    lmn_atomic_store(&q->head, at + 1, release);
    return true;
}

SYNC_PAIR_LOOPS(naive, naive, naive_push(q, item), naive_pop(q, &item))
SYNC_TRIP_LOOPS(naive, naive, naive_push(q, item), naive_pop(q, &item))

typedef struct locked {
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
    uint64_t tail, head;
    uint64_t slot[SYNC_RING];
} locked;

static void *locked_make(void)
{
    locked *q = aligned_zero(sizeof *q);
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->filled, NULL);
    (void)pthread_cond_init(&q->freed, NULL);
    return q;
}

static void locked_destroy(void *queue)
{
    locked *q = queue;
    (void)pthread_mutex_destroy(&q->lock);
    (void)pthread_cond_destroy(&q->filled);
    (void)pthread_cond_destroy(&q->freed);
    free(q);
}

/* The spinning mutex ring: take the lock, look, give it back, try again. */
static bool locked_push(locked *q, uint64_t item)
{
    (void)pthread_mutex_lock(&q->lock);
    const bool room = q->tail - q->head < SYNC_RING;
    if (room) q->slot[q->tail++ % SYNC_RING] = item;
    (void)pthread_mutex_unlock(&q->lock);
    return room;
}

static bool locked_pop(locked *q, uint64_t *item)
{
    (void)pthread_mutex_lock(&q->lock);
    const bool any = q->tail != q->head;
    if (any) *item = q->slot[q->head++ % SYNC_RING];
    (void)pthread_mutex_unlock(&q->lock);
    return any;
}

/* The one with condition variables: asleep until there is something to do. */
static bool asleep_push(locked *q, uint64_t item)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->tail - q->head == SYNC_RING) (void)pthread_cond_wait(&q->freed, &q->lock);
    q->slot[q->tail++ % SYNC_RING] = item;
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_cond_signal(&q->filled);
    return true;
}

static bool asleep_pop(locked *q, uint64_t *item)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->tail == q->head) (void)pthread_cond_wait(&q->filled, &q->lock);
    *item = q->slot[q->head++ % SYNC_RING];
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_cond_signal(&q->freed);
    return true;
}

SYNC_PAIR_LOOPS(locked, locked, locked_push(q, item), locked_pop(q, &item))
SYNC_TRIP_LOOPS(locked, locked, locked_push(q, item), locked_pop(q, &item))
SYNC_TRIP_LOOPS(asleep, locked, asleep_push(q, item), asleep_pop(q, &item))
SYNC_MANY_LOOPS(crowd, locked, (void)0, locked_push(q, item), (void)0, (void)0,
                locked_pop(q, &item), (void)0)

const sync_queue_kind sync_spsc_ours[] = {
    {.name = "lmn_spsc",
     .order = "FIFO",
     .progress = "wait-free",
     .ours = true,
     .make = pair_make,
     .destroy = pair_destroy,
     .produce = spsc_produce,
     .consume = spsc_consume,
     .client = spsc_client,
     .server = spsc_server},
    {.name = "lmn_spsc spans of 8",
     .order = "FIFO",
     .progress = "wait-free",
     .ours = true,
     .make = pair_make,
     .destroy = pair_destroy,
     .produce = spans8_produce,
     .consume = spans8_consume},
    {.name = "lmn_spsc spans of 32",
     .order = "FIFO",
     .progress = "wait-free",
     .ours = true,
     .make = pair_make,
     .destroy = pair_destroy,
     .produce = spans32_produce,
     .consume = spans32_consume},
    {.name = "lmn_spsc spans of 256",
     .order = "FIFO",
     .progress = "wait-free",
     .ours = true,
     .make = pair_make,
     .destroy = pair_destroy,
     .produce = spans256_produce,
     .consume = spans256_consume},
    {.name = "ring, padded, naive",
     .order = "FIFO",
     .progress = "wait-free",
     .make = naive_make,
     .destroy = free,
     .produce = naive_produce,
     .consume = naive_consume,
     .client = naive_client,
     .server = naive_server},
    {.name = "mutex ring, spinning",
     .order = "FIFO",
     .progress = "blocking",
     .make = locked_make,
     .destroy = locked_destroy,
     .produce = locked_produce,
     .consume = locked_consume,
     .client = locked_client,
     .server = locked_server},
    {.name = "mutex and condvar",
     .order = "FIFO",
     .progress = "blocking",
     .make = locked_make,
     .destroy = locked_destroy,
     .client = asleep_client,
     .server = asleep_server},
    {.name = NULL},
};

/* ---- lmn_mpmc ---------------------------------------------------------------------------------
 */

/* Segments are counted through the allocator: those alive less those linked are garbage. */
typedef struct strict {
    lmn_mpmc q;
    lmn_smr domain;
    lamina_allocator alloc;
    lmn_atomic(uint64_t) live;
    lmn_atomic(void *) consumer[SYNC_MAX_THREADS]; /* lmn_hp */
} strict;

static void *count_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    void *p = lmn_libc_allocator.alloc(lmn_libc_allocator.ctx, bytes, align, tag);
    if (p && !strcmp(tag, "queue segment"))
        (void)lmn_atomic_add(&((strict *)ctx)->live, 1, relaxed);
    return p;
}

static void count_free(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    if (!strcmp(tag, "queue segment")) (void)lmn_atomic_sub(&((strict *)ctx)->live, 1, relaxed);
    lmn_libc_allocator.free(lmn_libc_allocator.ctx, p, bytes, align, tag);
}

static void *strict_make(void)
{
    strict *s = aligned_zero(sizeof *s);
    s->alloc = lmn_libc_allocator;
    s->alloc.ctx = s;
    s->alloc.alloc = count_alloc;
    s->alloc.free = count_free;
    lmn_smr_init(&s->domain, &s->alloc, lmn_asym_detect());
    if (lmn_mpmc_init(&s->q, &s->domain) != LAMINA_OK) abort();
    return s;
}

static void strict_destroy(void *q)
{
    strict *s = q;
    lmn_mpmc_finish(&s->q);
    lmn_smr_finish(&s->domain);
    free(s);
}

static bool strict_pop(strict *s, lmn_hp *hp, uint64_t *item)
{
    void *p;
    if (lmn_mpmc_pop(&s->q, hp, &p) != LAMINA_OK) return false;
    *item = (uintptr_t)p;
    return true;
}

static lmn_hp *join(strict *s)
{
    lmn_hp *hp = lmn_smr_join(&s->domain);
    if (!hp) abort();
    return hp;
}

static lmn_hp *join_consumer(strict *s, uint32_t id)
{
    lmn_hp *hp = join(s);
    lmn_atomic_store(&s->consumer[id], hp, release);
    return hp;
}

static bool strict_inside(void *q, uint32_t id)
{
    lmn_hp *hp = lmn_atomic_load(&((strict *)q)->consumer[id], acquire);
    return hp && lmn_atomic_load(&hp->slot[0], relaxed) != NULL;
}

/* Alive less those that hold what is on its way (at most the backlog) and the two ends. */
static size_t strict_garbage(void *q, size_t *bound)
{
    strict *s = q;
    lmn_smr_stats st;
    lmn_smr_get_stats(&s->domain, &st);
    *bound = st.bound;
    const size_t live = lmn_atomic_load(&s->live, relaxed);
    const size_t linked = SYNC_BACKLOG / LMN_MPMC_CELLS + 2;
    return live > linked ? live - linked : 0;
}

SYNC_MANY_LOOPS(strict, strict, lmn_hp *hp = join(q),
                lmn_mpmc_push(&q->q, hp, (void *)(uintptr_t)item) == LAMINA_OK, lmn_smr_leave(hp),
                lmn_hp *hp = join_consumer(q, id), strict_pop(q, hp, &item), lmn_smr_leave(hp))

const sync_queue_kind sync_mpmc_ours[] = {
    {.name = "lmn_mpmc",
     .order = "strict FIFO",
     .progress = "lock-free",
     .ours = true,
     .make = strict_make,
     .destroy = strict_destroy,
     .produce = strict_produce,
     .consume = strict_consume,
     .inside = strict_inside,
     .garbage = strict_garbage},
    {.name = "mutex ring",
     .order = "strict FIFO",
     .progress = "blocking",
     .make = locked_make,
     .destroy = locked_destroy,
     .produce = crowd_produce,
     .consume = crowd_consume},
    {.name = NULL},
};
