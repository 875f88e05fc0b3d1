/*
 * lmn_spsc: a bounded ring between one producer and one consumer, in memory of the caller, which
 * two processes may share.
 *
 * Order: FIFO. Progress: wait-free on both sides. Memory: what lmn_spsc_bytes says, nothing later.
 * Who: one thread at a time on each end. Closing is the owner's business: the ring has no notion of
 * it. Indices run freely (64 bits never wrap); slot = index & (capacity - 1).
 *
 * Shared: the header, `tail` (written by the producer), `head` (by the consumer) and the slots,
 * each 128 bytes apart. Private, in the handle of each end: its own index, the other's as last
 * seen, the geometry. A peer that scribbles on the shared part can spoil items and counts, never an
 * address.
 *
 *   producer                                      consumer
 *     fill slots                                    load tail, acquire (only when it seems empty)
 *     store tail, release  ───── publishes ─────▶   read slots
 *     load head, acquire   ◀──── gives back ─────   store head, release
 *       (only when it seems full)
 *
 * Without any one of the four orders a slot is read before it is written or overwritten while it is
 * read; tests/stmc/mc_spsc.c shows each.
 */
#ifndef LMN_SYNC_SPSC_H
#define LMN_SYNC_SPSC_H

#include "base/os/os_thread.h"

#include <string.h>

/* How long a consumer stands back: 0.8 us on Sapphire Rapids, a quarter on Zen 4. */
#define LMN_SPSC_PAUSES 16
#define LMN_SPSC_MAGIC 0x31435053u /* "SPC1" */

typedef struct lmn_spsc_mem {
    uint32_t magic, version, elem_bytes, capacity; /* immutable after init */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) tail;
    _Alignas(LMN_APART) lmn_atomic(uint64_t) head;
    _Alignas(LMN_APART) uint8_t slots[];
} lmn_spsc_mem;
_Static_assert(offsetof(lmn_spsc_mem, slots) == 3 * LMN_APART, "groups stand apart");

/* One end. */
typedef struct lmn_spsc {
    _Alignas(LMN_APART) lmn_spsc_mem *mem;
    uint64_t at;        /* own index: next slot to fill, or to read */
    uint64_t seen;      /* the other index, as last loaded */
    uint64_t published; /* own index as the other side may see it */
    uint64_t lazy;      /* publish when this many are held back; 1: at once */
    uint64_t mask;
    uint64_t elem_bytes;
    bool streams; /* consumer: the last look found several */
    bool alone;   /* consumer: the last look found one item, as in a dialogue */
} lmn_spsc;

/* Slots side by side. */
typedef struct lmn_slots {
    uint8_t *p;
    size_t n;
} lmn_slots;

/* Bytes of a ring; 0 when elem_bytes is 0, capacity is no power of two in [1, 2^31], or the product
 * does not fit. */
size_t lmn_spsc_bytes(uint32_t elem_bytes, uint32_t capacity);
/* Make an empty ring in mem (aligned to 128). E_INVALID: misaligned, too small, bad geometry. */
lamina_status lmn_spsc_init(void *mem, size_t bytes, uint32_t elem_bytes, uint32_t capacity);
/* Take an end of the ring at mem, which may come from another process: E_CORRUPT when the header is
 * wrong or the indices are impossible. Continues where the last user of this end stopped. */
lamina_status lmn_spsc_producer(void *mem, size_t bytes, lmn_spsc *out);
lamina_status lmn_spsc_consumer(void *mem, size_t bytes, lmn_spsc *out);

static inline size_t lmn_spsc_cut(const lmn_spsc *q, uint64_t n, lmn_slots out[2])
{
    const uint64_t from = q->at & q->mask, room = q->mask + 1 - from, first = n < room ? n : room;
    out[0] = (lmn_slots){q->mem->slots + from * q->elem_bytes, (size_t)first};
    out[1] = (lmn_slots){q->mem->slots, (size_t)(n - first)};
    return (size_t)n;
}

/* Free slots as far as known; looks at the other side again only when they are fewer than n. */
static inline uint64_t lmn_spsc_room(lmn_spsc *q, uint64_t n)
{
    uint64_t free = q->mask + 1 - (q->at - q->seen);
    if (LMN_LIKELY(free >= n)) return free;
    q->seen = lmn_atomic_load(&q->mem->head, acquire);
    free = q->mask + 1 - (q->at - q->seen);
    if (LMN_LIKELY(free <= q->mask + 1)) return free;
    q->seen = q->at - q->mask - 1; /* a head that cannot be */
    return 0;
}

