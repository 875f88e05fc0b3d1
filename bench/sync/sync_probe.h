/*
 * The machine under bench_sync: processors, placement class, clock.
 */
#ifndef SYNC_PROBE_H
#define SYNC_PROBE_H

#include "sync_bench.h"

typedef struct sync_place {
    uint32_t cpus;
    double p50_ns, p99_ns; /* round trip of one line between the first two processors */
    const char *placement; /* near < 120 ns, far > 180 ns, between, one core */
    double load;           /* average of a minute */
} sync_place;

/* The processors this process may use. */
uint32_t sync_cpus(int cpus[SYNC_MAX_THREADS]);
void sync_pin(int cpu);
double sync_tick_ns(void);
sync_place sync_probe(void);
/* Sorts; the value that `percent` of them do not pass. */
double sync_percentile(uint32_t *ticks, size_t n, double percent);
/* "key": {...} on stdout. */
void sync_print_place(const char *key, sync_place p);

#endif
