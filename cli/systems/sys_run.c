/*
 * The runner: rounds of one sample a case, statistics, and the threads, clocks and files that the
 * subjects use. Threads wait for their start by yielding: there may be more of them than cores.
 */
#include "sys_bench.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double clock_ns(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return 1e9 * (double)ts.tv_sec + (double)ts.tv_nsec;
}

double sys_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

double sys_loop_ns(uint64_t (*loop)(void *state, int arg), void *state, int arg, double n)
{
    const double from = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    double ns;
    int turns = 0;
    do {
        sys_keep(loop(state, arg));
        turns++;
        ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - from;
    } while (ns < 1e6);
    return ns / (n * turns);
}

/* SplitMix64. */
uint64_t sys_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- processors and threads ------------------------------------------------------------------ */

int sys_cpus(int *cpus, int cap)
{
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (int c = 0; c < CPU_SETSIZE && n < cap; c++)
        if (CPU_ISSET(c, &set)) cpus[n++] = c;
    return n;
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

typedef struct start {
    atomic_int ready, go; /* go: 1 run, -1 leave */
} start;

typedef struct runner {
    pthread_t thread;
    sys_part *part;
    start *start;
    int index, cpu;
} runner;

static void *run_part(void *arg)
{
    runner *r = arg;
    int go;
    if (r->cpu >= 0) pin(r->cpu);
    atomic_fetch_add(&r->start->ready, 1);
    while ((go = atomic_load_explicit(&r->start->go, memory_order_acquire)) == 0)
        (void)sched_yield();
    if (go > 0) r->part->ns = r->part->work(r->part->ctx, r->index);
    return NULL;
}

bool sys_together(sys_part *parts, int n)
{
    runner runners[256];
    int cpus[256], started = 0;
    start s = {0};
    const int n_cpus = sys_cpus(cpus, 256);
    if (n > 256) return false;
    for (; started < n; started++) {
        runner *r = &runners[started];
        *r = (runner){.part = &parts[started], .start = &s, .index = started};
        r->cpu = parts[started].cpu >= 0 ? parts[started].cpu
                 : n_cpus                ? cpus[started % n_cpus]
                                         : -1;
        if (pthread_create(&r->thread, NULL, run_part, r) != 0) break;
    }
    while (atomic_load(&s.ready) != started) (void)sched_yield();
    atomic_store_explicit(&s.go, started == n ? 1 : -1, memory_order_release);
    for (int i = 0; i < started; i++) (void)pthread_join(runners[i].thread, NULL);
    return started == n;
}

/* ---- the distance between processors ----------------------------------------------------------
 */

#define MOST_TRIPS 4096

typedef struct ball {
    _Alignas(SYS_APART) atomic_uint word;
    _Alignas(SYS_APART) int trips;
    double trip[MOST_TRIPS];
} ball;

static void await(atomic_uint *word, unsigned value)
{
    for (unsigned spins = 1; atomic_load_explicit(word, memory_order_acquire) != value; spins++)
        if (spins % 4096 == 0) (void)sched_yield();
}

/* Side 0 throws odd words and notes the time, side 1 answers with even ones. */
static double play(void *ctx, int side)
{
    ball *b = ctx;
    for (unsigned i = 0; i < (unsigned)b->trips; i++) {
        if (side == 1) {
            await(&b->word, 2 * i + 1);
            atomic_store_explicit(&b->word, 2 * i + 2, memory_order_release);
            continue;
        }
        const double from = sys_now_ns();
        atomic_store_explicit(&b->word, 2 * i + 1, memory_order_release);
        await(&b->word, 2 * i + 2);
        b->trip[i] = sys_now_ns() - from;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Two looks at the clock in a row cost this much. */
static double clock_cost(void)
{
    double d[101];
    for (int i = 0; i < 101; i++) {
        const double from = sys_now_ns();
        d[i] = sys_now_ns() - from;
    }
    qsort(d, 101, sizeof *d, by_value);
    return d[50];
}

double sys_trip_ns(int cpu_a, int cpu_b, int trips)
{
    ball *b = aligned_alloc(SYS_APART, sizeof *b);
    if (!b) return NAN;
    memset(b, 0, sizeof *b);
    b->trips = trips < 1 ? 1 : trips > MOST_TRIPS ? MOST_TRIPS : trips;
    sys_part parts[2] = {{play, b, cpu_a, 0}, {play, b, cpu_b, 0}};
    double ns = NAN;
    if (sys_together(parts, 2)) {
        qsort(b->trip, (size_t)b->trips, sizeof *b->trip, by_value);
        ns = b->trip[b->trips / 2] - clock_cost();
        if (ns < 1) ns = 1;
    }
    free(b);
    return ns;
}

static sys_place place(bool shared)
{
    int cpus[64];
    sys_place p = {.cpus = sys_cpus(cpus, 64), .placement = "one processor"};
    if (getloadavg(&p.load, 1) != 1) p.load = -1;
    if (!shared) p.placement = NULL;
    if (!shared || p.cpus < 2) return p;
    p.trip_ns = sys_trip_ns(cpus[0], cpus[1], 2000);
    p.placement = p.trip_ns < 120 ? "near" : p.trip_ns > 180 ? "far" : "between near and far";
    return p;
}

/* ---- rounds -----------------------------------------------------------------------------------
 */

void sys_add(sys_run *r, double (*sample)(void *, int), int arg, const char *why, const char *fmt,
             ...)
{
    if (r->n == SYS_MAX_CASES) return;
    sys_case *c = &r->cases[r->n++];
    *c = (sys_case){.sample = sample, .arg = arg, .why = why};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->name, sizeof c->name, fmt, ap);
    va_end(ap);
}

static void quantiles(sys_case *c)
{
    if (!c->n) return;
    qsort(c->samples, (size_t)c->n, sizeof *c->samples, by_value);
    c->median = c->samples[c->n / 2];
    c->q1 = c->samples[c->n / 4];
    c->q3 = c->samples[c->n - 1 - c->n / 4];
    c->least = c->samples[0];
    c->most = c->samples[c->n - 1];
}

/* Which cases cannot be told from the best by their quartiles. */
static void compare(sys_run *r)
{
    const sys_case *best = NULL;
    for (int i = 0; i < r->n; i++) {
        const sys_case *c = &r->cases[i];
        if (c->n && (!best || (r->subject->more_is_better ? c->median > best->median
                                                          : c->median < best->median)))
            best = c;
    }
    for (int i = 0; best && i < r->n; i++) {
        sys_case *c = &r->cases[i];
        c->overlaps = c != best && c->n && c->q1 <= best->q3 && best->q1 <= c->q3;
    }
}

static void rounds(sys_run *r, void *state, double seconds)
{
    bool cannot[SYS_MAX_CASES] = {false};
    const double start = cli_now_s();
    for (; r->rounds < SYS_MAX_ROUNDS; r->rounds++) {
        if (r->rounds >= 3 && cli_now_s() - start >= seconds) break;
        for (int i = 0; i < r->n; i++) {
            const int k = (i + r->rounds) % r->n;
            sys_case *c = &r->cases[k];
            if (cannot[k]) continue;
            const double v = c->sample(state, c->arg);
            if (isfinite(v))
                c->samples[c->n++] = v;
            else
                cannot[k] = c->n == 0;
        }
    }
    r->seconds = cli_now_s() - start;
    for (int i = 0; i < r->n; i++) quantiles(&r->cases[i]);
    compare(r);
}

int sys_measure(sys_run *r, double seconds)
{
    void *state = NULL;
    if (!r->subject->begin(r, &state)) return CLI_FAULT;
    int rc = CLI_OK;
    for (int i = 0; i < r->n && rc == CLI_OK; i++) {
        r->cases[i].samples = malloc(SYS_MAX_ROUNDS * sizeof(double));
        if (!r->cases[i].samples) rc = cli_fail("out of memory");
    }
    cli_progress *progress = cli_progress_start("measuring", r->subject->name);
    if (rc == CLI_OK) {
        r->before = place(r->subject->shared);
        for (int i = 0; i < r->n; i++) (void)r->cases[i].sample(state, r->cases[i].arg); /* warm */
        rounds(r, state, seconds);
        r->after = place(r->subject->shared);
    }
    cli_progress_stop(progress);
    r->subject->end(state);
    return rc;
}

void sys_release(sys_run *r)
{
    for (int i = 0; i < r->n; i++) free(r->cases[i].samples);
}

int sys_temporary(size_t bytes)
{
    const char *folders[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    char path[512];
    int fd = -1;
    for (int i = 0; i < 3 && fd < 0; i++) {
        if (!folders[i] || !*folders[i]) continue;
        (void)snprintf(path, sizeof path, "%.480s/lamina-bench-XXXXXX", folders[i]);
        fd = mkstemp(path);
    }
    if (fd < 0) return (void)cli_fail("no file can be made in TMPDIR, /var/tmp or /tmp"), -1;
    (void)unlink(path);
    static uint64_t block[8192];
    uint64_t seed = 1;
    for (size_t i = 0; i < 8192; i++) block[i] = sys_random(&seed);
    for (size_t done = 0; done < bytes;) {
        const size_t n = bytes - done < sizeof block ? bytes - done : sizeof block;
        block[0] = done;
        const ssize_t w = write(fd, block, n);
        if (w <= 0) {
            (void)close(fd);
            return (void)cli_fail("%s: no room for %zu bytes", path, bytes), -1;
        }
        done += (size_t)w;
    }
    return fd;
}
