/*
 * lmn_parking: threads that ran out of work asleep, one word each, so that whoever makes work wakes
 * as many as it needs and whoever ends a wait wakes the one that waits.
 *
 *   sleeper                                         who makes work
 *     lmn_park_prepare(lot, s)                        publish it
 *     if (there is work) lmn_park_cancel(lot, s)      lmn_park_notify(lot, n)
 *     else lmn_park_wait(lot, s)
 *
 * A sleeper is claimed before it is woken. While one that was claimed is on its way, nobody else is
 * woken for a single piece of work: it has yet to look, and then must pass the word on by notifying
 * again, if it sees more work than it takes, or leaves without looking. Cancel and wait return true
 * when they were claimed.
 *
 * Order: none; sleepers registered first are woken first. Progress: all but the sleep is wait-free;
 * a notifier that finds nobody asleep pays one load. A thread that is stopped between its wake-up
 * and its look holds up what was left to it. Memory: the objects. Who: anybody may notify, a
 * sleeper is used by one thread at a time. Closing: the owner's condition, and lmn_park_notify_all.
 */
#ifndef LMN_SYNC_PARKING_H
#define LMN_SYNC_PARKING_H

#include "sync/asym.h"

#ifdef LMN_MC
#define LMN_PARK_MAX 4
#else
#define LMN_PARK_MAX 512
#endif

enum { LMN_PARK_AWAKE, LMN_PARK_ASLEEP, LMN_PARK_CLAIMED };

typedef struct lmn_sleeper {
    _Alignas(LMN_APART) lmn_atomic(uint32_t) state; /* LMN_PARK_*; what it sleeps on */
} lmn_sleeper;

typedef struct lmn_parking {
    _Alignas(LMN_APART) lmn_atomic(uint32_t) asleep; /* about how many may be claimed */
    lmn_asym asym;
    lmn_atomic(void *) claimed;                 /* the sleeper that was claimed last */
    _Alignas(LMN_APART) lmn_atomic(uint32_t) n; /* registered */
    lmn_atomic(void *) sleeper[LMN_PARK_MAX];   /* lmn_sleeper; NULL while one registers */
} lmn_parking;

void lmn_parking_init(lmn_parking *lot, lmn_asym asym);
/* The sleeper is part of the lot from here on; false: no room. */
bool lmn_park_register(lmn_parking *lot, lmn_sleeper *s);

/* Announce a wait; look for work after this, then wait or cancel. */
void lmn_park_prepare(lmn_parking *lot, lmn_sleeper *s);
bool lmn_park_cancel(lmn_parking *lot, lmn_sleeper *s);
/* Sleep until claimed or woken. */
bool lmn_park_wait(lmn_parking *lot, lmn_sleeper *s);

void lmn_park_wake(lmn_parking *lot, uint32_t n);
void lmn_park_wake_this(lmn_parking *lot, lmn_sleeper *s);

/* Wake n of those who sleep (for n = 1: unless one is on its way); after work for them was
 * published. */
static inline void lmn_park_notify(lmn_parking *lot, uint32_t n)
{
    lmn_asym_light(lot->asym);
    if (LMN_UNLIKELY(lmn_atomic_load(&lot->asleep, relaxed) != 0)) lmn_park_wake(lot, n);
}

/* Wake everybody: after the condition that ends all waits came true. */
static inline void lmn_park_notify_all(lmn_parking *lot)
{
    lmn_asym_light(lot->asym);
    lmn_park_wake(lot, LMN_PARK_MAX);
}

/* Wake this one, which is not claimed by that; after what it waits for came true. */
static inline void lmn_park_notify_this(lmn_parking *lot, lmn_sleeper *s)
{
    lmn_asym_light(lot->asym);
    if (LMN_UNLIKELY(lmn_atomic_load(&s->state, relaxed) == LMN_PARK_ASLEEP))
        lmn_park_wake_this(lot, s);
}

#endif
