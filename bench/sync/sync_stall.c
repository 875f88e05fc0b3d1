/*
 * One consumer of three stops in the middle of a pop, at full rate: how much does the queue hold
 * back, and do the others get on? A signal handler that waits stops the one thread (SIGSTOP would
 * stop them all). Before and after, in the same run, that consumer sleeps outside the queue: what
 * the others do then is the 100 %.
 */
#include "sync_crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PRODUCERS 2
#define CONSUMERS 3
#define STALLED 0 /* the consumer's id */

typedef struct scene {
    const sync_queue_kind *kind;
    void *queue;
    sync_run *run;
    sync_member *members;
    uint32_t stalled_member;
    double seconds;
    double
        rate[3]; /* M items/s of the others: before, while it sleeps outside, while it is stuck */
    size_t most, bound;
    bool stuck;
} scene;

/* Of the handler: async-signal-safe words alone. */
static struct {
    const sync_queue_kind *kind;
    void *queue;
    uint32_t hold;    /* 1: stop here */
    uint32_t outside; /* not in the middle of a pop, else in it */
    uint32_t holding; /* it has */
} stopper;

static void on_signal(int number)
{
    (void)number;
    const bool outside = __atomic_load_n(&stopper.outside, __ATOMIC_ACQUIRE) != 0;
    if (stopper.kind->inside && stopper.kind->inside(stopper.queue, STALLED) == outside)
        return; /* not where it shall stop: another signal comes */
    __atomic_store_n(&stopper.holding, 1, __ATOMIC_RELEASE);
    const struct timespec nap = {0, 1000000};
    while (__atomic_load_n(&stopper.hold, __ATOMIC_ACQUIRE)) (void)nanosleep(&nap, NULL);
    __atomic_store_n(&stopper.holding, 0, __ATOMIC_RELEASE);
}

static uint64_t taken_by_others(const scene *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < PRODUCERS + CONSUMERS; i++)
        if (i != s->stalled_member) n += __atomic_load_n(&s->members[i].tally.n, __ATOMIC_RELAXED);
    return n;
}

/* M items/s of the others over a while; the most garbage seen goes to the scene. */
static double watch(scene *s, double seconds)
{
    const uint64_t start = sync_ns(), from = taken_by_others(s);
    const struct timespec nap = {0, 5000000};
    while ((double)(sync_ns() - start) < 1e9 * seconds) {
        (void)nanosleep(&nap, NULL);
        if (!s->kind->garbage) continue;
        const size_t n = s->kind->garbage(s->queue, &s->bound);
        if (n > s->most) s->most = n;
    }
    return 1e3 * (double)(taken_by_others(s) - from) / (double)(sync_ns() - start);
}

/* Hold the consumer inside the queue, or outside, and watch. */
static double hold(scene *s, bool outside, double seconds)
{
    const struct timespec nap = {0, 200000};
    __atomic_store_n(&stopper.outside, outside, __ATOMIC_RELEASE);
    __atomic_store_n(&stopper.hold, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 20000 && !__atomic_load_n(&stopper.holding, __ATOMIC_ACQUIRE); i++) {
        (void)pthread_kill((pthread_t)sync_crew_thread(s->stalled_member), SIGUSR1);
        (void)nanosleep(&nap, NULL);
    }
    if (!outside) s->stuck = __atomic_load_n(&stopper.holding, __ATOMIC_ACQUIRE) != 0;
    const double rate = watch(s, seconds);
    __atomic_store_n(&stopper.hold, 0, __ATOMIC_RELEASE);
    while (__atomic_load_n(&stopper.holding, __ATOMIC_ACQUIRE)) (void)nanosleep(&nap, NULL);
    return rate;
}

static void act(void *ctx)
{
    scene *s = ctx;
    s->rate[0] = hold(s, true, s->seconds / 2);
    s->rate[1] = hold(s, false, s->seconds);
    s->rate[2] = hold(s, true, s->seconds / 2);
    __atomic_store_n(&s->run->stop, 1, __ATOMIC_RELEASE);
}

bool sync_stall(const sync_options *o)
{
    const sync_queue_kind *kind[32];
    const uint32_t n = sync_pick(sync_mpmc_ours, sync_mpmc_peers, o->only, kind);
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    bool ok = true;
    (void)sigaction(SIGUSR1, &action, NULL);
    for (uint32_t i = 0; i < n; i++) {
        sync_member members[SYNC_MAX_THREADS];
        sync_run r = {.items = UINT64_MAX, .producers = PRODUCERS, .consumers = CONSUMERS};
        scene s = {
            .kind = kind[i], .queue = kind[i]->make(SYNC_RING), .run = &r, .members = members};
        const uint32_t crew = sync_crew_fill(members, kind[i], s.queue, &r);
        for (uint32_t k = 0; k < crew; k++) {
            const bool consumer = members[k].work != members[0].work;
            if (consumer && members[k].id == STALLED) s.stalled_member = k;
        }
        s.seconds = o->seconds;
        stopper.kind = kind[i];
        stopper.queue = s.queue;
        (void)sync_crew_run_with(members, crew, act, &s);
        const uint64_t errors = sync_crew_errors(members, crew, &r);
        sync_row_begin(kind[i], "2:3, one stuck");
        sync_row_samples("m_per_s", s.rate, 3);
        printf(", \"stuck\": %s", s.stuck ? "true" : "false");
        if (kind[i]->garbage) printf(", \"garbage\": %zu, \"bound\": %zu", s.most, s.bound);
        sync_row_end(errors);
        ok = ok && errors == 0;
        kind[i]->destroy(s.queue);
    }
    return ok;
}
