/*
 * The eventcount under the model checker: a waiter whose condition came true is never left asleep,
 * and sees what was published with it; in both forms of the barrier, with a deadline, with two
 * waiters.
 */
#include "sync/eventcount.h"

#include "mc_frame.h"

static lmn_eventcount ec;
static uint32_t ready, data, n_seen;

static void begin_as(lmn_asym asym)
{
    lmn_ec_init(&ec, asym);
    stmc_init(&ready, 0);
    data = n_seen = 0;
}

MC_PART(begin_fence, begin_as(LMN_ASYM_FENCE))
MC_PART(begin_membarrier, begin_as(LMN_ASYM_MEMBARRIER))

static void notifier(void)
{
    stmc_write(data, 7);
    lmn_atomic_store(&ready, 1, release);
    lmn_ec_notify(&ec, INT32_MAX);
}

static void wait_until(uint64_t deadline)
{
    bool in_time = true;
    while (in_time && !lmn_atomic_load(&ready, acquire)) {
        const uint32_t key = lmn_ec_prepare(&ec);
        if (lmn_atomic_load(&ready, relaxed))
            lmn_ec_cancel(&ec);
        else
            in_time = lmn_ec_wait(&ec, key, deadline);
    }
    if (in_time) stmc_check(stmc_read(data) == 7);
}

MC_PART(waiter, wait_until(0))
MC_PART(hurried, wait_until(1))

/* Wakes carry no data of their own, but what came before them is seen. */
static void notifier_twice(void)
{
    notifier();
    lmn_ec_notify(&ec, 1);
}

static void trusting_waiter(void)
{
    const uint32_t key = lmn_ec_prepare(&ec);
    if (lmn_atomic_load(&ready, relaxed)) {
        lmn_ec_cancel(&ec);
        return;
    }
    (void)lmn_ec_wait(&ec, key, 0);
    stmc_check(stmc_read(data) == 7);
}

static void nobody_left(void)
{
    stmc_check(lmn_atomic_load(&ec.waiters, relaxed) == 0);
}

STMC_MAIN({"membarrier", begin_membarrier, {notifier, waiter}, nobody_left},
          {"fences", begin_fence, {notifier, waiter}, nobody_left},
          {"a deadline", begin_membarrier, {notifier, hurried}, nobody_left},
          {"the wake alone", begin_membarrier, {notifier_twice, trusting_waiter}, nobody_left},
          {"two waiters", begin_membarrier, {notifier, waiter, waiter}, nobody_left})
