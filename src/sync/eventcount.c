/*
 * The sleeping half of an eventcount. The epoch moves before the wake-up, so that who has prepared
 * but does not sleep yet is turned back by the kernel's comparison.
 */
#include "sync/eventcount.h"

#include "sync/wait.h"

void lmn_ec_init(lmn_eventcount *ec, lmn_asym asym)
{
    lmn_atomic_init(&ec->epoch, 0);
    lmn_atomic_init(&ec->waiters, 0);
    ec->asym = asym;
}

bool lmn_ec_wait(lmn_eventcount *ec, uint32_t key, uint64_t deadline_ns)
{
    bool in_time = true;
    while (in_time && lmn_atomic_load(&ec->epoch, acquire) == key)
        in_time = lmn_word_wait(&ec->epoch, key, deadline_ns);
    (void)lmn_atomic_sub(&ec->waiters, 1, relaxed);
    return in_time;
}

void lmn_ec_wake(lmn_eventcount *ec, int32_t n)
{
    (void)lmn_atomic_add(&ec->epoch, 1, release);
    lmn_word_wake(&ec->epoch, n);
}
