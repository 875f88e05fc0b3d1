/*
 * What sessions write into a trace: spans of loading, sessions, plans, runs, nodes and chunks at
 * each level, metrics, failures, together with the profile, from several threads.
 */
#include "runtime/rt_model.h"

#include "trace/trace.h"

typedef struct seen {
    uint32_t load, parse, import, session, optimise, place, passes, plan, run, nodes, chunks;
    uint32_t run_id;
    bool inside; /* of the run */
    char order[64];
    uint64_t errors, count;
} seen;

static lamina_trace *begin(t_env *env, char path[512], uint32_t level)
{
    lamina_error err;
    lamina_trace *t = NULL;
    const lamina_trace_opts o = {
        .size = sizeof o, .level = level, .allow_set = true, .allocator = &env->alloc};
    (void)t_path(env, "a.trace", path, 512);
    T_OK_ERR(lamina_trace_create(path, &o, &t, &err), &err);
    env->engine->slot[LMN_SLOT_TRACE].ptr = t;
    return t;
}

/* The engine's pool and devices go first: they write until then. */
static void end(t_env *env, lamina_trace *t)
{
    lmn_engine_finish(env->engine);
    lamina_trace_destroy(t);
}

static void one_event(const lamina_trace_event *e, seen *s)
{
    static const struct {
        const char *name;
        size_t at;
    } NAMES[] = {{"load", offsetof(seen, load)},         {"parse", offsetof(seen, parse)},
                 {"import", offsetof(seen, import)},     {"session", offsetof(seen, session)},
                 {"optimise", offsetof(seen, optimise)}, {"place", offsetof(seen, place)},
                 {"plan", offsetof(seen, plan)},         {"run", offsetof(seen, run)},
                 {"chunk", offsetof(seen, chunks)}};
    const bool wait = strcmp(e->name, "parked") == 0 || strcmp(e->name, "join") == 0;
    T_EQ(e->kind, wait ? LAMINA_TRACE_WAIT : LAMINA_TRACE_SPAN);
    for (size_t i = 0; i < T_COUNT(NAMES); i++)
        if (strcmp(e->name, NAMES[i].name) == 0) ++*(uint32_t *)(void *)((char *)s + NAMES[i].at);
    s->passes += strcmp(e->category, "pass") == 0;
    if (strcmp(e->name, "run") == 0) s->run_id = e->span;
    if (strcmp(e->category, "node") != 0) return;
    s->nodes++;
    if (strlen(s->order) + strlen(e->name) < sizeof s->order) strcat(s->order, e->name);
    T_EQ(e->n_args, 3);
    T_STR_EQ(e->args[1].name, "kernel");
    T_CHECK(*e->args[1].value.s);
    T_CHECK(e->parent != 0 && (s->run != 1 || e->parent == s->run_id));
}

static void look(t_env *env, const char *path, seen *s)
{
    lamina_error err;
    lamina_trace_reader *r = NULL;
    memset(s, 0, sizeof *s);
    T_OK_ERR(lamina_trace_open(path, &env->alloc, &r, &err), &err);
    T_REQUIRE(r);
    T_OK_ERR(lamina_trace_poll(r, &err), &err);
    lamina_trace_event e = {.size = sizeof e};
    while (lamina_trace_next(r, &e) == LAMINA_OK) one_event(&e, s);
    lamina_trace_info info = {.size = sizeof info};
    T_OK(lamina_trace_get_info(r, &info));
    for (size_t i = 0; i < info.n_lanes; i++) {
        lamina_trace_lane_info l = {.size = sizeof l};
        T_OK(lamina_trace_get_lane(r, i, &l));
        T_EQ(l.n_inside, 0);
    }
    for (size_t i = 0; i < info.n_metrics; i++) {
        lamina_trace_metric_info m = {.size = sizeof m};
        T_OK(lamina_trace_get_metric(r, i, &m));
        if (strcmp(m.name, "lamina_run") == 0) s->count = m.count;
        if (strcmp(m.name, "lamina_run_errors") == 0) s->errors = (uint64_t)m.value;
    }
    lamina_trace_close(r);
}

static lamina_status run_once(t_env *env, lamina_session *s, const lamina_run_opts *o)
{
    lamina_tensor *in = rt_floats(env, 2, (const int64_t[]){3, 4}), *out = NULL;
    const lamina_status st =
        lamina_session_run(s, (const lamina_tensor *const *)&in, 1, &out, 1, o);
    lamina_tensor_unref(in);
    lamina_tensor_unref(out);
    return st;
}

