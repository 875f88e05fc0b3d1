/*
 * A trace read while it is written, and after its writer was killed: the account closes exactly,
 * what is read is whole and in order, at most one event a lane is missing.
 * T_TRACE_EVENTS=1000000000 makes the slow reader's test the long one (make soak-trace).
 */
#include "trace_scene.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define EVENTS 400000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define EVENTS 400000u
#endif
#endif
#ifndef EVENTS
#define EVENTS 5000000u /* of each of two writers */
#endif

typedef struct writer {
    lamina_trace *trace;
    const char *name;
    uint64_t n;
    uint32_t lane;
    lmn_atomic(uint32_t) done;
} writer;

static void *write_events(void *arg)
{
    writer *w = arg;
    lamina_trace_lane *lane = lamina_trace_take(w->trace, w->name);
    const uint32_t name = lamina_trace_name(w->trace, w->name, NULL);
    for (uint64_t n = 0; n < w->n; n++) scene_emit(lane, name, n);
    w->lane = ((lmn_lane *)lane)->index;
    lamina_trace_give(lane);
    lmn_atomic_store(&w->done, 1, release);
    return NULL;
}

/* Each event whole, those of a thread rising. */
static void check_batch(const lamina_trace_reader *r, uint64_t next[2])
{
    uint64_t bad = 0;
    for (size_t i = 0; i < r->n_events; i++) {
        const lmn_raw_event *e = &r->events[i];
        const uint32_t thread = (uint32_t)(e->w[LMN_EV_WHAT] >> 16) & 0xffff;
        uint64_t n;
        if (!scene_whole(e, &n) || thread > 1 || n < next[thread]) {
            bad++;
            continue;
        }
        next[thread] = n + 1;
    }
    T_EQ(bad, 0);
}

static void test_slow_reader(t_env *env)
{
    char path[512];
    lamina_trace *t = scene_trace(env, path, 4, 1024, false);
    T_REQUIRE(t);
    const char *want = getenv("T_TRACE_EVENTS");
    const uint64_t total = want ? strtoull(want, NULL, 10) : 2u * EVENTS;
    writer w[2] = {{.trace = t, .name = "even", .n = total / 2},
                   {.trace = t, .name = "odd", .n = total / 2}};
    lmn_thread thread[2];
    lamina_trace_reader *r = NULL;
    T_OK(lamina_trace_open(path, &env->alloc, &r, NULL));
    T_REQUIRE(r);
    for (int i = 0; i < 2; i++) T_OK(lmn_thread_start(&thread[i], write_events, &w[i]));
    uint64_t next[2] = {0, 0};
    bool last = false;
    for (;;) {
        T_OK(lamina_trace_poll(r, NULL));
        check_batch(r, next);
        if (last && r->n_events == 0) break;
        last = lmn_atomic_load(&w[0].done, acquire) && lmn_atomic_load(&w[1].done, acquire);
    }
    for (int i = 0; i < 2; i++) lmn_thread_join(&thread[i]);
    lamina_trace_info info = {.size = sizeof info};
    T_OK(lamina_trace_get_info(r, &info));
    T_EQ(info.n_emitted, total / 2 * 2);
    T_EQ(info.n_read + info.n_lost, total / 2 * 2);
    T_CHECK(info.n_read >= 1024);
    T_EQ(next[0] > next[1] ? next[0] : next[1], total / 2);
    printf("     %llu emitted = %llu read + %llu lost\n", (unsigned long long)info.n_emitted,
           (unsigned long long)info.n_read, (unsigned long long)info.n_lost);
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

/* ---- killed -----------------------------------------------------------------------------------
 */

#define LANES 2

/* Two lanes in turn; `count` says how many events of each are done, after each is. */
static void write_until_killed(const char *path, _Atomic uint64_t *count)
{
    lamina_trace *t;
    const lamina_trace_opts o = {.size = sizeof o, .n_lanes = LANES, .lane_events = 64};
    if (lamina_trace_create(path, &o, &t, NULL) != LAMINA_OK) _exit(1);
    lamina_trace_lane *lane[LANES];
    const uint32_t name = lamina_trace_name(t, "step", NULL);
    for (int i = 0; i < LANES; i++) lane[i] = lamina_trace_take(t, NULL);
    lmn_trace_inside(lane[0], 0, name, name);
    for (uint64_t n = 0;; n++)
        for (int i = 0; i < LANES; i++) {
            scene_emit(lane[i], name, n);
            lmn_atomic_store(&count[((lmn_lane *)lane[i])->index], n + 1, release);
        }
}

static void check_killed(t_env *env, const char *path, _Atomic uint64_t *count)
{
    lamina_trace_reader *r = NULL;
    lamina_error err;
    T_OK_ERR(lamina_trace_open(path, &env->alloc, &r, &err), &err);
    T_REQUIRE(r);
    T_OK_ERR(lamina_trace_poll(r, &err), &err);
    lamina_trace_info info = {.size = sizeof info};
    T_OK(lamina_trace_get_info(r, &info));
    T_EQ(info.state, LAMINA_TRACE_KILLED);
    T_EQ(info.n_read + info.n_lost, info.n_emitted);
    size_t n_inside = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        lamina_trace_lane_info l = {.size = sizeof l};
        T_OK(lamina_trace_get_lane(r, i, &l));
        const uint64_t done = lmn_atomic_load(&count[i], acquire);
        T_CHECK(l.n_emitted == done || l.n_emitted == done + 1);
        /* the ring is full but, at most, for the one that was being overwritten */
        T_CHECK(l.n_read >= (l.n_emitted < 63 ? l.n_emitted : 63));
        n_inside += l.n_inside;
        if (l.n_inside) T_STR_EQ(l.inside[0], "step");
    }
    T_EQ(n_inside, 1);
    for (size_t i = 0; i < r->n_events; i++) {
        uint64_t n;
        T_CHECK(scene_whole(&r->events[i], &n));
    }
    lamina_trace_close(r);
}

