/*
 * A clock cheap enough to read between two operators: the invariant time-stamp counter (x86-64) or
 * the virtual counter (AArch64), else CLOCK_MONOTONIC. Ticks mean something only after conversion
 * by the clock that was started beforehand; the rate comes from CLOCK_MONOTONIC itself.
 */
#ifndef LMN_BASE_OS_TICKS_H
#define LMN_BASE_OS_TICKS_H

#include "base/os/os_time.h"

typedef struct lmn_ticks {
    bool counter; /* ticks are of the hardware counter, not nanoseconds */
    uint64_t tick0, ns0;
} lmn_ticks;

/* Start of measurement: decides for the counter only where it runs at one rate at all times. */
void lmn_ticks_start(lmn_ticks *c);
/* Nanoseconds a tick, from all the time since the start: the longer the better. */
double lmn_ticks_ns(const lmn_ticks *c);

static inline uint64_t lmn_ticks_now(const lmn_ticks *c)
{
#if defined(__x86_64__)
    if (c->counter) return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    if (c->counter) {
        uint64_t t;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
        return t;
    }
#endif
    (void)c;
    return lmn_now_ns();
}

#endif
