/*
 * A lane: a ring of events with one writer, which never waits: it overwrites the oldest. Any number
 * of readers, also in other processes; the writer does not know of them. A reader that is too slow
 * loses events and counts each one: what it read and what it lost is always what was emitted.
 *
 * Order: of one lane, as emitted. Progress: wait-free for the writer and for the reader. Memory:
 * the slots, from the caller; nothing later. Who: who holds the lane writes (lmn_lane_take, one
 * compare-and-swap; lmn_lane_give), also in a signal handler, which holds another lane than the
 * thread it interrupts. Closing: none. A writer that dies leaves at most the event it was writing.
 *
 *   writer of event n                              reader at event a
 *     store head = 2n + 1, release                   load head, acquire: a .. head / 2 are there
 *     store the words of slot n % slots, release     load the words, acquire
 *     store head = 2n + 2, release                   load head: slots before (head + 1) / 2 - slots
 *                                                      may be of later events: these are lost
 *
 * Whoever read a word of event n + slots has acquired the odd head before it, so that the second
 * look at head shows it. tests/stmc/mc_lane.c proves it and needs every ordering.
 */
#ifndef LMN_TRACE_LANE_H
#define LMN_TRACE_LANE_H

#include "base/atomic.h"

#ifdef LMN_MC
#define LMN_EVENT_WORDS 2 /* enough to tear */
#else
#define LMN_EVENT_WORDS 8
#endif
#define LMN_LANE_OPEN 4

typedef struct lmn_lane_slot {
    lmn_atomic(uint64_t) w[LMN_EVENT_WORDS];
} lmn_lane_slot;

/* The shared part but for the slots. */
typedef struct lmn_lane_mem {
    _Alignas(LMN_APART) lmn_atomic(uint64_t) head; /* 2n: n complete; 2n + 1: n being written */
    /* What the holder is in the middle of, outermost first, 0 none: a name and a word to it. For
       who looks after a death; ordered with nothing. */
    lmn_atomic(uint64_t) open[LMN_LANE_OPEN];
    lmn_atomic(uint32_t) thread; /* who holds it or did last */
} lmn_lane_mem;
_Static_assert(sizeof(lmn_lane_mem) == LMN_APART, "lanes stand apart");

/* The writer's part, private to the process. */
typedef struct lmn_lane {
    _Alignas(LMN_APART) lmn_atomic(uint32_t) held;
    uint32_t index, thread, n_ids;
    uintptr_t key; /* of the thread that held it last */
    lmn_lane_mem *mem;
    lmn_lane_slot *slots;
    uint64_t n, mask;
    void *owner;
} lmn_lane;

/* The caller becomes the only writer; false when somebody else is. */
static inline bool lmn_lane_take(lmn_lane *l)
{
    uint32_t nobody = 0;
    return lmn_atomic_load(&l->held, relaxed) == 0 && lmn_atomic_cas(&l->held, &nobody, 1, acquire);
}

static inline void lmn_lane_give(lmn_lane *l)
{
    lmn_atomic_store(&l->held, 0, release);
}

static inline void lmn_lane_put(lmn_lane *l, const uint64_t w[LMN_EVENT_WORDS])
{
    lmn_plain_write(&l->n, sizeof l->n);
    const uint64_t n = l->n;
    lmn_lane_slot *s = &l->slots[n & l->mask];
    lmn_atomic_store(&l->mem->head, 2 * n + 1, release); /* who sees it has n - 1 */
    for (int i = 0; i < LMN_EVENT_WORDS; i++) lmn_atomic_store(&s->w[i], w[i], release);
    lmn_atomic_store(&l->mem->head, 2 * n + 2, release);
    l->n = n + 1;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Where a reader stands in a lane: at = read + lost. */
typedef struct lmn_lane_reader {
    uint64_t at, n_read, n_lost;
} lmn_lane_reader;

/* Events that are gone, or going, when head is this. */
static inline uint64_t lmn_lane_oldest(uint64_t head, uint64_t slots)
{
    const uint64_t begun = (head >> 1) + (head & 1);
    return begun > slots ? begun - slots : 0;
}

/* First look: how many of `most` may be read from r->at on, which moves past what is gone. 0 also
   for a head that lies before the reader (a writer gone mad). */
static inline uint64_t lmn_lane_begin(lmn_lane_reader *r, uint64_t head, uint64_t slots,
                                      uint64_t most)
{
    const uint64_t done = head >> 1, oldest = lmn_lane_oldest(head, slots);
    if (done < r->at) return 0;
    if (oldest > r->at) {
        r->n_lost += oldest - r->at;
        r->at = oldest;
    }
    return done - r->at < most ? done - r->at : most;
}

/* Second look, after n events from r->at on were copied: the first of them, that many, are not to
   be trusted. The reader moves past all n. */
static inline uint64_t lmn_lane_end(lmn_lane_reader *r, uint64_t head, uint64_t slots, uint64_t n)
{
    const uint64_t oldest = lmn_lane_oldest(head, slots);
    const uint64_t gone = oldest > r->at ? oldest - r->at : 0, drop = gone < n ? gone : n;
    r->at += n;
    r->n_lost += drop;
    r->n_read += n - drop;
    return drop;
}

/* Copy up to `most` events; out[*first] .. out[n - 1] are good, n is returned. */
static inline uint64_t lmn_lane_read(lmn_lane_reader *r, lmn_lane_mem *m, lmn_lane_slot *slots,
                                     uint64_t n_slots, uint64_t most,
                                     uint64_t (*out)[LMN_EVENT_WORDS], uint64_t *first)
{
    const uint64_t n = lmn_lane_begin(r, lmn_atomic_load(&m->head, acquire), n_slots, most);
    for (uint64_t i = 0; i < n; i++) {
        lmn_lane_slot *s = &slots[(r->at + i) & (n_slots - 1)];
        for (int k = 0; k < LMN_EVENT_WORDS; k++) out[i][k] = lmn_atomic_load(&s->w[k], acquire);
    }
    *first = lmn_lane_end(r, lmn_atomic_load(&m->head, relaxed), n_slots, n);
    return n;
}

#endif
