/*
 * The subject about pools: many empty tasks, fork and join without a cut-off, what an idle pool
 * costs, and whether a sum of floats has the same bits for any number of threads. Every contender
 * has as many threads as the process has processors.
 */
#include "sync_crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16
#define MOST_ROUNDS 101
#define FIB 30u
#define FIB_VALUE 832040u
#define FLOATS 1000003u

typedef struct race {
    const sync_pool_kind *kind[MOST];
    double empty[MOST][MOST_ROUNDS], fib[MOST][MOST_ROUNDS];
    uint64_t errors[MOST];
    double idle[MOST];
    uint32_t n, rounds, threads;
    uint64_t tasks;
    uint8_t *done;
} race;

static uint64_t tasks_of(const race *r, const sync_pool_kind *k)
{
    return k->most && k->most < r->tasks ? k->most : r->tasks;
}

/* Nanoseconds a task; each must have run once. */
static double empty(race *r, const sync_pool_kind *k, void *pool, uint64_t *errors)
{
    const uint64_t n = tasks_of(r, k);
    memset(r->done, 0, n);
    const uint64_t start = sync_ns();
    k->empty(pool, r->done, n);
    const double ns = (double)(sync_ns() - start) / (double)n;
    for (uint64_t i = 0; i < n; i++) *errors += r->done[i] != 1;
    return ns;
}

static void one_round(race *r, uint32_t round)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const uint32_t k = (i + round) % r->n;
        const sync_pool_kind *kind = r->kind[k];
        void *pool = kind->make(r->threads);
        uint64_t ignored = 0;
        (void)empty(r, kind, pool, &ignored); /* threads start, memory is there */
        r->empty[k][round] = empty(r, kind, pool, &r->errors[k]);
        if (kind->fib) {
            const uint64_t start = sync_ns();
            r->errors[k] += kind->fib(pool, FIB) != FIB_VALUE;
            r->fib[k][round] = 1e-6 * (double)(sync_ns() - start);
        }
        kind->destroy(pool);
    }
}

/* Percent of one processor that a pool takes once its work is done. */
static double idle(race *r, const sync_pool_kind *k)
{
    uint64_t ignored = 0;
    void *pool = k->make(r->threads);
    (void)empty(r, k, pool, &ignored);
    const struct timespec settle = {0, 50000000}, second = {1, 0};
    struct timespec a, b;
    (void)nanosleep(&settle, NULL);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    const uint64_t start = sync_ns();
    (void)nanosleep(&second, NULL);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    const double wall = (double)(sync_ns() - start);
    const double cpu = 1e9 * (double)(b.tv_sec - a.tv_sec) + (double)b.tv_nsec - (double)a.tv_nsec;
    k->destroy(pool);
    return 100 * cpu / wall;
}

/* How many of the widths 2 to 16 give other bits than one thread does. */
static uint64_t other_bits(const sync_pool_kind *k)
{
    float *x = malloc(FLOATS * sizeof *x);
    if (!x) exit(3);
    uint32_t first = 0;
    uint64_t other = 0;
    for (uint32_t i = 0, v = 1; i < FLOATS; i++, v = v * 1664525u + 1013904223u)
        x[i] = (float)v * (i % 3 ? 1e-3f : -1e3f);
    for (uint32_t width = 1; width <= 16; width++) {
        void *pool = k->make(width);
        const uint32_t bits = k->sum(pool, x, FLOATS);
        if (width == 1) first = bits;
        other += bits != first;
        k->destroy(pool);
    }
    free(x);
    return other;
}

static bool report(race *r)
{
    bool ok = true;
    for (uint32_t k = 0; k < r->n; k++) {
        const sync_pool_kind *kind = r->kind[k];
        char config[64];
        (void)snprintf(config, sizeof config, "%llu empty", (unsigned long long)tasks_of(r, kind));
        sync_row_name(kind->name, kind->ours, config);
        sync_row_samples("ns", r->empty[k], r->rounds);
        printf(", \"threads\": %u, \"idle_percent\": %.3f", r->threads, r->idle[k]);
        const uint64_t other = kind->sum ? other_bits(kind) : 0;
        sync_row_end(r->errors[k] + other);
        ok = ok && r->errors[k] + other == 0;
        if (!kind->fib) continue;
        (void)snprintf(config, sizeof config, "fib(%u)", FIB);
        sync_row_name(kind->name, kind->ours, config);
        sync_row_samples("ms", r->fib[k], r->rounds);
        sync_row_end(0);
    }
    return ok;
}

bool sync_pool(const sync_options *o)
{
    race *r = calloc(1, sizeof *r);
    int cpus[SYNC_MAX_THREADS];
    if (!r) exit(3);
    r->tasks = o->items ? o->items : 100000;
    r->done = malloc(r->tasks);
    if (!r->done) exit(3);
    r->rounds = o->rounds < 1 ? 1 : o->rounds > MOST_ROUNDS ? MOST_ROUNDS : o->rounds;
    r->threads = sync_cpus(cpus);
    for (int i = 0; i < 2; i++)
        for (const sync_pool_kind *k = i ? sync_pool_peers : sync_pool_ours; k->name; k++)
            if ((!o->only || strstr(k->name, o->only)) && r->n < MOST) r->kind[r->n++] = k;
    for (uint32_t round = 0; round < r->rounds; round++) one_round(r, round);
    for (uint32_t k = 0; k < r->n; k++) r->idle[k] = idle(r, r->kind[k]);
    const bool ok = report(r);
    free(r->done);
    free(r);
    return ok;
}