static void test_killed(t_env *env)
{
    char path[512];
    (void)t_path(env, "k.trace", path, sizeof path);
    _Atomic uint64_t *count =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(count != MAP_FAILED);
    for (int round = 0; round < 12; round++) {
        const uint64_t least = 1 + t_rand(env) % 3000;
        lmn_atomic_store(&count[0], 0, relaxed);
        lmn_atomic_store(&count[1], 0, relaxed);
        const pid_t pid = fork();
        if (pid == 0) write_until_killed(path, count);
        T_REQUIRE(pid > 0);
        int status = 0;
        while (lmn_atomic_load(&count[1], acquire) < least) {
            if (waitpid(pid, &status, WNOHANG) != 0) break;
            (void)sched_yield();
        }
        (void)kill(pid, SIGKILL);
        T_EQ(waitpid(pid, &status, 0), pid);
        T_CHECK(WIFSIGNALED(status));
        check_killed(env, path, count);
    }
    (void)munmap((void *)count, 4096);
}

/* ---- scribbled upon ---------------------------------------------------------------------------
 */

static void read_all(lamina_trace_reader *r)
{
    static char text[1 << 16];
    lamina_trace_event e = {.size = sizeof e};
    lamina_trace_info info = {.size = sizeof info};
    if (lamina_trace_poll(r, NULL) != LAMINA_OK) return;
    size_t n = 0;
    while (lamina_trace_next(r, &e) == LAMINA_OK) {
        n += strlen(e.name) + strlen(e.category) + strlen(e.thread_name);
        for (uint32_t k = 0; k < e.n_args; k++)
            if (e.args[k].type == 's') n += strlen(e.args[k].value.s);
    }
    T_OK(lamina_trace_get_info(r, &info));
    for (size_t i = 0; i < info.n_lanes; i++)
        T_OK(lamina_trace_get_lane(r, i, &(lamina_trace_lane_info){.size = 8}));
    for (size_t i = 0; i < info.n_metrics; i++)
        T_OK(lamina_trace_get_metric(
            r, i, &(lamina_trace_metric_info){.size = sizeof(lamina_trace_metric_info)}));
    for (size_t i = 0; i < info.n_knobs; i++)
        T_OK(lamina_trace_get_knob(
            r, i, &(lamina_trace_knob_info){.size = sizeof(lamina_trace_knob_info)}));
    T_CHECK(n + lamina_trace_openmetrics(r, text, sizeof text) > 0);
}

