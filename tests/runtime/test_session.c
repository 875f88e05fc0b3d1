/*
 * Sessions: wrong feeds are refused before anything runs (the mock device counts), the plan cache
 * keeps its bounds, defaults are honoured, counters count, many threads may run one session.
 */
#include "runtime/rt_model.h"

#include "base/os/os_thread.h"
#include "runtime/exec.h"

static lamina_tensor *zeros(t_env *env, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(env->engine, dt, rank, dims, &t));
    return t;
}

/* Run with these inputs (taken over); y dropped. */
static lamina_status feed(lamina_session *s, lamina_tensor **in, size_t n, lamina_error *err)
{
    lamina_tensor *out = T_UNTOUCHED;
    const lamina_run_opts o = {.size = sizeof o, .error = err};
    const lamina_status st =
        lamina_session_run(s, (const lamina_tensor *const *)in, n, &out, 1, &o);
    for (size_t i = 0; i < n; i++) lamina_tensor_unref(in[i]);
    if (st == LAMINA_OK)
        lamina_tensor_unref(out);
    else
        T_CHECK(out == T_UNTOUCHED);
    return st;
}

static lamina_session_stats stats(const lamina_session *s)
{
    lamina_session_stats st = {.size = sizeof st};
    T_OK(lamina_session_get_stats(s, &st));
    return st;
}

