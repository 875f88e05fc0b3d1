/*
 * lmn_eventcount: sleep until a condition that lives elsewhere may have changed, without a lock
 * around the condition.
 *
 *   waiter                                        notifier
 *     key = lmn_ec_prepare(ec)                      make the condition true (a release store)
 *     if (condition) lmn_ec_cancel(ec)              lmn_ec_notify(ec, 1)
 *     else lmn_ec_wait(ec, key, deadline)
 *
 * No wake-up is lost: the waiter announces itself, passes the heavy barrier and looks again; the
 * notifier makes the condition true, passes the light one and looks for waiters. One sees the
 * other. A notifier that finds nobody pays one load.
 *
 * Progress: prepare, cancel and notify are wait-free (notify enters the kernel when somebody
 * sleeps). Spurious returns happen. Memory: the object. Who: anybody. One process.
 */
#ifndef LMN_SYNC_EVENTCOUNT_H
#define LMN_SYNC_EVENTCOUNT_H

#include "sync/asym.h"

typedef struct lmn_eventcount {
    _Alignas(LMN_APART) lmn_atomic(uint32_t) epoch; /* what sleepers sleep on */
    lmn_atomic(uint32_t) waiters;
    lmn_asym asym;
} lmn_eventcount;

void lmn_ec_init(lmn_eventcount *ec, lmn_asym asym);

/* Announce a wait; look at the condition after this, then wait or cancel. */
static inline uint32_t lmn_ec_prepare(lmn_eventcount *ec)
{
    (void)lmn_atomic_add(&ec->waiters, 1, relaxed);
    lmn_asym_heavy(ec->asym);
    return lmn_atomic_load(&ec->epoch, acquire);
}

/* The condition holds after all. */
static inline void lmn_ec_cancel(lmn_eventcount *ec)
{
    (void)lmn_atomic_sub(&ec->waiters, 1, relaxed);
}

/* Sleep until a notification after prepare, or until the monotonic clock reads deadline_ns (0:
 * never); false: the deadline came. */
bool lmn_ec_wait(lmn_eventcount *ec, uint32_t key, uint64_t deadline_ns);

void lmn_ec_wake(lmn_eventcount *ec, int32_t n);

/* Wake n of those who wait, INT32_MAX for all; call after the condition was made true. */
static inline void lmn_ec_notify(lmn_eventcount *ec, int32_t n)
{
    lmn_asym_light(ec->asym);
    if (LMN_UNLIKELY(lmn_atomic_load(&ec->waiters, relaxed) != 0)) lmn_ec_wake(ec, n);
}

#endif
