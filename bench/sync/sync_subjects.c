/*
 * The subjects about queues: throughput of a pair, round trips, throughput of many, and the soak.
 * A round runs every contender once; the next begins with another one.
 */
#include "sync_crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 32
#define MOST_ROUNDS 101

typedef struct board {
    const sync_queue_kind *kind[MOST];
    double sample[MOST][MOST_ROUNDS], more[MOST][MOST_ROUNDS];
    uint64_t errors[MOST];
    uint32_t n, rounds;
} board;

static board *board_make(const sync_options *o, const sync_queue_kind *a, const sync_queue_kind *b)
{
    board *t = calloc(1, sizeof *t);
    if (!t) exit(3);
    t->n = sync_pick(a, b, o->only, t->kind);
    t->rounds = o->rounds < 1 ? 1 : o->rounds > MOST_ROUNDS ? MOST_ROUNDS : o->rounds;
    return t;
}

/* Million items a second of one run; what went wrong is added to *errors. */
static double throughput(const sync_queue_kind *k, uint32_t producers, uint32_t consumers,
                         uint64_t items, uint64_t *errors)
{
    sync_member members[SYNC_MAX_THREADS];
    sync_run r = {.items = items, .producers = producers, .consumers = consumers};
    void *q = k->make(SYNC_RING);
    const uint32_t n = sync_crew_fill(members, k, q, &r);
    const double s = sync_crew_run(members, n);
    *errors += sync_crew_errors(members, n, &r);
    k->destroy(q);
    return 1e-6 * (double)(items * producers) / s;
}

static bool race(const sync_options *o, const sync_queue_kind *a, const sync_queue_kind *b,
                 uint32_t threads, uint64_t items)
{
    board *t = board_make(o, a, b);
    bool ok = true;
    char config[16];
    (void)snprintf(config, sizeof config, "%u:%u", threads, threads);
    for (uint32_t k = 0; k < t->n; k++) /* the first run of a process is a slow one */
        if (t->kind[k]->produce)
            (void)throughput(t->kind[k], threads, threads, 16 * SYNC_CHUNK, &t->errors[k]);
    for (uint32_t round = 0; round < t->rounds; round++)
        for (uint32_t i = 0; i < t->n; i++) {
            const uint32_t k = (i + round) % t->n;
            if (t->kind[k]->produce)
                t->sample[k][round] =
                    throughput(t->kind[k], threads, threads, items, &t->errors[k]);
        }
    for (uint32_t k = 0; k < t->n; k++) {
        if (!t->kind[k]->produce) continue;
        sync_row_begin(t->kind[k], config);
        sync_row_samples("m_per_s", t->sample[k], t->rounds);
        sync_row_end(t->errors[k]);
        ok = ok && t->errors[k] == 0;
    }
    free(t);
    return ok;
}

bool sync_spsc(const sync_options *o)
{
    return race(o, sync_spsc_ours, sync_spsc_peers, 1, o->items ? o->items : 4000000);
}

bool sync_mpmc(const sync_options *o)
{
    static const uint32_t THREADS[] = {1, 2, 8};
    const uint64_t all = o->items ? o->items : 2000000;
    bool ok = true;
    for (size_t i = 0; i < sizeof THREADS / sizeof *THREADS; i++) {
        const uint64_t each = all / THREADS[i] / SYNC_CHUNK * SYNC_CHUNK;
        ok = race(o, sync_mpmc_ours, sync_mpmc_peers, THREADS[i], each ? each : SYNC_CHUNK) && ok;
    }
    return ok;
}

/* ---- round trips ------------------------------------------------------------------------------
 */

static void work_client(sync_member *m)
{
    m->kind->client(m->queue, m->back, m->trips);
}

static void work_server(sync_member *m)
{
    m->kind->server(m->queue, m->back, m->trips);
}

/* p50 and p99 in nanoseconds; wrong words count as errors. */
static void trip(const sync_queue_kind *k, sync_trips *t, double tick_ns, double out[2],
                 uint64_t *errors)
{
    void *there = k->make(SYNC_TRIP_RING), *back = k->make(SYNC_TRIP_RING);
    sync_member members[2] = {{.work = work_client, .kind = k, .queue = there, .back = back},
                              {.work = work_server, .kind = k, .queue = there, .back = back}};
    members[0].trips = members[1].trips = t;
    (void)sync_crew_run(members, 2);
    for (size_t i = 0; i < t->n; i++) *errors += t->ticks[i] == 0;
    out[0] = sync_percentile(t->ticks, t->n, 50) * tick_ns;
    out[1] = sync_percentile(t->ticks, t->n, 99) * tick_ns;
    k->destroy(there);
    k->destroy(back);
}

bool sync_trips_run(const sync_options *o)
{
    board *t = board_make(o, sync_spsc_ours, sync_spsc_peers);
    sync_trips trips = {.n = o->items ? (size_t)o->items : 50000};
    trips.ticks = calloc(trips.n, sizeof *trips.ticks);
    if (!trips.ticks) exit(3);
    const double tick_ns = sync_tick_ns();
    bool ok = true;
    for (uint32_t round = 0; round < t->rounds; round++)
        for (uint32_t i = 0; i < t->n; i++) {
            const uint32_t k = (i + round) % t->n;
            double got[2];
            if (!t->kind[k]->client) continue;
            trip(t->kind[k], &trips, tick_ns, got, &t->errors[k]);
            t->sample[k][round] = got[0];
            t->more[k][round] = got[1];
        }
    for (uint32_t k = 0; k < t->n; k++) {
        if (!t->kind[k]->client) continue;
        sync_row_begin(t->kind[k], "rings of 64");
        sync_row_samples("p50_ns", t->sample[k], t->rounds);
        sync_row_samples("p99_ns", t->more[k], t->rounds);
        sync_row_end(t->errors[k]);
        ok = ok && t->errors[k] == 0;
    }
    free(trips.ticks);
    free(t);
    return ok;
}

/* ---- the soak ---------------------------------------------------------------------------------
 */

/* Ours alone, rounds of items until both the rounds and the seconds are done: nothing may be lost,
 * doubled or out of order. */
bool sync_soak(const sync_options *o)
{
    board *t = board_make(o, sync_spsc_ours, sync_mpmc_ours);
    const uint64_t items = (o->items ? o->items : 10000000) / SYNC_CHUNK * SYNC_CHUNK;
    bool ok = true;
    for (uint32_t k = 0; k < t->n; k++) {
        if (!t->kind[k]->ours) continue;
        const bool many = strstr(t->kind[k]->name, "spsc") == NULL;
        const uint64_t start = sync_ns();
        uint64_t errors = 0, passed = 0;
        for (uint32_t round = 0;
             round < o->rounds || (double)(sync_ns() - start) < 1e9 * o->seconds; round++) {
            const uint32_t n = many ? 1u + round % 8 : 1;
            const uint64_t each = items / n / SYNC_CHUNK * SYNC_CHUNK;
            (void)throughput(t->kind[k], n, many ? 1 + (round / 8) % 8 : 1, each, &errors);
            passed += each * n;
        }
        sync_row_begin(t->kind[k], many ? "1:1 to 8:8" : "1:1");
        printf(", \"items\": %llu", (unsigned long long)passed);
        sync_row_end(errors);
        ok = ok && errors == 0;
    }
    free(t);
    return ok;
}