static void test_feeds(t_env *env)
{
    lamina_error err = {0};
    rt_mock(env, NULL);
    lamina_model *m = rt_relu_abs(env);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    const int64_t good[] = {2, 4}, narrow[] = {2, 3}, flat[] = {4}, deep[] = {1, 2, 4};
    const struct {
        const char *name;
        size_t n;
        lamina_dtype dt;
        int32_t rank;
        const int64_t *dims;
        lamina_status want;
        const char *says;
    } CASES[] = {
        {"missing", 0, LAMINA_F32, 2, good, LAMINA_E_INVALID, "missing"},
        {"extra", 2, LAMINA_F32, 2, good, LAMINA_E_INVALID, "1 inputs"},
        {"type", 1, LAMINA_F64, 2, good, LAMINA_E_DTYPE, "float64"},
        {"integer", 1, LAMINA_I64, 2, good, LAMINA_E_DTYPE, "float32[N,4]"},
        {"rank 1", 1, LAMINA_F32, 1, flat, LAMINA_E_SHAPE, "rank"},
        {"rank 3", 1, LAMINA_F32, 3, deep, LAMINA_E_SHAPE, "rank"},
        {"size", 1, LAMINA_F32, 2, narrow, LAMINA_E_SHAPE, "dimension 1 is 3"},
    };
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        T_CASE(CASES[i].name);
        lamina_tensor *in[2] = {NULL, NULL};
        for (size_t k = 0; k < CASES[i].n; k++)
            in[k] = zeros(env, CASES[i].dt, CASES[i].rank, CASES[i].dims);
        T_EQ(feed(s, in, CASES[i].n, &err), CASES[i].want);
        T_EQ(err.status, CASES[i].want);
        if (!strstr(err.msg, CASES[i].says)) T_STR_EQ(err.msg, CASES[i].says);
        T_CHECK(i == 1 || strstr(err.msg, "\"x\"") != NULL);
    }
    T_CASE("outputs");
    lamina_tensor *x = zeros(env, LAMINA_F32, 2, good), *out[2];
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_EQ(lamina_session_run(s, (const lamina_tensor *const *)&x, 1, out, 2, &o), LAMINA_E_INVALID);
    T_EQ(lamina_session_run(NULL, NULL, 0, out, 1, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_session_run(s, NULL, 1, out, 1, NULL), LAMINA_E_INVALID);
    T_CASE("another engine");
    lamina_engine *other = NULL;
    T_OK(lamina_engine_create(NULL, &other));
    lamina_tensor *foreign = NULL;
    T_OK(lamina_tensor_create(other, LAMINA_F32, 2, good, &foreign));
    T_EQ(feed(s, &foreign, 1, &err), LAMINA_E_INVALID);
    lamina_engine_destroy(other);
    T_EQ(rt_mock_executed(env), 0);
    T_EQ(stats(s).n_runs, 0);
    T_CASE("right after all");
    T_OK_ERR(feed(s, &x, 1, &err), &err);
    T_EQ(rt_mock_executed(env), 2);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* Two inputs share the symbol N: sizes that contradict each other end before any kernel. */
static void test_symbol(t_env *env)
{
    lamina_error err = {0};
    rt_mock(env, NULL);
    lamina_model *m = rt_chain(env, 1);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    lamina_tensor *in[2] = {zeros(env, LAMINA_F32, 2, (int64_t[]){2, 3}),
                            zeros(env, LAMINA_F32, 2, (int64_t[]){2, 3})};
    const lamina_status st = feed(s, in, 2, &err);
    T_EQ(st, LAMINA_E_SHAPE);
    T_EQ(rt_mock_executed(env), 0);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

static lamina_status run_rows(t_env *env, lamina_session *s, int64_t n)
{
    lamina_tensor *x = rt_floats(env, 2, (int64_t[]){n, 4});
    return feed(s, &x, 1, NULL);
}

static void test_plans(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    const lamina_session_opts o = {.size = sizeof o, .max_plans = 3, .n_threads = 1};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    for (int64_t n = 1; n <= 5; n++) T_OK(run_rows(env, s, n));
    lamina_session_stats st = stats(s);
    T_EQ(st.n_plans_made, 5);
    T_EQ(st.n_plan_hits, 0);
    for (int64_t n = 3; n <= 5; n++) T_OK(run_rows(env, s, n)); /* kept: the last three */
    T_EQ(stats(s).n_plan_hits, 3);
    T_OK(run_rows(env, s, 3)); /* now 4 is the oldest */
    T_OK(run_rows(env, s, 9));
    T_OK(run_rows(env, s, 3));
    T_OK(run_rows(env, s, 4));
    st = stats(s);
    T_EQ(st.n_plan_hits, 5);
    T_EQ(st.n_plans_made, 7);
    T_EQ(st.n_runs, 12);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* The bound in bytes: idle memory stays below it, the largest shape included; trim gives it back.
 */
static void test_bytes(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    const lamina_session_opts o = {
        .size = sizeof o, .max_plan_bytes = 100000, .n_threads = 1, .no_optimize = true};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    uint64_t most = 0;
    for (int64_t n = 500; n <= 3000; n += 500) { /* the intermediate takes 16 bytes a row */
        T_OK(run_rows(env, s, n));
        const uint64_t idle = stats(s).idle_bytes;
        T_CHECK(idle <= 100000);
        if (idle > most) most = idle;
    }
    T_CHECK(most > 0);
    T_OK(run_rows(env, s, 100000)); /* alone beyond the bound */
    T_CHECK(stats(s).idle_bytes <= 100000);
    T_OK(run_rows(env, s, 500));
    const uint64_t before = stats(s).idle_bytes;
    T_CHECK(before > 0);
    (void)lamina_session_trim(s, before); /* may find blocks kept for reuse, but no plan's */
    T_EQ(stats(s).idle_bytes, before);
    T_CHECK(lamina_session_trim(s, 0) >= before);
    T_EQ(stats(s).idle_bytes, 0);
    T_EQ(lamina_session_trim(s, 0), 0);
    T_EQ(lamina_session_trim(NULL, 0), 0);
    T_OK(run_rows(env, s, 500));
    T_EQ(stats(s).idle_bytes, before);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* Runs one after another take the memory of one, the largest, whatever their shapes; when no plan
   needs that much any more it goes. */
static void test_one_block(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    const lamina_session_opts o = {
        .size = sizeof o, .max_plans = 3, .n_threads = 1, .no_optimize = true};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    T_OK(run_rows(env, s, 4000));
    const uint64_t one = stats(s).idle_bytes;
    T_CHECK(one >= 4000 * 16);
    T_OK(run_rows(env, s, 500));
    T_OK(run_rows(env, s, 2000));
    T_OK(run_rows(env, s, 4000));
    T_EQ(stats(s).idle_bytes, one);
    T_OK(run_rows(env, s, 4100)); /* a little more room than it needs */
    const uint64_t grown = stats(s).idle_bytes;
    T_EQ(grown, one + one / 8);
    T_OK(run_rows(env, s, 4400));
    T_EQ(stats(s).idle_bytes, grown);
    T_OK(run_rows(env, s, 500));
    T_EQ(stats(s).idle_bytes, grown);
    T_OK(run_rows(env, s, 501));
    T_OK(run_rows(env, s, 502)); /* the last of the long ones is forgotten */
    T_CHECK(stats(s).idle_bytes < one);
    T_OK(run_rows(env, s, 502));
    T_EQ(stats(s).n_plans_made, 8);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

typedef struct meanwhile {
    t_env *env;
    lamina_session *s;
    int64_t rows;
} meanwhile;

/* Before the first step of a run another one comes and goes. */
static void run_meanwhile(void *ctx, lmn_frame *f, size_t step)
{
    const meanwhile *w = ctx;
    (void)f, (void)step;
    w->s->watch = NULL;
    T_OK(run_rows(w->env, w->s, w->rows));
}

/* A plan that is dropped while a run has a block that is as long as it needs: the block goes with
   the run, be it the plan's own or that of a shorter one. */
static void test_long_block_in_use(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    for (uint32_t own = 0; own < 2; own++) {
        const lamina_session_opts o = {
            .size = sizeof o, .max_plans = own ? 1 : 2, .n_threads = 1, .no_optimize = true};
        lamina_session *s = rt_session(m, &o);
        T_REQUIRE(s);
        if (!own) T_OK(run_rows(env, s, 4000));
        meanwhile w = {.env = env, .s = s, .rows = 501};
        s->watch_ctx = &w;
        s->watch = run_meanwhile;
        T_OK(run_rows(env, s, own ? 4000 : 500));
        T_CHECK(stats(s).idle_bytes < 4000 * 16);
        lamina_session_destroy(s);
    }
    lamina_model_unref(m);
}

/* y = x + d where d is a graph input with an initialiser of the same name. */
static void test_default(t_env *env)
{
    static pb g, bytes;
    static const float d[2] = {10, 20};
    lamina_error err = {0};
    g.n = 0;
    rt_cpu(env);
    rt_node(&g, "Add", "x d", "y", NULL);
    pb_str(&g, 2, "g");
    rt_weight(&g, "d", LAMINA_F32, 1, (int64_t[]){2}, d, sizeof d);
    rt_port(&g, 11, "x", LAMINA_F32, "2");
    rt_port(&g, 11, "d", LAMINA_F32, "2");
    rt_port(&g, 12, "y", LAMINA_F32, "2");
    lamina_model *m = rt_load(env, &bytes, &g);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    T_EQ(lamina_model_input_count(m), 2);
    lamina_port p = {.size = sizeof p};
    T_OK(lamina_model_input(m, 1, &p));
    T_CHECK(p.optional && p.has_default);
    static const float one[2] = {1, 2}, other[2] = {100, 200};
    lamina_tensor *in[2] = {NULL, NULL}, *out = NULL;
    T_OK(lamina_tensor_from(env->engine, LAMINA_F32, 1, (int64_t[]){2}, one, &in[0]));
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    for (int turn = 0; turn < 4; turn++) { /* absent, NULL, given, absent again */
        if (turn == 2)
            T_OK(lamina_tensor_from(env->engine, LAMINA_F32, 1, (int64_t[]){2}, other, &in[1]));
        const size_t n = turn == 0 || turn == 3 ? 1 : 2;
        T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)in, n, &out, 1, &o), &err);
        const float *y = lamina_tensor_data(out);
        T_NEAR(y[0], turn == 2 ? 101 : 11, 0);
        T_NEAR(y[1], turn == 2 ? 202 : 22, 0);
        lamina_tensor_unref(out);
    }
    lamina_tensor_unref(in[0]);
    lamina_tensor_unref(in[1]);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

static void test_stats(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 3);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    lamina_session_stats st = {.size = sizeof st};
    T_OK(lamina_session_get_stats(s, &st));
    T_EQ(st.n_nodes, 3);
    T_EQ(st.n_nodes_fast, 3);
    T_EQ(st.n_runs + st.n_plans_made + st.n_plan_hits + st.run_ns + st.idle_bytes, 0);
    st = (lamina_session_stats){.size = 0};
    T_EQ(lamina_session_get_stats(s, &st), LAMINA_E_INVALID);
    T_EQ(lamina_session_get_stats(NULL, &st), LAMINA_E_INVALID);
    lamina_node_info ni = {.size = sizeof ni};
    T_EQ(lamina_session_node(s, 3, &ni), LAMINA_E_RANGE);
    T_EQ(lamina_session_node(s, 0, NULL), LAMINA_E_INVALID);
    T_OK(lamina_session_node(s, 2, &ni));
    T_STR_EQ(ni.op, "MatMul");
    T_STR_EQ(ni.name, "y");
    T_EQ(ni.n_calls, 0);
    lamina_session_destroy(s);
    lamina_session_destroy(NULL);
    lamina_model_unref(m);
}

/* ---- threads ----------------------------------------------------------------------------------
 */

#define RUNNERS 4

typedef struct runner {
    lamina_session *s;
    lamina_tensor *in[2];
    int64_t n;
    const float *want;
    int wrong, turns, trim_every;
} runner;

static void *runner_main(void *arg)
{
    runner *r = arg;
    lamina_tensor *const *in = r->in,
                         *out = NULL; /* no checks here: their counter is one for all */
    for (int turn = 0; turn < r->turns; turn++) {
        if (lamina_session_run(r->s, (const lamina_tensor *const *)in, 2, &out, 1, NULL)) {
            r->wrong++;
            continue;
        }
        r->wrong += r->want && memcmp(r->want, lamina_tensor_data(out),
                                      (size_t)(r->n * r->n) * sizeof(float)) != 0;
        lamina_tensor_unref(out);
        if (turn % r->trim_every == 0) (void)lamina_session_trim(r->s, 0);
        lamina_session_stats st = {.size = sizeof st};
        r->wrong += lamina_session_get_stats(r->s, &st) != LAMINA_OK || st.n_runs == 0;
    }
    return NULL;
}

/* Four callers, two shapes, a cache of one plan and a profile: every lock of a run is taken. */
static void test_concurrent(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 4);
    const lamina_session_opts o = {
        .size = sizeof o, .n_threads = 2, .max_plans = 1, .profile = true};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    lamina_tensor *in[2], *want[2] = {NULL, NULL};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 2; i++)
            in[i] = rt_floats(env, 2, (int64_t[]){40 + 30 * k, 40 + 30 * k});
        T_OK(lamina_session_run(s, (const lamina_tensor *const *)in, 2, &want[k], 1, NULL));
        for (int i = 0; i < 2; i++) lamina_tensor_unref(in[i]);
    }
    T_REQUIRE(want[0] && want[1]);
    lmn_thread t[RUNNERS];
    runner r[RUNNERS];
    for (int i = 0; i < RUNNERS; i++) {
        const int64_t n = 40 + 30 * (i & 1);
        r[i] = (runner){
            .s = s, .n = n, .want = lamina_tensor_data(want[i & 1]), .turns = 20, .trim_every = 5};
        for (int k = 0; k < 2; k++) r[i].in[k] = rt_floats(env, 2, (int64_t[]){n, n});
    }
    for (int i = 0; i < RUNNERS; i++) T_OK(lmn_thread_start(&t[i], runner_main, &r[i]));
    for (int i = 0; i < RUNNERS; i++) {
        lmn_thread_join(&t[i]);
        T_EQ(r[i].wrong, 0);
        for (int k = 0; k < 2; k++) lamina_tensor_unref(r[i].in[k]);
    }
    T_EQ(stats(s).n_runs, 2 + RUNNERS * 20);
    for (int k = 0; k < 2; k++) lamina_tensor_unref(want[k]);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* Trimmed on every turn while the other shape evicts the plan: an idle frame outlives its plan. */
