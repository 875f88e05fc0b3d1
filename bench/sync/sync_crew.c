/*
 * The crew: threads that wait for one word to start together. The wait yields: a barrier that spins
 * hangs where there are more threads than cores.
 */
#include "sync_crew.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct crew {
    _Alignas(128) uint32_t ready;
    _Alignas(128) uint32_t go;
    int cpus[SYNC_MAX_THREADS];
    uint32_t n_cpus;
} crew;

typedef struct hand {
    crew *crew;
    sync_member *member;
    uint32_t index;
} hand;

static pthread_t threads[SYNC_MAX_THREADS];

static void *work(void *arg)
{
    hand *h = arg;
    if (h->crew->n_cpus) sync_pin(h->crew->cpus[h->index % h->crew->n_cpus]);
    (void)__atomic_fetch_add(&h->crew->ready, 1, __ATOMIC_ACQ_REL);
    while (!__atomic_load_n(&h->crew->go, __ATOMIC_ACQUIRE)) (void)sched_yield();
    h->member->work(h->member);
    h->member->end_ns = sync_ns();
    return NULL;
}

uint64_t sync_crew_thread(uint32_t member)
{
    return (uint64_t)threads[member];
}

double sync_crew_run_with(sync_member *members, uint32_t n, void (*meanwhile)(void *), void *ctx)
{
    crew c = {.go = 0};
    hand hands[SYNC_MAX_THREADS];
    /* A scheduler favours the children of who has slept: let all begin alike on a busy machine. */
    const struct timespec nap = {0, 20000000};
    (void)nanosleep(&nap, NULL);
    c.n_cpus = sync_cpus(c.cpus);
    for (uint32_t i = 0; i < n; i++) {
        hands[i] = (hand){.crew = &c, .member = &members[i], .index = i};
        if (pthread_create(&threads[i], NULL, work, &hands[i]) != 0) {
            (void)fputs("bench_sync: no thread to be had\n", stderr);
            exit(3);
        }
    }
    while (__atomic_load_n(&c.ready, __ATOMIC_ACQUIRE) != n) (void)sched_yield();
    const uint64_t start = sync_ns();
    __atomic_store_n(&c.go, 1, __ATOMIC_RELEASE);
    if (meanwhile) meanwhile(ctx);
    uint64_t end = start + 1;
    for (uint32_t i = 0; i < n; i++) {
        (void)pthread_join(threads[i], NULL);
        if (members[i].end_ns > end) end = members[i].end_ns;
    }
    return 1e-9 * (double)(end - start);
}

double sync_crew_run(sync_member *members, uint32_t n)
{
    return sync_crew_run_with(members, n, NULL, NULL);
}

static void work_produce(sync_member *m)
{
    m->kind->produce(m->queue, m->id, m->run);
}

static void work_consume(sync_member *m)
{
    m->kind->consume(m->queue, m->id, m->run, &m->tally);
}

/* Producers and consumers by turns, so that the pins spread both. */
uint32_t sync_crew_fill(sync_member *members, const sync_queue_kind *k, void *q, sync_run *r)
{
    uint32_t n = 0, p = 0, c = 0;
    while (p < r->producers || c < r->consumers) {
        if (p < r->producers)
            members[n++] =
                (sync_member){.work = work_produce, .kind = k, .queue = q, .id = p++, .run = r};
        if (c < r->consumers)
            members[n++] =
                (sync_member){.work = work_consume, .kind = k, .queue = q, .id = c++, .run = r};
    }
    r->producing = r->producers;
    return n;
}

uint64_t sync_crew_errors(const sync_member *members, uint32_t n, const sync_run *r)
{
    uint64_t got = 0, sum = 0, wrong = 0, want_sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        got += members[i].tally.n;
        sum += members[i].tally.sum;
        wrong += members[i].tally.wrong;
    }
    if (r->items == UINT64_MAX) return wrong + (got != r->promised);
    for (uint32_t p = 0; p < r->producers; p++) /* sum of sync_item(p, 1..items), modulo 2^64 */
        want_sum += r->items * ((uint64_t)(p + 1) << 41) + r->items * (r->items + 1);
    const uint64_t want = r->items * r->producers;
    return wrong + (got > want ? got - want : want - got) + (sum != want_sum);
}

uint32_t sync_pick(const sync_queue_kind *a, const sync_queue_kind *b, const char *only,
                   const sync_queue_kind *out[32])
{
    uint32_t n = 0;
    for (int i = 0; i < 2; i++)
        for (const sync_queue_kind *k = i ? b : a; k->name && n < 32; k++)
            if (!only || strstr(k->name, only)) out[n++] = k;
    return n;
}

static bool first_row = true;

void sync_row_name(const char *name, bool ours, const char *config)
{
    printf("%s\n {\"name\": \"%s\", \"config\": \"%s\", \"ours\": %s", first_row ? "" : ",", name,
           config, ours ? "true" : "false");
    first_row = false;
}

void sync_row_begin(const sync_queue_kind *k, const char *config)
{
    sync_row_name(k->name, k->ours, config);
    printf(", \"order\": \"%s\", \"progress\": \"%s\"", k->order, k->progress);
}

void sync_row_samples(const char *key, const double *samples, uint32_t n)
{
    printf(", \"%s\": [", key);
    for (uint32_t i = 0; i < n; i++) printf("%s%.6g", i ? ", " : "", samples[i]);
    printf("]");
}

void sync_row_end(uint64_t errors)
{
    printf(", \"errors\": %llu}", (unsigned long long)errors);
    (void)fflush(stdout);
}
