/*
 * lamina/queue.h - queues between threads: a ring for one producer and one consumer, which two
 * processes may share, a bounded FIFO of messages between many, which they may share as well, and
 * an unbounded one of pointers that one may wait for. Part of liblamina-sync, which needs nothing
 * else of Lamina.
 *
 * Every operation is a call; where a call an item is too much, take spans (ring) or bulk (queue).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_QUEUE_H
#define LAMINA_QUEUE_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Alignment of the memory of a ring and of its ends, in bytes. */
#define LAMINA_SPSC_ALIGN 128

/*
 * One end of a ring, in memory of the caller (a local or a member will do; from malloc it would be
 * misaligned). Filled by lamina_spsc_producer() or lamina_spsc_consumer(), used by one thread at a
 * time, needs no release, must not be copied while it is in use.
 */
typedef struct lamina_spsc_end {
    unsigned char opaque[128];
}
#if defined(__GNUC__)
__attribute__((aligned(LAMINA_SPSC_ALIGN)))
#endif
lamina_spsc_end;

/* Items side by side in the ring's memory. */
typedef struct lamina_items {
    void *data; /* the first; not aligned beyond what item_bytes gives */
    size_t n;   /* how many; 0 = an empty run */
} lamina_items;

/**
 * Bytes that a ring takes.
 *
 * @param item_bytes  size of an item, at least 1.
 * @param capacity    items it holds at most, a power of two.
 * @return bytes; 0 when the geometry is impossible.
 *
 * Units: bytes, items.   Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API size_t lamina_spsc_bytes(uint32_t item_bytes, uint32_t capacity);

/**
 * Make an empty ring. The memory may be shared with another process (it holds no pointers).
 *
 * @param mem    borrowed as long as the ring is used; aligned to LAMINA_SPSC_ALIGN.
 * @param bytes  size of mem, at least lamina_spsc_bytes().
 * @return LAMINA_OK; E_INVALID (NULL, misaligned, too small, impossible geometry).
 *
 * Order:    FIFO, wait-free on both sides.    Units: bytes, items.
 * Threads:  one, before anybody attaches.     Memory: none of its own, now or later.
 * Source:   docs/rooms/sync.md "lmn_spsc".    Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_spsc_init(void *mem, size_t bytes,
                                                           uint32_t item_bytes, uint32_t capacity);

/**
 * Take the producing end. It goes on where the last user of this end stopped.
 *
 * @param mem    the ring, borrowed; may come from another process: what it says is checked, and
 *               whatever a peer scribbles later can spoil items and counts, never an address.
 * @param bytes  size of mem.
 * @param out    filled; on failure untouched or unusable.
 * @return LAMINA_OK; E_INVALID (NULL, misaligned, too small); E_CORRUPT (no ring lies there).
 *
 * Threads:  one at a time has the end.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_spsc_producer(void *mem, size_t bytes,
                                                               lamina_spsc_end *out);

/** Take the consuming end: as lamina_spsc_producer(), for the other side. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_spsc_consumer(void *mem, size_t bytes,
                                                               lamina_spsc_end *out);

/**
 * Let the other side know only every n items what this end has done: fewer moves of the cache line,
 * later news. The producer calls lamina_spsc_flush() before it pauses.
 *
 * @param end  borrowed.
 * @param n    items; 1 (as made) = at once; at most the capacity, or both sides may wait for ever.
 *
 * Units: items.   Threads: who has the end.   Memory: none.   Since: 0.1
 */
LAMINA_API void lamina_spsc_set_lazy(lamina_spsc_end *end, uint32_t n);

/**
 * Producer: up to n free places to fill, in one run or, where the ring wraps, two.
 *
 * @param end  borrowed; a producing end.
 * @param n    places wanted.
 * @param out  two runs, filled in order; the second may be empty.
 * @return places granted, 0..n; 0 = full.
 *
 * Units: items.   Threads: who has the end.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API size_t lamina_spsc_reserve(lamina_spsc_end *end, size_t n, lamina_items out[2]);

/**
 * Producer: the first n granted places are filled; they become the consumer's.
 *
 * @param n  at most what the last lamina_spsc_reserve() granted and was not committed since.
 *
 * Units: items.   Threads: who has the end.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_spsc_commit(lamina_spsc_end *end, size_t n);

/** Producer: publish what lamina_spsc_set_lazy() holds back. Threads: who has the end. Since: 0.1
 */
LAMINA_API void lamina_spsc_flush(lamina_spsc_end *end);

/**
 * Consumer: up to n items to read where they lie; as lamina_spsc_reserve().
 *
 * @return items there are, 0..n; 0 = empty.
 *
 * Units: items.   Threads: who has the end.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API size_t lamina_spsc_peek(lamina_spsc_end *end, size_t n, lamina_items out[2]);

/** Consumer: the first n items are read; as lamina_spsc_commit(). Since: 0.1 */
LAMINA_API void lamina_spsc_release(lamina_spsc_end *end, size_t n);