static void test_trim_evicted(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 2);
    const lamina_session_opts o = {.size = sizeof o, .n_threads = 1, .max_plans = 1};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    lmn_thread t[RUNNERS];
    runner r[RUNNERS];
    for (int i = 0; i < RUNNERS; i++) {
        const int64_t n = 2 + (i & 1);
        r[i] = (runner){.s = s, .n = n, .turns = 500, .trim_every = 1};
        for (int k = 0; k < 2; k++) r[i].in[k] = rt_floats(env, 2, (int64_t[]){n, n});
    }
    for (int i = 0; i < RUNNERS; i++) T_OK(lmn_thread_start(&t[i], runner_main, &r[i]));
    for (int i = 0; i < RUNNERS; i++) {
        lmn_thread_join(&t[i]);
        T_EQ(r[i].wrong, 0);
        for (int k = 0; k < 2; k++) lamina_tensor_unref(r[i].in[k]);
    }
    T_EQ(stats(s).n_runs, RUNNERS * 500);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* The same bits for 1, 2 and 4 threads. */
static void test_bits(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 3);
    lamina_tensor *in[2], *first = NULL;
    for (int i = 0; i < 2; i++) in[i] = rt_floats(env, 2, (int64_t[]){257, 257});
    for (uint32_t threads = 1; threads <= 4; threads *= 2) {
        lamina_tensor *out = NULL;
        const lamina_session_opts o = {.size = sizeof o, .n_threads = threads};
        lamina_session *s = rt_session(m, &o);
        T_REQUIRE(s);
        T_OK(lamina_session_run(s, (const lamina_tensor *const *)in, 2, &out, 1, NULL));
        if (first && out)
            T_MEM_EQ(lamina_tensor_data(first), lamina_tensor_data(out), 257u * 257u * 4u);
        if (first) lamina_tensor_unref(out);
        if (!first) first = out;
        lamina_session_destroy(s);
    }
    lamina_tensor_unref(first);
    for (int i = 0; i < 2; i++) lamina_tensor_unref(in[i]);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_feeds), T_TEST(test_symbol), T_TEST(test_plans), T_TEST(test_bytes),
       T_TEST(test_one_block), T_TEST(test_long_block_in_use), T_TEST(test_default),
       T_TEST(test_stats), T_TEST(test_concurrent), T_TEST(test_trim_evicted), T_TEST(test_bits))
