/*
 * lmn_seats: a few records that any thread may borrow for the time of one operation: what a library
 * without thread-local storage does where an algorithm wants "the record of this thread". A thread
 * tries the seat its key names first, so that threads which stay keep their records in their own
 * caches; who finds it taken (two keys fell on one, or a thread was stopped in the middle) goes on
 * to the next.
 *
 * Order: none. Progress: wait-free, LMN_SEATS steps at most; NULL when all are taken. Memory: the
 * object; the record of a seat is made by its first user and is the owner's to free. Who: anybody.
 *
 * A seat changes hands by the release in give and the acquire in take: the record needs no atomics.
 */
#ifndef LMN_SYNC_SEATS_H
#define LMN_SYNC_SEATS_H

#include "base/atomic.h"

#ifdef LMN_MC
#define LMN_SEATS 2u
#else
#define LMN_SEATS 32u
#endif

typedef struct lmn_seat {
    _Alignas(LMN_APART) lmn_atomic(uint32_t) taken;
    void *record; /* of who sits; NULL until the first comes */
} lmn_seat;
_Static_assert(sizeof(lmn_seat) == LMN_APART, "seats stand apart");

typedef struct lmn_seats {
    lmn_seat seat[LMN_SEATS];
} lmn_seats;

static inline void lmn_seats_init(lmn_seats *s)
{
    for (uint32_t i = 0; i < LMN_SEATS; i++) {
        lmn_atomic_init(&s->seat[i].taken, 0);
        s->seat[i].record = NULL;
    }
}

/* A seat for the thread of this key (lmn_thread_key); NULL: all are taken. */
static inline lmn_seat *lmn_seat_take(lmn_seats *s, uintptr_t key)
{
    const uint64_t at = ((uint64_t)key * 0x9e3779b97f4a7c15u) >> 32;
    for (uint32_t i = 0; i < LMN_SEATS; i++) {
        lmn_seat *seat = &s->seat[(at + i) % LMN_SEATS];
        uint32_t no = 0;
        if (lmn_atomic_load(&seat->taken, relaxed) == 0 &&
            lmn_atomic_cas(&seat->taken, &no, 1, acquire))
            return seat;
    }
    return NULL;
}

static inline void lmn_seat_give(lmn_seat *seat)
{
    lmn_atomic_store(&seat->taken, 0, release);
}

#endif
