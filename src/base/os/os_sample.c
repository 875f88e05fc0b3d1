/*
 * POSIX timers on the CPU clocks of threads, and the handler of their signal.
 */
#include "base/os/os_sample.h"

#include "base/os/os_crash.h"
#include "base/os/os_publish.h"
#include "base/os/os_self.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOTS 256u
#define THREADS 1024u
#define TAG "sampler"

enum { FREE, FILLING, FULL };

/* A thread that has its timer. */
typedef struct watched {
    uint32_t tid;
    timer_t timer;
} watched;

struct lmn_sampler {
    const lamina_allocator *alloc;
    lmn_sample_hook *hook;
    void *ctx;
    uint64_t interval_ns;
    uint32_t own; /* thread that takes the samples */
    uint32_t n_watched, n_unseen;
    bool quiet;                        /* no handler is inside any more */
    lmn_atomic(uint32_t) next, inside; /* slot to try first; handlers that run */
    lmn_atomic(uint64_t) lost;
    watched watched[THREADS];
    lmn_sample slot[SLOTS];
};

/* --- the handler --- */

/* From the interrupted place outwards: the handler's own calls stand before it. */
static void walk(lmn_sample *m, uintptr_t pc)
{
    void *all[LMN_SAMPLE_FRAMES + 6];
    const int n = backtrace(all, (int)LMN_COUNT(all));
    int from = 0;
    while (from < n && (uintptr_t)all[from] != pc) from++;
    m->n = 0;
    m->cut = n == (int)LMN_COUNT(all);
    if (from == n) m->pc[m->n++] = pc; /* no way out of there was found: the place alone */
    for (int i = from; i < n && m->n < LMN_SAMPLE_FRAMES; i++) m->pc[m->n++] = (uintptr_t)all[i];
}

static lmn_sample *free_slot(lmn_sampler *s)
{
    for (uint32_t i = 0; i < 8; i++) {
        lmn_sample *m = &s->slot[lmn_atomic_add(&s->next, 1, relaxed) % SLOTS];
        uint32_t is_free = FREE;
        if (lmn_atomic_cas(&m->state, &is_free, FILLING, acquire)) return m;
    }
    return NULL;
}

static void interrupted(int signo, siginfo_t *info, void *context)
{
    const int e = errno;
    lmn_sampler *s = info->si_code == SI_TIMER ? info->si_value.sival_ptr : NULL;
    (void)signo;
    if (!s) return;
    (void)lmn_atomic_add(&s->inside, 1, acquire);
    lmn_sample *m = free_slot(s);
    if (m) {
        m->tid = lmn_self_tid();
        lmn_os_thread_name(m->thread);
        memset(m->note, 0, sizeof m->note);
        if (s->hook) s->hook(s->ctx, m->note);
        walk(m, lmn_interrupted_pc(context));
        lmn_atomic_store(&m->state, FULL, release);
    } else {
        (void)lmn_atomic_add(&s->lost, 1, relaxed);
    }
    (void)lmn_atomic_sub(&s->inside, 1, release);
    errno = e;
}

/* --- timers --- */

/* The CPU clock of a thread, as the kernel numbers them. */
static clockid_t clock_of(uint32_t tid)
{
    return (clockid_t)(~tid << 3 | 6u);
}

static bool watch(lmn_sampler *s, uint32_t tid)
{
    watched *w = &s->watched[s->n_watched];
    struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    const struct timespec every = {(time_t)(s->interval_ns / 1000000000u),
                                   (long)(s->interval_ns % 1000000000u)};
    const struct itimerspec t = {every, every};
    e.sigev_value.sival_ptr = s;
    e._sigev_un._tid = (pid_t)tid;
    if (s->n_watched == THREADS || timer_create(clock_of(tid), &e, &w->timer) != 0) return false;
    w->tid = tid;
    s->n_watched++;
    return timer_settime(w->timer, 0, &t, NULL) == 0;
}

static bool is_watched(const lmn_sampler *s, uint32_t tid)
{
    uint32_t i = 0;
    while (i < s->n_watched && s->watched[i].tid != tid) i++;
    return i < s->n_watched;
}

void lmn_sampler_look(lmn_sampler *s)
{
    DIR *d = opendir("/proc/self/task");
    s->n_unseen = 0;
    if (!d) return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        const uint32_t tid = (uint32_t)strtoul(e->d_name, NULL, 10);
        if (tid && tid != s->own && !is_watched(s, tid) && !watch(s, tid)) s->n_unseen++;
    }
    (void)closedir(d);
}