/* Another process writes anything anywhere, but for the magic: neither side faults. */
static void test_scribbled(t_env *env)
{
    char path[512];
    lamina_trace *t = scene_trace(env, path, 2, 64, true);
    T_REQUIRE(t);
    lamina_trace_lane *lane = lamina_trace_take(t, NULL);
    const uint32_t name = lamina_trace_name(t, "step", "cat(a:s,b:u)");
    lamina_trace_metric *m =
        lamina_trace_metric_get(t, LAMINA_TRACE_HISTOGRAM, "took", "seconds", 1e-9, "");
    lamina_trace_reader *r = NULL;
    T_OK(lamina_trace_open(path, &env->alloc, &r, NULL));
    T_REQUIRE(r);
    const uint64_t parts[] = {0,           t->at.lanes,   t->at.threads, t->at.names,
                              t->at.knobs, t->at.metrics, t->at.cells,   t->at.events};
    for (int round = 0; round < 3000; round++) {
        const uint64_t at = parts[t_rand(env) % T_COUNT(parts)] + t_rand(env) % 256;
        const uint64_t kind = t_rand(env) % 4;
        uint64_t bits = kind == 0 ? 0 : kind == 1 ? UINT64_MAX : t_rand(env);
        if (kind == 3) bits >>= t_rand(env) & 63;
        T_OK(lmn_os_patch(path, at, &bits, 1 + t_rand(env) % 8, NULL));
        for (uint64_t n = 0; n < 20; n++) scene_emit(lane, name, n);
        lamina_trace_count(m, bits);
        (void)lamina_trace_name(t, round & 1 ? "a" : "b", NULL);
        (void)lmn_trace_on(t, 1);
        (void)lamina_trace_knob_read(t, 1);
        read_all(r);
        lamina_trace_reader *again = NULL;
        if (round % 8 == 0 && lamina_trace_open(path, &env->alloc, &again, NULL) == LAMINA_OK) {
            read_all(again);
            lamina_trace_close(again);
        }
    }
    lamina_trace_close(r);
    lamina_trace_give(lane);
    lamina_trace_destroy(t);
}

/* Wrong files and cut ones. */
static void test_not_a_trace(t_env *env)
{
    char path[512], other[512];
    lamina_error err;
    lamina_trace_reader *r = T_UNTOUCHED;
    lamina_trace *t = scene_trace(env, path, 1, 16, false);
    T_REQUIRE(t);
    lamina_trace_destroy(t);
    static char page[4096];
    (void)t_write(env, "short", "x", 1, other, sizeof other);
    T_EQ(lamina_trace_open(other, &env->alloc, &r, &err), LAMINA_E_CORRUPT);
    (void)t_write(env, "zeros", page, sizeof page, other, sizeof other);
    T_EQ(lamina_trace_open(other, &env->alloc, &r, &err), LAMINA_E_CORRUPT);
    T_EQ(lamina_trace_open(env->dir, &env->alloc, &r, &err), LAMINA_E_IO);
    T_EQ(lamina_trace_open("/nonexistent", &env->alloc, &r, &err), LAMINA_E_IO);
    T_CHECK(r == T_UNTOUCHED);
    T_OK(lamina_trace_open(path, &env->alloc, &r, &err));
    T_EQ(truncate(path, 8192), 0);
    T_EQ(lamina_trace_poll(r, &err), LAMINA_E_IO);
    lamina_trace_close(r);
    r = T_UNTOUCHED;
    T_EQ(lamina_trace_open(path, &env->alloc, &r, &err), LAMINA_E_CORRUPT);
    T_CHECK(strstr(err.msg, "was cut"));
    const uint32_t version = 7;
    T_OK(lmn_os_patch(path, 8, &version, 4, NULL));
    T_EQ(lamina_trace_open(path, &env->alloc, &r, &err), LAMINA_E_VERSION);
    T_CHECK(r == T_UNTOUCHED);
}

T_MAIN(T_TEST(test_slow_reader), T_TEST(test_killed), T_TEST(test_scribbled),
       T_TEST(test_not_a_trace))
