/*
 * Writing and reading a trace in one process: names, forms, threads, lanes, metrics, knobs, all
 * allocations failing in turn, and a child after fork.
 */
#include "trace/trace_hook.h"
#include "trace_scene.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

static lamina_trace_reader *open_reader(t_env *env, const char *path)
{
    lamina_error err;
    lamina_trace_reader *r = NULL;
    T_OK_ERR(lamina_trace_open(path, &env->alloc, &r, &err), &err);
    if (r) T_OK_ERR(lamina_trace_poll(r, &err), &err);
    return r;
}

static lamina_trace_info info_of(lamina_trace_reader *r)
{
    lamina_trace_info i = {.size = sizeof i};
    T_OK(lamina_trace_get_info(r, &i));
    return i;
}

static void test_events(t_env *env)
{
    char path[512];
    lamina_trace *t = scene_trace(env, path, 2, 64, false);
    T_REQUIRE(t);
    const uint32_t run = lamina_trace_name(t, "run", "session(number:u,model:s,gain:f,off:i)");
    const uint32_t model = lamina_trace_name(t, "net\n.onnx", NULL);
    T_EQ(lamina_trace_name(t, "run", "session(number:u,model:s,gain:f,off:i)"), run);
    T_CHECK(lamina_trace_name(t, "run", NULL) != run);
    T_EQ(lamina_trace_name(t, "", NULL), 0);
    T_EQ(lamina_trace_name(NULL, "x", NULL), 0);
    lamina_trace_lane *lane = lamina_trace_take(t, "main");
    T_REQUIRE(lane);
    const uint64_t start = lamina_trace_now(t);
    uint64_t args[4] = {7, model, 0, (uint64_t)-5};
    const double gain = 0.5;
    memcpy(&args[2], &gain, sizeof gain);
    lamina_trace_emit(lane, LAMINA_TRACE_SPAN, run, start, args, 4);
    lamina_trace_emit(lane, LAMINA_TRACE_VALUE, model, 0, &args[2], 1);
    lamina_trace_emit(lane, LAMINA_TRACE_MARK, 999999, 0, NULL, 0);
    lamina_trace_give(lane);

    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    lamina_trace_event e = {.size = sizeof e};
    T_OK(lamina_trace_next(r, &e));
    T_EQ(e.kind, LAMINA_TRACE_SPAN);
    T_STR_EQ(e.name, "run");
    T_STR_EQ(e.category, "session");
    T_STR_EQ(e.thread_name, "main");
    T_EQ(e.n_args, 4);
    T_STR_EQ(e.args[0].name, "number");
    T_EQ(e.args[0].value.u, 7);
    T_STR_EQ(e.args[1].value.s, "net?.onnx");
    T_CHECK(e.args[2].value.f == 0.5);
    T_EQ(e.args[3].value.i, -5);
    T_CHECK(e.dur_ns < 10000000000u && e.time_ns < 60000000000u);
    T_OK(lamina_trace_next(r, &e));
    T_EQ(e.kind, LAMINA_TRACE_VALUE);
    T_CHECK(e.value == 0.5);
    T_OK(lamina_trace_next(r, &e));
    T_STR_EQ(e.name, "?");
    T_EQ(lamina_trace_next(r, &e), LAMINA_E_AGAIN);
    lamina_trace_info i = info_of(r);
    T_EQ(i.state, LAMINA_TRACE_RUNNING);
    T_EQ(i.pid, getpid());
    T_EQ(i.n_emitted, 3);
    T_EQ(i.n_read, 3);
    T_EQ(i.n_lost, 0);
    lamina_trace_destroy(t);
    T_OK(lamina_trace_poll(r, NULL));
    T_EQ(info_of(r).state, LAMINA_TRACE_ENDED);
    lamina_trace_close(r);
}