/* Signals that are under way are dropped; one that came later would find nobody and do no harm. */
static void ignore_signal(void)
{
    struct sigaction a = {0};
    a.sa_handler = SIG_IGN;
    (void)sigaction(SIGPROF, &a, NULL);
}

void lmn_sampler_prepare(void)
{
    void *first[2];
    (void)backtrace(first, 2);
}

lamina_status lmn_sampler_start(const lamina_allocator *alloc, uint64_t interval_ns,
                                lmn_sample_hook *hook, void *ctx, lmn_sampler **out,
                                lamina_error *err)
{
    struct sigaction a = {0}, old;
    if (sigaction(SIGPROF, NULL, &old) != 0 || (old.sa_flags & SA_SIGINFO) ||
        (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN))
        return lmn_fail(err, LAMINA_E_BUSY, "another profiler of this process uses SIGPROF");
    lmn_sampler *s = lmn_calloc(alloc, 1, sizeof *s, TAG);
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a sampler");
    s->alloc = alloc;
    s->hook = hook;
    s->ctx = ctx;
    s->interval_ns = interval_ns;
    s->own = lmn_self_tid();
    lmn_sampler_prepare();
    a.sa_sigaction = interrupted;
    a.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    (void)sigfillset(&a.sa_mask);
    if (sigaction(SIGPROF, &a, NULL) != 0) {
        const int e = errno;
        lmn_cfree(alloc, s, 1, sizeof *s, TAG);
        return lmn_fail_os(err, LAMINA_E_OS, e, "cannot handle SIGPROF");
    }
    lmn_sampler_look(s);
    *out = s;
    return LAMINA_OK;
}

void lmn_sampler_take(lmn_sampler *s, void (*each)(void *ctx, const lmn_sample *m), void *ctx)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        lmn_sample *m = &s->slot[i];
        if (lmn_atomic_load(&m->state, acquire) != FULL) continue;
        each(ctx, m);
        lmn_atomic_store(&m->state, FREE, release);
    }
}

/* CPU time of a thread; 0: it is gone. */
static uint64_t spent(uint32_t tid)
{
    struct timespec t;
    if (clock_gettime(clock_of(tid), &t) != 0) return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Is it asleep or gone? */
static bool rests(uint32_t tid)
{
    char path[64], text[200];
    (void)snprintf(path, sizeof path, "/proc/self/task/%u/stat", tid);
    FILE *f = fopen(path, "re");
    if (!f) return true;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = 0;
    const char *end = strrchr(text, ')'); /* of its name */
    return end && end[1] == ' ' && (end[2] == 'S' || end[2] == 'Z' || end[2] == 'X');
}

/* A thread that got a signal may not have run the first instruction of its handler yet. It has when
 * it slept since, or computed for a millisecond. False: it is stopped, or the machine is. */
static bool await_quiet(const lmn_sampler *s)
{
    uint64_t from[THREADS];
    uint32_t left = s->n_watched;
    for (uint32_t i = 0; i < s->n_watched; i++) from[i] = spent(s->watched[i].tid);
    for (int turn = 0; left && turn < 2000; turn++) {
        left = 0;
        for (uint32_t i = 0; i < s->n_watched; i++) {
            const uint32_t tid = s->watched[i].tid;
            if (from[i] && (rests(tid) || spent(tid) > from[i] + 1000000u)) from[i] = 0;
            left += from[i] != 0;
        }
        if (left) lmn_sleep_ms(1);
    }
    for (int turn = 0; turn < 2000 && lmn_atomic_load(&s->inside, acquire); turn++) lmn_sleep_ms(1);
    return !left && !lmn_atomic_load(&s->inside, acquire);
}

void lmn_sampler_stop(lmn_sampler *s)
{
    for (uint32_t i = 0; i < s->n_watched; i++) (void)timer_delete(s->watched[i].timer);
    ignore_signal();
    s->quiet = await_quiet(s);
}

uint64_t lmn_sampler_lost(const lmn_sampler *s)
{
    return lmn_atomic_load(&s->lost, relaxed);
}

uint32_t lmn_sampler_unseen(const lmn_sampler *s)
{
    return s->n_unseen;
}

void lmn_sampler_end(lmn_sampler *s)
{
    if (s && s->quiet) lmn_cfree(s->alloc, s, 1, sizeof *s, TAG);
}
