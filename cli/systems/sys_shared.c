/*
 * Subjects about processors that share memory: false sharing, and how far a line travels.
 */
#include "sys_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INCREMENTS 300000

/* Counters of two threads; which bytes they use is the case. Volatile: every increment is a load
 * and a store. */
typedef struct counters {
    _Alignas(SYS_APART) volatile uint64_t word[64];
    int distance; /* words between the two */
} counters;

static double count(void *ctx, int index)
{
    counters *c = ctx;
    volatile uint64_t *mine = &c->word[index * c->distance];
    const double from = sys_now_ns();
    for (int i = 0; i < INCREMENTS; i++) *mine = *mine + 1;
    return sys_now_ns() - from;
}

/* Nanoseconds of an increment; distance in words, 0: one thread alone. */
static double sharing(void *state, int distance)
{
    counters *c = state;
    sys_part parts[2] = {{count, c, -1, 0}, {count, c, -1, 0}};
    c->distance = distance;
    const int n = distance ? 2 : 1;
    if (!sys_together(parts, n)) return NAN;
    return (parts[0].ns + (n == 2 ? parts[1].ns : 0)) / n / INCREMENTS;
}

bool sys_false_sharing(sys_run *r, void **state)
{
    *state = aligned_alloc(SYS_APART, sizeof(counters));
    if (!*state) return (void)cli_fail("out of memory"), false;
    memset(*state, 0, sizeof(counters));
    sys_add(r, sharing, 0, "no thread to be had", "one thread alone");
    sys_add(r, sharing, 1, "no thread to be had", "two threads, the same line");
    sys_add(r, sharing, 8, "no thread to be had", "two threads, 64 bytes apart");
    sys_add(r, sharing, 16, "no thread to be had", "two threads, 128 bytes apart");
    return true;
}

/* ---- core to core ---------------------------------------------------------------------------- */

#define MOST_CPUS 8
#define TRIPS 2000

static double between(void *state, int pair)
{
    (void)state;
    return sys_trip_ns(pair / 65536, pair % 65536, TRIPS);
}

bool sys_core_to_core(sys_run *r, void **state)
{
    int cpus[64];
    const int n = sys_cpus(cpus, 64);
    /* Spread over the machine where there are more than can be paired in the time. */
    const int stride = n > MOST_CPUS ? n / MOST_CPUS : 1, used = n > MOST_CPUS ? MOST_CPUS : n;
    *state = NULL;
    if (n < 2) return (void)cli_fail("core-to-core wants two processors; there is one"), false;
    for (int i = 0; i < used; i++)
        for (int j = i + 1; j < used; j++) {
            const int a = cpus[i * stride], b = cpus[j * stride];
            sys_add(r, between, a * 65536 + b, "no thread to be had", "processors %d and %d", a, b);
        }
    return true;
}
