/*
 * Where the threads are: which processors may be used, how far two of them are from each other (a
 * word that goes there and back on one line), how busy the machine is. A figure of anything shared
 * is worth something beside figures of the same placement class only.
 */
#include "sync_probe.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TRIPS 20000u

uint32_t sync_cpus(int cpus[SYNC_MAX_THREADS])
{
    cpu_set_t set;
    uint32_t n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (int c = 0; c < CPU_SETSIZE && n < SYNC_MAX_THREADS; c++)
        if (CPU_ISSET(c, &set)) cpus[n++] = c;
    return n;
}

void sync_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

double sync_tick_ns(void)
{
    const uint64_t t0 = sync_ticks(), n0 = sync_ns();
    while (sync_ns() - n0 < 20000000u) sync_pause();
    return (double)(sync_ns() - n0) / (double)(sync_ticks() - t0);
}

/* The word: even, it is the server's turn to answer with the next odd one. */
typedef struct ball {
    _Alignas(128) uint32_t word;
    _Alignas(128) int cpu;
} ball;

static void await(const uint32_t *word, uint32_t value)
{
    unsigned spins = 0;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) sync_patience(&spins);
}

static void *answer(void *arg)
{
    ball *b = arg;
    sync_pin(b->cpu);
    for (uint32_t i = 0; i < TRIPS; i++) {
        await(&b->word, 2 * i + 1);
        __atomic_store_n(&b->word, 2 * i + 2, __ATOMIC_RELEASE);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double sync_percentile(uint32_t *ticks, size_t n, double percent)
{
    qsort(ticks, n, sizeof *ticks, by_value);
    size_t i = (size_t)((double)n * percent / 100);
    return ticks[i < n ? i : n - 1];
}

sync_place sync_probe(void)
{
    int cpus[SYNC_MAX_THREADS];
    const uint32_t n = sync_cpus(cpus);
    static uint32_t ticks[TRIPS];
    ball b = {.word = 0, .cpu = cpus[n > 1 ? 1 : 0]};
    sync_place p = {.cpus = n, .placement = "one core"};
    if (getloadavg(&p.load, 1) != 1) p.load = -1;
    if (n < 2) return p;
    cpu_set_t before;
    pthread_t t;
    (void)pthread_getaffinity_np(pthread_self(), sizeof before, &before);
    if (pthread_create(&t, NULL, answer, &b) != 0) return p;
    sync_pin(cpus[0]);
    for (uint32_t i = 0; i < TRIPS; i++) {
        const uint64_t from = sync_ticks();
        __atomic_store_n(&b.word, 2 * i + 1, __ATOMIC_RELEASE);
        await(&b.word, 2 * i + 2);
        const uint64_t d = sync_ticks() - from;
        ticks[i] = d < UINT32_MAX ? (uint32_t)d : UINT32_MAX;
    }
    (void)pthread_join(t, NULL);
    (void)pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    const double ns = sync_tick_ns();
    p.p50_ns = sync_percentile(ticks, TRIPS, 50) * ns;
    p.p99_ns = sync_percentile(ticks, TRIPS, 99) * ns;
    p.placement = p.p50_ns < 120 ? "near" : p.p50_ns > 180 ? "far" : "between";
    return p;
}

void sync_print_place(const char *key, sync_place p)
{
    printf("\"%s\": {\"cpus\": %u, \"p50_ns\": %.1f, \"p99_ns\": %.1f, \"placement\": \"%s\", "
           "\"load\": %.2f}",
           key, p.cpus, p.p50_ns, p.p99_ns, p.placement, p.load);
}