/* Producer: up to n free slots to fill, in one or two runs; how many were granted. */
static inline size_t lmn_spsc_reserve(lmn_spsc *q, size_t n, lmn_slots out[2])
{
    const uint64_t free = lmn_spsc_room(q, n);
    return lmn_spsc_cut(q, free < n ? free : n, out);
}

static inline void lmn_spsc_publish_tail(lmn_spsc *q)
{
    lmn_atomic_store(&q->mem->tail, q->at, release);
    q->published = q->at;
}

/* Producer: the first n granted slots are filled. */
static inline void lmn_spsc_commit(lmn_spsc *q, size_t n)
{
    q->at += n;
    if (q->at - q->published >= q->lazy) lmn_spsc_publish_tail(q);
}

/* Producer: publish what a lazy ring holds back. */
static inline void lmn_spsc_flush(lmn_spsc *q)
{
    if (q->at != q->published) lmn_spsc_publish_tail(q);
}

/* A consumer at the heels of a producer reads each line while that one still writes it, and the
 * line travels for every item. It steps back once a batch, for a fraction of a microsecond: four
 * times the items a second between distant cores. */
static inline void lmn_spsc_stand_back(void)
{
    for (int i = 0; i < LMN_SPSC_PAUSES; i++) lmn_cpu_pause();
}

/* Filled slots as far as known; looks at the other side again only when they are fewer than n. */
static inline uint64_t lmn_spsc_filled(lmn_spsc *q, uint64_t n)
{
    uint64_t filled = q->seen - q->at;
    if (LMN_LIKELY(filled >= n)) return filled;
    if (q->streams) lmn_spsc_stand_back();
    /* In a dialogue the slot travels with the index and not after it: a fifth off the 99th
     * percentile between distant cores. In a stream the producer is still writing there. */
    if (q->alone) __builtin_prefetch(q->mem->slots + (q->at & q->mask) * q->elem_bytes);
    q->seen = lmn_atomic_load(&q->mem->tail, acquire);
    filled = q->seen - q->at;
    if (filled) q->alone = filled == 1;
    q->streams = filled > 1;
    if (LMN_LIKELY(filled <= q->mask + 1)) return filled;
    q->seen = q->at; /* a tail that cannot be */
    return 0;
}

/* Consumer: up to n filled slots to read, in one or two runs; how many there are. */
static inline size_t lmn_spsc_peek(lmn_spsc *q, size_t n, lmn_slots out[2])
{
    const uint64_t filled = lmn_spsc_filled(q, n);
    return lmn_spsc_cut(q, filled < n ? filled : n, out);
}

/* Consumer: the first n slots are read and may be filled again. */
static inline void lmn_spsc_release(lmn_spsc *q, size_t n)
{
    q->at += n;
    if (q->at - q->published < q->lazy) return;
    lmn_atomic_store(&q->mem->head, q->at, release);
    q->published = q->at;
}

/* One item in or out; false when full or empty. `bytes` is the ring's elem_bytes: written as a
 * constant it makes the copy a move, and no call is left (tests/fastpath). */
static inline bool lmn_spsc_push_sized(lmn_spsc *q, const void *item, size_t bytes)
{
    lmn_assert(bytes == q->elem_bytes);
    if (LMN_UNLIKELY(lmn_spsc_room(q, 1) == 0)) return false;
    uint8_t *p = q->mem->slots + (q->at & q->mask) * bytes;
    lmn_plain_write(p, bytes);
    memcpy(p, item, bytes);
    lmn_spsc_commit(q, 1);
    return true;
}

static inline bool lmn_spsc_pop_sized(lmn_spsc *q, void *item, size_t bytes)
{
    lmn_assert(bytes == q->elem_bytes);
    if (LMN_UNLIKELY(lmn_spsc_filled(q, 1) == 0)) return false;
    const uint8_t *p = q->mem->slots + (q->at & q->mask) * bytes;
    lmn_plain_read(p, bytes);
    memcpy(item, p, bytes);
    lmn_spsc_release(q, 1);
    return true;
}

static inline bool lmn_spsc_push(lmn_spsc *q, const void *item)
{
    return lmn_spsc_push_sized(q, item, q->elem_bytes);
}

static inline bool lmn_spsc_pop(lmn_spsc *q, void *item)
{
    return lmn_spsc_pop_sized(q, item, q->elem_bytes);
}

#endif
