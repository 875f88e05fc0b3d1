/*
 * The tick clock: is the counter fit, and how long is a tick.
 */
#include "base/os/os_ticks.h"

#if defined(__x86_64__)
#include <cpuid.h>

static bool counter_fit(void)
{
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid(0x80000007u, &eax, &ebx, &ecx, &edx)) return false;
    return (edx >> 8) & 1; /* invariant: one rate whatever the power state */
}
#else
static bool counter_fit(void)
{
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}
#endif

/* Both clocks at one instant: the pair read fastest of a few, so that a preemption between the two
   reads does not become part of the rate. */
static void pair(const lmn_ticks *c, uint64_t *tick, uint64_t *ns)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        const uint64_t a = lmn_ticks_now(c), n = lmn_now_ns(), b = lmn_ticks_now(c);
        if (b - a >= best) continue;
        best = b - a;
        *tick = a + (b - a) / 2;
        *ns = n;
    }
}

void lmn_ticks_start(lmn_ticks *c)
{
    c->counter = counter_fit();
    pair(c, &c->tick0, &c->ns0);
}

double lmn_ticks_ns(const lmn_ticks *c)
{
    if (!c->counter) return 1;
    uint64_t tick, ns;
    do /* a session read at once: let the rate be good to a thousandth */
        pair(c, &tick, &ns);
    while (ns - c->ns0 < 50000u);
    return tick > c->tick0 ? (double)(ns - c->ns0) / (double)(tick - c->tick0) : 1;
}
