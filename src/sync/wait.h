/*
 * Sleeping on a word of this process (futex), with a deadline.
 */
#ifndef LMN_SYNC_WAIT_H
#define LMN_SYNC_WAIT_H

#include "base/atomic.h"

#ifdef LMN_MC

#define lmn_word_wait(word, expected, deadline_ns)         \
    ((deadline_ns) ? stmc_futex_wait_timed(word, expected) \
                   : (stmc_futex_wait(word, expected), true))
#define lmn_word_wake(word, n) stmc_futex_wake(word, n)

#else

#include "base/os/os_thread.h"
#include "base/os/os_time.h"

/* Sleep while *word == expected, until woken or the monotonic clock reads deadline_ns (0: never);
 * false: it does. Returns at times for no reason. */
static inline bool lmn_word_wait(lmn_atomic(uint32_t) * word, uint32_t expected,
                                 uint64_t deadline_ns)
{
    uint64_t left = 0;
    if (deadline_ns) {
        const uint64_t now = lmn_now_ns();
        if (now >= deadline_ns) return false;
        left = deadline_ns - now;
    }
    lmn_futex_wait(word, expected, left);
    return true;
}

static inline void lmn_word_wake(lmn_atomic(uint32_t) * word, int32_t n)
{
    lmn_futex_wake(word, n);
}

#endif

#endif