/**
 * Producer: copy one item in.
 *
 * @param item  borrowed until return; item_bytes long.
 * @return true; false = full.
 *
 * Threads: who has the end.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD bool lamina_spsc_push(lamina_spsc_end *end, const void *item);

/** Consumer: copy one item out. @return true; false = empty. As lamina_spsc_push(). Since: 0.1 */
LAMINA_API LAMINA_NODISCARD bool lamina_spsc_pop(lamina_spsc_end *end, void *item);

/*
 * A bounded queue of messages of one size between any number of producers and consumers, in memory
 * that two processes may share: a handle on it, in memory of the caller. Filled by
 * lamina_bounded_init() or lamina_bounded_attach(), read-only from then on, good for any number of
 * threads, needs no release.
 */
typedef struct lamina_bounded {
    uint64_t opaque[16];
} lamina_bounded;

/**
 * Bytes that such a queue takes.
 *
 * @param item_bytes  size of a message, at least 1.
 * @param capacity    messages it holds at most, a power of two up to 2^24.
 * @return bytes; 0 when the geometry is impossible.
 *
 * Units: bytes, items.   Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API size_t lamina_bounded_bytes(uint32_t item_bytes, uint32_t capacity);

/**
 * Make an empty queue, and a handle on it.
 *
 * @param mem    borrowed as long as it is used; aligned to LAMINA_SPSC_ALIGN.
 * @param bytes  size of mem, at least lamina_bounded_bytes().
 * @param out    filled.
 * @return LAMINA_OK; E_INVALID (NULL, misaligned, too small, impossible geometry).
 *
 * Order:    strict FIFO over all producers, lock-free: who is stopped in the middle keeps one place
 *           and stops nobody.   Units: bytes, items.
 * Threads:  one, before anybody attaches; any number after.
 * Memory:   none of its own, now or later.
 * Source:   docs/rooms/sync.md "lmn_mpmc_bounded".   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_bounded_init(void *mem, size_t bytes,
                                                              uint32_t item_bytes,
                                                              uint32_t capacity,
                                                              lamina_bounded *out);

/**
 * Make a handle on the queue at mem, which may come from another process: what it says is checked,
 * and what a peer scribbles later can spoil items and counts, never an address.
 *
 * @return LAMINA_OK; E_INVALID (NULL, misaligned, too small); E_CORRUPT (no queue lies there).
 *
 * Units: bytes.   Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_bounded_attach(void *mem, size_t bytes,
                                                                lamina_bounded *out);

/**
 * Copy a message in.
 *
 * @param item  borrowed until return; item_bytes long.
 * @return LAMINA_OK; E_AGAIN (full); E_CLOSED; E_CORRUPT (a peer scribbled); E_INVALID.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_bounded_push(const lamina_bounded *q,
                                                              const void *item);

/**
 * Copy the oldest message out.
 *
 * @param item  on success filled.
 * @return LAMINA_OK; E_AGAIN (empty); E_CLOSED (closed, and nothing can come any more); E_CORRUPT;
 *         E_INVALID.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_bounded_pop(const lamina_bounded *q, void *item);

/** Refuse pushes from here on; what was accepted is delivered. Threads: any. Since: 0.1 */
LAMINA_API void lamina_bounded_close(const lamina_bounded *q);

/* A queue of pointers between any number of producers and consumers. */
typedef struct lamina_queue lamina_queue;
/* A thread's own record in a queue: saves the search for one in each call. */
typedef struct lamina_queue_handle lamina_queue_handle;

/* Options of lamina_queue_create(). Set `size`, leave the rest zero: the defaults. */
typedef struct lamina_queue_opts {
    size_t size;                       /* sizeof(lamina_queue_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    uint64_t capacity;                 /* items at most; 0 = as many as memory holds */
} lamina_queue_opts;

/**
 * Make an empty queue.
 *
 * Order: strict FIFO over all producers. Progress: push and pop are lock-free: a thread that is
 * stopped in the middle stops nobody (but for the C library's allocator, once in 1,024 pushes).
 * An item is a pointer of the caller's: not NULL, its lowest bit clear. The queue never looks
 * behind it.
 *
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success owned, released by lamina_queue_destroy(). On failure untouched.
 * @return LAMINA_OK; E_INVALID (out is NULL, an unknown option is set); E_NOMEM.
 *
 * Units:    items.
 * Threads:  any; the queue may then be used by all.
 * Memory:   16 KiB, and 8 KiB for each 1,024 items it holds; see lamina_queue_stats.
 * Source:   docs/rooms/sync.md "lmn_mpmc".   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_create(const lamina_queue_opts *opts,
                                                              lamina_queue **out);

/**
 * Release a queue. Items that are left in it are the caller's, as ever: pop them before.
 *
 * @param q  owned; NULL does nothing. Every handle has left.
 *
 * Threads: no other call on it may be running.   Memory: frees all.   Since: 0.1
 */
