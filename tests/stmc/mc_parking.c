/*
 * The parking lot under the model checker: work that was published is always found by somebody,
 * also when it goes to a sleeper that leaves without looking (and hands the claim on), when another
 * takes it first, when a wait ends beside it; whoever waits for something of its own is woken; the
 * end wakes all. In both forms of the barrier.
 */
#include "sync/parking.h"

static lmn_parking lot;
static lmn_sleeper sleeper[3];
static uint32_t work, done, quit; /* work: items to take */
static int n_taken;

static void begin_as(lmn_asym asym)
{
    lmn_parking_init(&lot, asym);
    for (int i = 0; i < 2; i++) stmc_check(lmn_park_register(&lot, &sleeper[i]));
    stmc_init(&work, 0);
    stmc_init(&done, 0);
    stmc_init(&quit, 0);
    n_taken = 0;
}

static void begin(void)
{
    begin_as(LMN_ASYM_MEMBARRIER);
}

static void begin_fences(void)
{
    begin_as(LMN_ASYM_FENCE);
}

static void publish(void)
{
    (void)lmn_atomic_add(&work, 1, relaxed);
    lmn_park_notify(&lot, 1);
}

static void publish_two(void)
{
    publish();
    publish();
}

static bool take(void)
{
    uint32_t n = lmn_atomic_load(&work, relaxed);
    while (n > 0)
        if (lmn_atomic_cas(&work, &n, n - 1, relaxed)) {
            n_taken++;
            return true;
        }
    return false;
}

/* Sleep until there is work, take one. */
static void worker_of(lmn_sleeper *s)
{
    while (!take()) {
        lmn_park_prepare(&lot, s);
        if (lmn_atomic_load(&work, relaxed))
            (void)lmn_park_cancel(&lot, s);
        else
            (void)lmn_park_wait(&lot, s);
    }
}

static void worker_0(void)
{
    worker_of(&sleeper[0]);
}

static void worker_1(void)
{
    worker_of(&sleeper[1]);
}

/* Registers while others notify. */
static void worker_new(void)
{
    stmc_check(lmn_park_register(&lot, &sleeper[2]));
    worker_of(&sleeper[2]);
}

/* Waits for something of its own, and is no worker after that. */
static void waiter(void)
{
    bool claimed = false;
    while (!lmn_atomic_load(&done, relaxed)) {
        lmn_park_prepare(&lot, &sleeper[0]);
        if (lmn_atomic_load(&done, relaxed))
            claimed = lmn_park_cancel(&lot, &sleeper[0]);
        else
            claimed = lmn_park_wait(&lot, &sleeper[0]);
    }
    if (claimed) lmn_park_notify(&lot, 1);
}

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
        if (lmn_atomic_load(&work, relaxed) || lmn_atomic_load(&quit, relaxed))
            (void)lmn_park_cancel(&lot, s);
        else
            (void)lmn_park_wait(&lot, s);
    }
}

static void till_end_0(void)
{
    worker_till_end(&sleeper[0]);
}

static void till_end_1(void)
{
    worker_till_end(&sleeper[1]);
}

static void publish_and_quit(void)
{
    publish();
    lmn_atomic_store(&quit, 1, relaxed);
    lmn_park_notify_all(&lot);
}

static void end(void)
{
    stmc_check(lmn_atomic_load(&lot.asleep, relaxed) == 0);
    for (int i = 0; i < 2; i++)
        stmc_check(lmn_atomic_load(&sleeper[i].state, relaxed) == LMN_PARK_AWAKE);
}

STMC_MAIN({"one", begin, {publish, worker_0}, end},
          {"fences", begin_fences, {publish, worker_0}, end},
          {"its own", begin, {finish, waiter}, end},
          {"its own, fences", begin_fences, {finish, waiter}, end},
          {"till the end", begin, {publish_and_quit, till_end_0}, end},
          {"registers late", begin, {publish, worker_new}, end},
          {"two workers", begin, {publish_two, worker_0, worker_1}, end},
          {"handed on", begin, {publish, finish, waiter, worker_1}, end},
          {"all", begin, {publish_and_quit, till_end_0, till_end_1}, end})