static void test_levels(t_env *env)
{
    for (uint32_t level = LAMINA_TRACE_LEVEL_RUNS; level <= LAMINA_TRACE_LEVEL_NODES; level++) {
        char path[512];
        seen s;
        lamina_trace *t = begin(env, path, level);
        T_REQUIRE(t);
        rt_cpu(env);
        lamina_model *m = rt_relu_abs(env);
        const lamina_session_opts o = {.size = sizeof o, .profile = true};
        lamina_session *session = rt_session(m, &o);
        T_OK(run_once(env, session, NULL));
        look(env, path, &s);
        T_EQ(s.parse, 1);
        T_EQ(s.import, 1);
        T_EQ(s.load, 1);
        T_EQ(s.session, 1);
        T_EQ(s.optimise, 1);
        T_EQ(s.place, 1);
        T_CHECK(s.passes > 5);
        T_EQ(s.plan, 1);
        T_EQ(s.run, 1);
        T_EQ(s.count, 1);
        T_EQ(s.errors, 0);
        T_STR_EQ(s.order, level == LAMINA_TRACE_LEVEL_NODES ? "ReluAbs" : "");
        lamina_node_info n = {.size = sizeof n};
        T_OK(lamina_session_node(session, 0, &n));
        T_EQ(n.n_calls, 1); /* the profile goes on beside it */
        T_OK(lamina_trace_knob_set(path, "trace.level", 0, NULL));
        T_OK(run_once(env, session, NULL));
        look(env, path, &s);
        T_EQ(s.run, 1);
        lamina_session_destroy(session);
        lamina_model_unref(m);
        end(env, t);
    }
}

static void test_failed_run(t_env *env)
{
    char path[512];
    seen s;
    const uint32_t stop = 1;
    lamina_trace *t = begin(env, path, 0);
    T_REQUIRE(t);
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    lamina_session *session = rt_session(m, NULL);
    const lamina_run_opts o = {.size = sizeof o, .stop = &stop};
    T_EQ(run_once(env, session, &o), LAMINA_E_CANCELLED);
    look(env, path, &s);
    T_EQ(s.run, 1);
    T_EQ(s.nodes, 0);
    T_EQ(s.errors, 1);
    T_EQ(s.count, 0);
    lamina_session_destroy(session);
    lamina_model_unref(m);
    end(env, t);
}

/* y = x w, large enough to be cut. */
static void test_chunks(t_env *env)
{
    static pb g, bytes;
    char path[512];
    seen s;
    lamina_trace *t = begin(env, path, LAMINA_TRACE_LEVEL_CHUNKS);
    T_REQUIRE(t);
    rt_cpu(env);
    g.n = 0;
    rt_node(&g, "MatMul", "x w", "y", NULL);
    rt_port(&g, 11, "x", LAMINA_F32, "256 256");
    rt_port(&g, 11, "w", LAMINA_F32, "256 256");
    rt_port(&g, 12, "y", LAMINA_F32, "256 256");
    lamina_model *m = rt_load(env, &bytes, &g);
    lamina_session *session = rt_session(m, NULL);
    lamina_tensor *x = rt_floats(env, 2, (const int64_t[]){256, 256}), *out = NULL;
    const lamina_tensor *const in[] = {x, x};
    T_OK(lamina_session_run(session, in, 2, &out, 1, NULL));
    look(env, path, &s);
    T_EQ(s.nodes, 1);
    T_CHECK(s.chunks > 1);
    lamina_tensor_unref(x);
    lamina_tensor_unref(out);
    lamina_session_destroy(session);
    lamina_model_unref(m);
    end(env, t);
}

typedef struct runner {
    lamina_session *session;
    const lamina_tensor *in;
    int n;
    lmn_atomic(uint32_t) n_failed;
} runner;

static void *run_many(void *arg)
{
    runner *r = arg;
    for (int i = 0; i < r->n; i++) {
        lamina_tensor *out = NULL;
        if (lamina_session_run(r->session, &r->in, 1, &out, 1, NULL) != LAMINA_OK)
            (void)lmn_atomic_add(&r->n_failed, 1, relaxed);
        lamina_tensor_unref(out);
    }
    return NULL;
}

/* Runs too short to note each: those that are noted stand for the others. */
static void test_short_runs(t_env *env)
{
    enum { RUNS = 600, THREADS = 4 };
    char path[512];
    seen s;
    lamina_trace *t = begin(env, path, 0);
    T_REQUIRE(t);
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    lamina_session *session = rt_session(m, NULL);
    lamina_tensor *in = rt_floats(env, 2, (const int64_t[]){3, 4});
    runner one = {.session = session, .in = in, .n = RUNS};
    (void)run_many(&one);
    look(env, path, &s);
    T_CHECK(s.run >= RUNS / 65 && s.run <= RUNS);
    T_CHECK(s.count >= RUNS - 64 && s.count <= RUNS);
    lmn_thread thread[THREADS];
    runner four = {.session = session, .in = in, .n = 100};
    for (int i = 0; i < THREADS; i++) T_OK(lmn_thread_start(&thread[i], run_many, &four));
    for (int i = 0; i < THREADS; i++) lmn_thread_join(&thread[i]);
    look(env, path, &s);
    T_CHECK(s.run <= RUNS + 100 * THREADS);
    T_EQ(lmn_atomic_load(&one.n_failed, relaxed) + lmn_atomic_load(&four.n_failed, relaxed), 0);
    lamina_tensor_unref(in);
    lamina_session_destroy(session);
    lamina_model_unref(m);
    end(env, t);
}

T_MAIN(T_TEST(test_levels), T_TEST(test_failed_run), T_TEST(test_chunks), T_TEST(test_short_runs))