LAMINA_API void lamina_queue_destroy(lamina_queue *q);

/**
 * Put an item at the end.
 *
 * @param item  lent until it is popped; not NULL, even.
 * @return LAMINA_OK; E_AGAIN (full); E_CLOSED; E_NOMEM (the item was not taken); E_INVALID.
 *
 * Threads: any.   Memory: a segment once in 1,024 items.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_push(lamina_queue *q, void *item);

/**
 * Take the item at the front.
 *
 * @param item  on success filled, else untouched.
 * @return LAMINA_OK; E_AGAIN (empty); E_CLOSED (closed, and nothing can come any more); E_NOMEM
 *         (a first call finds no memory for its record); E_INVALID.
 *
 * Threads: any.   Memory: none but for a thread's first call.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_pop(lamina_queue *q, void **item);

/**
 * As lamina_queue_push(), and wait while it is full.
 *
 * @param deadline_ns  CLOCK_MONOTONIC instant at which to give up; 0 = never.
 * @return as lamina_queue_push(), but E_TIMEOUT where that says E_AGAIN.
 *
 * Units: nanoseconds.   Threads: any.   Blocking: sleeps while full.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_push_wait(lamina_queue *q, void *item,
                                                                 uint64_t deadline_ns);

/**
 * As lamina_queue_pop(), and wait while it is empty and open.
 *
 * @param deadline_ns  CLOCK_MONOTONIC instant at which to give up; 0 = never.
 * @return as lamina_queue_pop(), but E_TIMEOUT where that says E_AGAIN.
 *
 * Units: nanoseconds.   Threads: any.   Blocking: sleeps while empty.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_pop_wait(lamina_queue *q, void **item,
                                                                uint64_t deadline_ns);

/**
 * Put n items at the end, in their order; those of other producers may come between them.
 *
 * @param items   borrowed until return; each as for lamina_queue_push().
 * @param pushed  filled, also on failure: the first *pushed are in. NULL allowed.
 * @return LAMINA_OK (all n); else as lamina_queue_push(), for the first that was refused.
 *
 * Units: items.   Threads: any.   Memory: as n pushes.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_push_n(lamina_queue *q, void *const *items,
                                                              size_t n, size_t *pushed);

/**
 * Take up to n items from the front.
 *
 * @param items   n places; the first *popped are filled.
 * @param popped  filled, also on failure.
 * @return LAMINA_OK (at least one); else as lamina_queue_pop().
 *
 * Units: items.   Threads: any.   Memory: as lamina_queue_pop().   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_pop_n(lamina_queue *q, void **items,
                                                             size_t n, size_t *popped);

/**
 * Refuse pushes from here on. What was accepted before is still delivered, once; then pop says
 * E_CLOSED. Wakes everybody who waits. May be called again.
 *
 * @return LAMINA_OK; E_NOMEM (a first call finds no memory for its record: not closed); E_INVALID.
 *
 * Threads: any.   Memory: none but for a thread's first call.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_close(lamina_queue *q);

/**
 * Make a record for a thread that uses the queue much: the calls by handle below save two atomic
 * operations each.
 *
 * @param out  on success owned, released by lamina_queue_leave(). On failure untouched.
 * @return LAMINA_OK; E_NOMEM; E_INVALID.
 *
 * Threads:  any; the handle is then used by one thread at a time.
 * Memory:   512 bytes, used again by others after lamina_queue_leave().   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_join(lamina_queue *q,
                                                            lamina_queue_handle **out);

/** Release a handle, before the queue; NULL does nothing. Threads: one. Since: 0.1 */
LAMINA_API void lamina_queue_leave(lamina_queue_handle *handle);

/** lamina_queue_push() by handle. Threads: one at a time for a handle. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_push_by(lamina_queue_handle *handle,
                                                               void *item);

/** lamina_queue_pop() by handle. Threads: one at a time for a handle. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_pop_by(lamina_queue_handle *handle,
                                                              void **item);

/* Memory of a queue at one moment. */
typedef struct lamina_queue_stats {
    size_t size;            /* set by the caller */
    uint32_t n_records;     /* threads that ever used it at once */
    uint32_t segment_items; /* items of a segment */
    uint64_t segment_bytes; /* bytes of a segment */
    uint64_t garbage_bound; /* bytes of used-up segments that wait to be freed, at most, however
                               long a thread is stopped in the middle of an operation */
    uint64_t held;          /* items in it; counted only with a capacity, else 0 */
} lamina_queue_stats;

/**
 * Describe the memory of a queue.
 *
 * @param out  filled; out->size must be sizeof(lamina_queue_stats).
 * @return LAMINA_OK; E_INVALID.
 *
 * Units: bytes, items.   Threads: any.   Memory: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_queue_describe(const lamina_queue *q,
                                                                lamina_queue_stats *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_QUEUE_H */
