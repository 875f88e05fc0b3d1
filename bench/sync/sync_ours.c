/*
 * Our ring in bench_sync: lmn_spsc one by one and in batches filled in place; and, for scale, a
 * ring as one writes it at first (padded, each side loads the other's index every time) and one
 * with a mutex.
 */
#include "sync_locked.h"

#include "sync/spsc.h"

/* ---- lmn_spsc ---------------------------------------------------------------------------------
 */

typedef struct pair {
    lmn_spsc in, out;
    void *mem;
} pair;

static void *pair_make(uint32_t ring)
{
    pair *p = sync_zero(sizeof *p);
    const size_t bytes = lmn_spsc_bytes(sizeof(uint64_t), ring);
    p->mem = sync_zero(bytes);
    if (lmn_spsc_init(p->mem, bytes, sizeof(uint64_t), ring) != LAMINA_OK ||
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
    _Alignas(LMN_APART) uint64_t ring; /* never written */
    _Alignas(LMN_APART) uint64_t slot[];
} naive;

static void *naive_make(uint32_t ring)
{
    naive *q = sync_zero(sizeof *q + ring * sizeof q->slot[0]);
    q->ring = ring;
    return q;
}

static inline bool naive_push(naive *q, uint64_t item)
{
    const uint64_t at = lmn_atomic_load(&q->tail, relaxed);
    if (at - lmn_atomic_load(&q->head, acquire) == q->ring) return false;
    q->slot[at & (q->ring - 1)] = item;
    lmn_atomic_store(&q->tail, at + 1, release);
    return true;
}

static inline bool naive_pop(naive *q, uint64_t *item)
{
    const uint64_t at = lmn_atomic_load(&q->head, relaxed);
    if (at == lmn_atomic_load(&q->tail, acquire)) return false;
    *item = q->slot[at & (q->ring - 1)];
    lmn_atomic_store(&q->head, at + 1, release);
    return true;
}

SYNC_PAIR_LOOPS(naive, naive, naive_push(q, item), naive_pop(q, &item))
SYNC_TRIP_LOOPS(naive, naive, naive_push(q, item), naive_pop(q, &item))

SYNC_PAIR_LOOPS(locked, locked, locked_push(q, item), locked_pop(q, &item))
SYNC_TRIP_LOOPS(locked, locked, locked_push(q, item), locked_pop(q, &item))
SYNC_TRIP_LOOPS(asleep, locked, asleep_push(q, item), asleep_pop(q, &item))
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
