/*
 * The parking lot under the model checker: work that was published is always found by somebody,
 * also when it goes to a sleeper that leaves without looking (and hands the claim on), when another
 * takes it first, when a wait ends beside it; whoever waits for something of its own is woken; the
 * end wakes all. In both forms of the barrier.
 */
#include "sync/parking.h"

#include "mc_frame.h"

static lmn_parking lot;
static lmn_sleeper sleeper[3];
static uint32_t work[2], done, quit; /* work: 1: an item to take */

static void begin_as(lmn_asym asym)
{
    lmn_parking_init(&lot, asym);
    for (int i = 0; i < 2; i++) stmc_check(lmn_park_register(&lot, &sleeper[i]));
    for (int i = 0; i < 2; i++) stmc_init(&work[i], 0);
    stmc_init(&done, 0);
    stmc_init(&quit, 0);
}

MC_PART(begin, begin_as(LMN_ASYM_MEMBARRIER))

static void begin_none(void)
{
    begin();
    lmn_parking_init(&lot, LMN_ASYM_MEMBARRIER);
}

MC_PART(begin_fences, begin_as(LMN_ASYM_FENCE))

static void publish_item(int i)
{
    lmn_atomic_store(&work[i], 1, relaxed);
    lmn_park_notify(&lot, 1);
}

MC_PART(publish, publish_item(0))
MC_PART(publish_other, publish_item(1))

static void publish_two(void)
{
    publish_item(0);
    publish_item(1);
}

static bool in_sight(void)
{
    return lmn_atomic_load(&work[0], relaxed) || lmn_atomic_load(&work[1], relaxed);
}

static bool take(void)
{
    for (int i = 0; i < 2; i++) {
        uint32_t one = 1;
        if (lmn_atomic_load(&work[i], relaxed) && lmn_atomic_cas(&work[i], &one, 0, relaxed))
            return true;
    }
    return false;
}

/* Sleep until there is work, take one; pass the word on. */
static void worker_of(lmn_sleeper *s)
{
    bool claimed = false;
    while (!take()) {
        lmn_park_prepare(&lot, s);
        if (in_sight())
            claimed = lmn_park_cancel(&lot, s);
        else
            claimed = lmn_park_wait(&lot, s);
    }
    if (claimed && in_sight()) lmn_park_notify(&lot, 1);
}

MC_PART(worker_0, worker_of(&sleeper[0]))

/* One was claimed for something and has not looked yet, the other sleeps. */
static void begin_claimed_as(lmn_asym asym)
{
    begin_as(asym);
    stmc_init(&sleeper[0].state, LMN_PARK_CLAIMED);
    stmc_init(&lot.claimed, (void *)&sleeper[0]);
    stmc_init(&sleeper[1].state, LMN_PARK_ASLEEP);
    stmc_init(&lot.asleep, 1);
}

static void begin_asleep(void)
{
    begin();
    for (int i = 0; i < 2; i++) stmc_init(&sleeper[i].state, LMN_PARK_ASLEEP);
    stmc_init(&lot.asleep, 2);
}

MC_PART(begin_claimed, begin_claimed_as(LMN_ASYM_MEMBARRIER))
MC_PART(begin_claimed_fences, begin_claimed_as(LMN_ASYM_FENCE))

static void claimed_0(void)
{
    stmc_check(lmn_park_wait(&lot, &sleeper[0]));
    if (in_sight()) lmn_park_notify(&lot, 1);
}

/* Sleeps, and when it wakes there is one for it, or it is for the other; passes the word on. */
static void asleep_of(lmn_sleeper *s)
{
    const bool claimed = lmn_park_wait(&lot, s);
    if (!take()) worker_of(s);
    if (claimed && in_sight()) lmn_park_notify(&lot, 1);
}

MC_PART(asleep_0, asleep_of(&sleeper[0]))
MC_PART(asleep_1, asleep_of(&sleeper[1]))

/* Registers while others notify. */
static void worker_new(void)
{
    stmc_check(lmn_park_register(&lot, &sleeper[2]));
    worker_of(&sleeper[2]);
}

static void looks_once(void)
{
    stmc_check(lmn_park_register(&lot, &sleeper[2]));
    lmn_park_prepare(&lot, &sleeper[2]);
    if (in_sight())
        (void)lmn_park_cancel(&lot, &sleeper[2]);
    else
        (void)lmn_park_wait(&lot, &sleeper[2]);
}

/* Waits for something of its own, and is no worker after that. */
static void waiter_from(bool asleep)
{
    bool claimed = false;
    while (asleep || !lmn_atomic_load(&done, relaxed)) {
        if (!asleep) lmn_park_prepare(&lot, &sleeper[0]);
        if (!asleep && lmn_atomic_load(&done, relaxed))
            claimed = lmn_park_cancel(&lot, &sleeper[0]);
        else
            claimed = lmn_park_wait(&lot, &sleeper[0]);
        if (claimed) lmn_park_notify(&lot, 1); /* it does not look for work at all */
        asleep = false;
    }
}

MC_PART(waiter, waiter_from(false))
MC_PART(waiter_asleep, waiter_from(true))

static void finish(void)
{
    lmn_atomic_store(&done, 1, relaxed);
    lmn_park_notify_this(&lot, &sleeper[0]);
}

/* Till the end, taking what there is. */
static void worker_till_end(lmn_sleeper *s)
{
    while (!lmn_atomic_load(&quit, relaxed)) {
        if (take()) continue;
        lmn_park_prepare(&lot, s);
        if (in_sight() || lmn_atomic_load(&quit, relaxed))
            (void)lmn_park_cancel(&lot, s);
        else
            (void)lmn_park_wait(&lot, s);
    }
}

MC_PART(till_end_0, worker_till_end(&sleeper[0]))

static void till_end_asleep_0(void)
{
    (void)lmn_park_wait(&lot, &sleeper[0]);
    worker_till_end(&sleeper[0]);
}

static void till_end_asleep_1(void)
{
    (void)lmn_park_wait(&lot, &sleeper[1]);
    worker_till_end(&sleeper[1]);
}

static void end_it(void)
{
    lmn_atomic_store(&quit, 1, relaxed);
    lmn_park_notify_all(&lot);
}

static void publish_and_quit(void)
{
    publish();
    end_it();
}

static void end(void)
{
    stmc_check(lmn_atomic_load(&lot.asleep, relaxed) == 0);
    for (int i = 0; i < 2; i++)
        stmc_check(lmn_atomic_load(&sleeper[i].state, relaxed) == LMN_PARK_AWAKE);
}

STMC_MAIN(
    {"one", begin, {publish, worker_0}, end}, {"fences", begin_fences, {publish, worker_0}, end},
    {"its own", begin, {finish, waiter}, end},
    {"its own, fences", begin_fences, {finish, waiter}, end},
    {"the end", begin, {end_it, till_end_0}, end},
    {"registers late", begin, {publish, worker_new}, end},
    {"registers late, two publishers", begin_none, {publish, publish_other, looks_once}, NULL},
    {"on its way", begin_claimed, {publish_other, claimed_0, asleep_1}, end},
    {"on its way, fences", begin_claimed_fences, {publish_other, claimed_0, asleep_1}, end},
    {"two asleep", begin_asleep, {publish_two, asleep_0, asleep_1}, end},
    {"handed on", begin_asleep, {publish, finish, waiter_asleep, asleep_1}, end},
    {"all", begin_asleep, {publish_and_quit, till_end_asleep_0, till_end_asleep_1}, end})