static void test_lanes(t_env *env)
{
    char path[512];
    lamina_trace *t = scene_trace(env, path, 2, 16, false);
    T_REQUIRE(t);
    lamina_trace_lane *a = lamina_trace_take(t, NULL), *b = lamina_trace_take(t, "handler");
    T_CHECK(a && b && a != b);
    T_CHECK(lamina_trace_take(t, NULL) == NULL);
    lamina_trace_emit(NULL, LAMINA_TRACE_MARK, 1, 0, NULL, 0);
    lamina_trace_give(NULL);
    const uint32_t node = lamina_trace_name(t, "Conv", NULL), of = lamina_trace_name(t, "c1", NULL);
    lmn_trace_inside(a, 0, node, of);
    for (uint64_t n = 0; n < 40; n++) scene_emit(a, node, n);
    lamina_trace_give(b);
    T_CHECK(lamina_trace_take(t, NULL) == b);

    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    lamina_trace_info i = info_of(r);
    T_EQ(i.n_emitted, 40);
    T_EQ(i.n_read, 16);
    T_EQ(i.n_lost, 24);
    T_EQ(i.n_no_lane, 1);
    for (size_t k = 0; k < r->n_events; k++) {
        uint64_t n;
        T_CHECK(scene_whole(&r->events[k], &n) && n == 24 + k);
    }
    bool found = false;
    for (size_t k = 0; k < 2; k++) {
        lamina_trace_lane_info l = {.size = sizeof l};
        T_OK(lamina_trace_get_lane(r, k, &l));
        if (l.n_emitted != 40) continue;
        found = true;
        T_EQ(l.n_inside, 1);
        T_STR_EQ(l.inside[0], "Conv");
        T_STR_EQ(l.inside_of[0], "c1");
    }
    T_CHECK(found);
    T_EQ(lamina_trace_get_lane(r, 2, &(lamina_trace_lane_info){.size = 8}), LAMINA_E_RANGE);
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void test_histogram(t_env *env)
{
    uint32_t last = 0;
    for (int k = 0; k < 20000; k++) {
        const uint64_t v = t_rand(env) >> (t_rand(env) & 63);
        const uint32_t b = lmn_hist_bucket(v);
        T_CHECK(b < LMN_HIST_BUCKETS && lmn_hist_floor(b) <= v);
        T_CHECK(b + 1 == LMN_HIST_BUCKETS || lmn_hist_floor(b + 1) > v);
        last = b > last ? b : last;
    }
    T_EQ(lmn_hist_bucket(UINT64_MAX), LMN_HIST_BUCKETS - 1);
    T_EQ(lmn_hist_bucket(15), 15);
    T_EQ(lmn_hist_bucket(16), 16);
}

static void test_metrics(t_env *env)
{
    char path[512], text[8192];
    lamina_trace *t = scene_trace(env, path, 1, 16, false);
    T_REQUIRE(t);
    lamina_trace_metric *runs =
        lamina_trace_metric_get(t, LAMINA_TRACE_COUNTER, "runs", "", 1, "Runs \"all\"");
    lamina_trace_metric *depth =
        lamina_trace_metric_get(t, LAMINA_TRACE_GAUGE, "depth", "", 1, "Depth");
    lamina_trace_metric *took = lamina_trace_metric_get(t, LAMINA_TRACE_HISTOGRAM, "took",
                                                        "seconds", 1e-9, "Time of a run");
    T_REQUIRE(runs && depth && took);
    T_CHECK(lamina_trace_metric_get(t, LAMINA_TRACE_COUNTER, "runs", "", 1, "") == runs);
    T_CHECK(!lamina_trace_metric_get(t, LAMINA_TRACE_GAUGE, "runs", "", 1, ""));
    T_CHECK(!lamina_trace_metric_get(t, LAMINA_TRACE_GAUGE, "0runs", "", 1, ""));
    T_CHECK(!lamina_trace_metric_get(t, LAMINA_TRACE_GAUGE, "a b", "", 1, ""));
    T_CHECK(!lamina_trace_metric_get(t, 9, "runs2", "", 1, ""));
    T_CHECK(!lamina_trace_metric_get(t, LAMINA_TRACE_GAUGE, "nan", "", NAN, ""));
    lamina_trace_count(NULL, 1);
    lamina_trace_count(runs, 3);
    lamina_trace_count(runs, 2);
    lamina_trace_count(depth, (uint64_t)-7);
    for (uint64_t v = 1; v <= 1000; v++) lamina_trace_count(took, v * 1000);
    int n = 0;
    while (lamina_trace_metric_get(t, LAMINA_TRACE_HISTOGRAM,
                                   (char[]){'h', (char)('a' + n % 26), (char)('a' + n / 26), 0}, "",
                                   1, ""))
        n++;
    T_EQ(n, LMN_TRACE_N_CELLS / (1 + LMN_HIST_BUCKETS) - 1);

    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    lamina_trace_metric_info m = {.size = sizeof m};
    T_OK(lamina_trace_get_metric(r, 0, &m));
    T_CHECK(m.value == 5);
    T_OK(lamina_trace_get_metric(r, 1, &m));
    T_CHECK(m.value == -7);
    T_OK(lamina_trace_get_metric(r, 2, &m));
    T_EQ(m.count, 1000);
    T_NEAR(m.p50, 500e-6, 500e-6 / 30);
    T_NEAR(m.p99, 990e-6, 990e-6 / 30);
    T_NEAR(m.most, 1e-3, 1e-3 / 30);
    const size_t all = lamina_trace_openmetrics(r, text, sizeof text);
    T_EQ(strlen(text), all);
    T_CHECK(strstr(text, "# TYPE runs counter\n# HELP runs Runs \\\"all\\\"\nruns_total 5\n"));
    T_CHECK(strstr(text, "# TYPE depth gauge\n# HELP depth Depth\ndepth -7\n"));
    T_CHECK(strstr(text, "# UNIT took_seconds seconds\n"));
    T_CHECK(strstr(text, "took_seconds_bucket{le=\"+Inf\"} 1000\ntook_seconds_count 1000\n"));
    T_CHECK(strcmp(text + all - 6, "# EOF\n") == 0);
    char less[10];
    T_EQ(lamina_trace_openmetrics(r, less, sizeof less), all);
    T_EQ(strlen(less), 9);
    T_EQ(lamina_trace_openmetrics(r, NULL, 0), all);
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void test_knobs(t_env *env)
{
    char path[512];
    lamina_error err;
    lamina_trace *t = scene_trace(env, path, 1, 16, true);
    T_REQUIRE(t);
    const uint32_t cap = lamina_trace_knob_make(t, "batch.cap", "largest batch", true, 1, 64, 8);
    T_EQ(cap, 2);
    T_EQ(lamina_trace_knob_make(t, "batch.cap", "", true, 1, 64, 8), cap);
    T_EQ(lamina_trace_knob_make(t, "odd", "", false, 1, 0, 0), 0);
    T_CHECK(lamina_trace_knob_read(t, cap) == 8);
    T_OK_ERR(lamina_trace_knob_set(path, "batch.cap", 32, &err), &err);
    T_CHECK(lamina_trace_knob_read(t, cap) == 32);
    T_EQ(lamina_trace_knob_set(path, "batch.cap", 65, &err), LAMINA_E_RANGE);
    T_EQ(lamina_trace_knob_set(path, "batch.cap", 2.5, &err), LAMINA_E_INVALID);
    T_EQ(lamina_trace_knob_set(path, "batch.cap", NAN, &err), LAMINA_E_RANGE);
    T_EQ(lamina_trace_knob_set(path, "no such", 1, &err), LAMINA_E_INVALID);
    const double wild[] = {NAN, INFINITY, -INFINITY, 1e300, 2.5};
    lmn_trace_knob *shared = (lmn_trace_knob *)(void *)(t->file.p + t->at.knobs) + cap - 1;
    for (size_t i = 0; i < T_COUNT(wild); i++) { /* somebody scribbles */
        uint64_t bits;
        memcpy(&bits, &wild[i], sizeof bits);
        lmn_atomic_store(&shared->value, bits, relaxed);
        const double v = lamina_trace_knob_read(t, cap);
        T_CHECK(v >= 1 && v <= 64 && v == floor(v));
    }
    T_CHECK(lmn_trace_on(t, LAMINA_TRACE_LEVEL_NODES) && !lmn_trace_on(t, 3));
    T_OK(lamina_trace_knob_set(path, "trace.level", 0, NULL));
    T_CHECK(!lmn_trace_on(t, LAMINA_TRACE_LEVEL_RUNS));
    lamina_trace_destroy(t);
    t = scene_trace(env, path, 1, 16, false);
    T_EQ(lamina_trace_knob_set(path, "trace.level", 0, &err), LAMINA_E_PERM);
    lamina_trace_destroy(t);
}

/* The child shares the file with its parent and must leave it alone. */
static void test_fork(t_env *env)
{
    char path[512];
    lamina_trace *t = scene_trace(env, path, 4, 16, false);
    T_REQUIRE(t);
    lamina_trace_lane *lane = lamina_trace_take(t, NULL);
    lamina_trace_metric *m = lamina_trace_metric_get(t, LAMINA_TRACE_COUNTER, "c", "", 1, "");
    lamina_trace_emit(lane, LAMINA_TRACE_MARK, 1, 0, NULL, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        lamina_trace_emit(lane, LAMINA_TRACE_MARK, 1, 0, NULL, 0);
        lamina_trace_count(m, 1);
        const bool quiet =
            !lamina_trace_take(t, NULL) && !lmn_trace_on(t, 1) && !lamina_trace_name(t, "x", NULL);
        lamina_trace_give(lane);
        lamina_trace_destroy(t);
        _exit(quiet ? 0 : 1);
    }
    int status = 1;
    T_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    T_EQ(status, 0);
    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    lamina_trace_metric_info mi = {.size = sizeof mi};
    T_EQ(info_of(r).n_emitted, 1);
    T_EQ(info_of(r).state, LAMINA_TRACE_RUNNING);
    T_OK(lamina_trace_get_metric(r, 0, &mi));
    T_CHECK(mi.value == 0);
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void test_hooks(t_env *env)
{
    char path[512];
    lamina_trace *t = scene_trace(env, path, 2, 16, false);
    T_REQUIRE(t);
    const lmn_mutex_hook lock = lmn_trace_mutex_hook(t);
    const lmn_epoch_hook epoch = lmn_trace_epoch_hook(t, 5);
    const lmn_mutex_waited w = {"cache", 200, 77, 1000000, 3000000};
    const lmn_epoch_stall s = {.thread = 5, .inside_ns = 1000, .n_waiting = 12};
    lock.waited(lock.ctx, &w);
    epoch.stalled(epoch.ctx, &s);
    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    lamina_trace_event e = {.size = sizeof e};
    bool seen[2] = {false, false};
    while (lamina_trace_next(r, &e) == LAMINA_OK) {
        const bool is_lock = strcmp(e.name, "cache") == 0;
        seen[is_lock] = true;
        T_EQ(e.kind, LAMINA_TRACE_WAIT);
        T_STR_EQ(e.category, is_lock ? "lock" : "epoch");
        T_EQ(e.args[0].value.u, is_lock ? 77 : 5);
        T_EQ(e.args[1].value.u, is_lock ? 200 : 12);
    }
    T_CHECK(seen[0] && seen[1]);
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void nothing(void *arg, int64_t chunk, int32_t worker)
{
    (void)chunk;
    (void)worker;
    (void)lmn_atomic_add((lmn_atomic(uint32_t) *)arg, 1, relaxed);
}

/* Chunks that meet: the helper's takes its time, so that the caller waits for it at the end. */
static void meet(void *arg, int64_t chunk, int32_t worker)
{
    lmn_atomic(uint32_t) *n_here = arg;
    const uint64_t give_up = lmn_now_ns() + UINT64_C(10000000000);
    (void)chunk;
    (void)lmn_atomic_add(n_here, 1, relaxed);
    while (lmn_atomic_load(n_here, relaxed) % 2 && lmn_now_ns() < give_up) lmn_cpu_pause();
    if (worker) (void)usleep(20000);
}

/* Whatever the pool's threads did, it is spans and waits of the pool; *n_joins of them are joins.
 */
static void pool_events(t_env *env, uint32_t level, const lmn_loop *loop, int times,
                        uint32_t *n_joins)
{
    char path[512];
    lmn_atomic(uint32_t) *n_done = loop->arg;
    *n_joins = 0;
    lmn_atomic_store(n_done, 0, relaxed);
    lamina_trace *t = scene_trace(env, path, 8, 4096, true);
    T_REQUIRE(t);
    T_OK(lamina_trace_knob_set(path, "trace.level", level, NULL));
    const lmn_pool_opts o = {.width = 4, .spin_ns = 1000, .hooks = lmn_trace_pool_hooks(t)};
    lmn_workpool *pool = NULL;
    T_OK(lmn_workpool_create(&env->alloc, &o, &pool));
    T_REQUIRE(pool);
    for (int i = 0; i < times; i++) lmn_workpool_for(pool, loop);
    lmn_workpool_destroy(pool);
    T_EQ(lmn_atomic_load(n_done, relaxed), times * loop->n_chunks);
    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    lamina_trace_event e = {.size = sizeof e};
    while (lamina_trace_next(r, &e) == LAMINA_OK) {
        const bool join = strcmp(e.name, "join") == 0, task = strcmp(e.name, "task") == 0;
        T_CHECK(join || task || strcmp(e.name, "parked") == 0);
        T_STR_EQ(e.category, "pool");
        T_EQ(e.kind, task ? LAMINA_TRACE_SPAN : LAMINA_TRACE_WAIT);
        if (task) T_EQ(level, LAMINA_TRACE_LEVEL_CHUNKS);
        if (join) T_CHECK(e.dur_ns >= 1900);
        T_CHECK(level > LAMINA_TRACE_LEVEL_RUNS);
        *n_joins += join;
    }
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void test_pool_hooks(t_env *env)
{
    lmn_atomic(uint32_t) n_done = 0;
    uint32_t n;
    const lmn_loop quick = {16, nothing, (void *)&n_done, NULL, NULL, 0};
    const lmn_loop slow = {2, meet, (void *)&n_done, NULL, NULL, 0};
    pool_events(env, LAMINA_TRACE_LEVEL_CHUNKS, &quick, 50, &n);
    pool_events(env, LAMINA_TRACE_LEVEL_RUNS, &slow, 2, &n);
    T_EQ(n, 0);
    pool_events(env, LAMINA_TRACE_LEVEL_NODES, &slow, 5, &n);
    T_CHECK(n >= 1);
}

/* A handler that interrupts the holder of one lane writes into another. */
static lamina_trace *handler_trace;
static uint32_t handler_name;

static void on_signal(int signo)
{
    (void)signo;
    lamina_trace_lane *lane = lamina_trace_take(handler_trace, NULL);
    scene_emit(lane, handler_name, 7);
    lamina_trace_give(lane);
}

static void test_signal(t_env *env)
{
    enum { SIGNALS = 100 };
    char path[512];
    lamina_trace *t = scene_trace(env, path, 2, 256, false);
    T_REQUIRE(t);
    handler_trace = t;
    handler_name = lamina_trace_name(t, "handler", NULL);
    const uint32_t name = lamina_trace_name(t, "work", NULL);
    lamina_trace_lane *lane = lamina_trace_take(t, NULL);
    struct sigaction old, action = {.sa_handler = on_signal};
    T_EQ(sigaction(SIGUSR1, &action, &old), 0);
    for (uint64_t n = 0; n < SIGNALS; n++) {
        scene_emit(lane, name, n);
        T_EQ(raise(SIGUSR1), 0);
    }
    T_EQ(sigaction(SIGUSR1, &old, NULL), 0);
    lamina_trace_give(lane);
    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    T_EQ(r->n_events, 2 * SIGNALS);
    for (size_t i = 0; i < r->n_events; i++) {
        uint64_t n;
        T_CHECK(scene_whole(&r->events[i], &n));
        T_EQ(r->events[i].w[LMN_EV_WHAT] >> 16 & 0xffff, 0); /* one thread */
    }
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void test_full_tables(t_env *env)
{
    char path[512], name[32];
    lamina_trace *t = scene_trace(env, path, 1, 16, false);
    T_REQUIRE(t);
    uint32_t n = 0;
    for (; n < LMN_TRACE_N_NAMES + 5; n++) {
        (void)lmn_format(name, sizeof name, "name %u", n);
        if (!lamina_trace_name(t, name, NULL)) break;
    }
    T_CHECK(n > LMN_TRACE_N_NAMES - 10);
    T_CHECK(lamina_trace_name(t, "name 5", NULL) != 0);
    lamina_trace_reader *r = open_reader(env, path);
    T_REQUIRE(r);
    T_STR_EQ(lmn_reader_name(r, lamina_trace_name(t, "name 77", NULL)), "name 77");
    lamina_trace_close(r);
    lamina_trace_destroy(t);
}

static void test_refused(t_env *env)
{
    char path[512];
    lamina_error err;
    lamina_trace *t = T_UNTOUCHED;
    lamina_trace_opts o = {.size = sizeof o, .lane_events = 17};
    (void)t_path(env, "b.trace", path, sizeof path);
    T_EQ(lamina_trace_create(path, &o, &t, &err), LAMINA_E_INVALID);
    o = (lamina_trace_opts){.size = sizeof o, .n_lanes = 1025};
    T_EQ(lamina_trace_create(path, &o, &t, &err), LAMINA_E_INVALID);
    o = (lamina_trace_opts){.size = sizeof o, .level = 4};
    T_EQ(lamina_trace_create(path, &o, &t, &err), LAMINA_E_INVALID);
    T_EQ(lamina_trace_create("/nonexistent/folder/x", NULL, &t, &err), LAMINA_E_IO);
    T_EQ(lamina_trace_create("", NULL, &t, &err), LAMINA_E_INVALID);
    T_CHECK(t == T_UNTOUCHED && access(path, F_OK) != 0);
    T_OK(lamina_trace_create(NULL, NULL, &t, NULL));
    lamina_trace_destroy(t);
    lamina_trace_destroy(NULL);
    lamina_trace_close(NULL);
}

static void test_no_memory(t_env *env)
{
    char path[512];
    (void)t_path(env, "c.trace", path, sizeof path);
    const lamina_trace_opts o = {
        .size = sizeof o, .n_lanes = 1, .lane_events = 16, .allocator = &env->alloc};
    for (int nth = 1;; nth++) {
        lamina_trace *t = NULL;
        t_fail_alloc(env, nth);
        const lamina_status st = lamina_trace_create(path, &o, &t, NULL);
        const bool pending = t_fail_pending(env);
        T_EQ(st, pending ? LAMINA_OK : LAMINA_E_NOMEM);
        lamina_trace_destroy(t);
        T_NOTHING_HELD(env);
        if (st != LAMINA_E_NOMEM) break;
    }
    for (int nth = 1;; nth++) {
        lamina_trace_reader *r = NULL;
        t_fail_alloc(env, nth);
        lamina_status st = lamina_trace_open(path, &env->alloc, &r, NULL);
        if (st == LAMINA_OK) st = lamina_trace_poll(r, NULL);
        const bool pending = t_fail_pending(env);
        T_EQ(st, pending ? LAMINA_OK : LAMINA_E_NOMEM);
        lamina_trace_close(r);
        T_NOTHING_HELD(env);
        if (st != LAMINA_E_NOMEM) break;
    }
}

T_MAIN(T_TEST(test_events), T_TEST(test_lanes), T_TEST(test_histogram), T_TEST(test_metrics),
       T_TEST(test_knobs), T_TEST(test_fork), T_TEST(test_hooks), T_TEST(test_pool_hooks),
       T_TEST(test_signal), T_TEST(test_full_tables), T_TEST(test_refused), T_TEST(test_no_memory))
