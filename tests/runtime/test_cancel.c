/*
 * Ending runs: lamina_cancel from another thread, the caller's stop word, deadlines; in chains of
 * nodes, inside one long node, inside a Loop body. The sessions stay usable. What a run still does
 * after the word is bounded in CPU time of the process, which a busy machine does not stretch;
 * bench_cancel has the figure.
 */
#include "runtime/rt_model.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"

#include <time.h>

#define BOUND_NS 400000000u /* of CPU, from the call to the return of the run */
#define DELAY_NS 30000000u  /* into the run */

typedef enum how { BY_CANCEL, BY_WORD } how;

typedef struct canceller {
    lamina_session *s;
    how how;
    uint64_t delay_ns;
    _Atomic uint32_t word;
    _Atomic uint64_t at_ns; /* CPU time of the process when it called */
} canceller;

static void sleep_ns(uint64_t ns)
{
    const struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    (void)nanosleep(&t, NULL);
}

static void *cancel_main(void *arg)
{
    canceller *c = arg;
    sleep_ns(c->delay_ns);
    atomic_store(&c->at_ns, lmn_process_cpu_ns());
    if (c->how == BY_CANCEL)
        lamina_cancel(c->s);
    else
        atomic_store(&c->word, 1);
    return NULL;
}

typedef struct feeds {
    lamina_tensor *in[2];
} feeds;

static feeds square(t_env *env, int64_t n)
{
    feeds f;
    for (int i = 0; i < 2; i++) f.in[i] = rt_floats(env, 2, (int64_t[]){n, n});
    return f;
}
static void drop(feeds *f)
{
    for (int i = 0; i < 2; i++) lamina_tensor_unref(f->in[i]);
}

static lamina_status run(lamina_session *s, const feeds *f, const uint32_t *stop, uint64_t deadline,
                         lamina_error *err)
{
    lamina_tensor *out = T_UNTOUCHED;
    const lamina_run_opts o = {
        .size = sizeof o, .error = err, .stop = stop, .deadline_ns = deadline};
    const lamina_status st =
        lamina_session_run(s, (const lamina_tensor *const *)f->in, 2, &out, 1, &o);
    if (st == LAMINA_OK)
        lamina_tensor_unref(out);
    else
        T_CHECK(out == T_UNTOUCHED);
    return st;
}

/* A long run of the session ends by the other thread's call, soon; short ones still work. */
static void cancel_one(t_env *env, lamina_session *s, int64_t n, how h)
{
    lamina_error err = {0};
    lmn_thread t;
    canceller c = {.s = s, .how = h, .delay_ns = DELAY_NS};
    feeds large = square(env, n), small = square(env, 2);
    T_OK(lmn_thread_start(&t, cancel_main, &c));
    const lamina_status st = run(s, &large, (const uint32_t *)&c.word, 0, &err);
    const uint64_t now = lmn_process_cpu_ns();
    lmn_thread_join(&t);
    T_EQ(st, LAMINA_E_CANCELLED);
    T_EQ(err.status, st);
    T_CHECK(strstr(err.msg, "cancelled") != NULL);
    T_CHECK(now < atomic_load(&c.at_ns) + BOUND_NS);
    T_OK_ERR(run(s, &small, NULL, 0, &err), &err);
    drop(&large);
    drop(&small);
}

static void deadline_one(t_env *env, lamina_session *s, int64_t n)
{
    lamina_error err = {0};
    feeds large = square(env, n), small = square(env, 2);
    const uint64_t cpu = lmn_process_cpu_ns();
    T_EQ(run(s, &large, NULL, lmn_now_ns() + DELAY_NS, &err), LAMINA_E_TIMEOUT);
    T_CHECK(lmn_process_cpu_ns() < cpu + 2 * DELAY_NS + BOUND_NS); /* two threads at most */
    T_CHECK(strstr(err.msg, "deadline") != NULL);
    T_EQ(run(s, &small, NULL, 1, &err), LAMINA_E_TIMEOUT); /* long past: nothing runs */
    T_OK_ERR(run(s, &small, NULL, 0, &err), &err);
    T_OK_ERR(run(s, &small, NULL, lmn_now_ns() + (uint64_t)60e9, &err), &err);
    drop(&large);
    drop(&small);
}

static void test_both(t_env *env, lamina_model *m, int64_t n, const lamina_session_opts *o)
{
    lamina_session *s = rt_session(m, o);
    T_REQUIRE(s);
    cancel_one(env, s, n, BY_CANCEL);
    cancel_one(env, s, n, BY_WORD);
    deadline_one(env, s, n);
    lamina_session_destroy(s);
}

/* Products of a second and more, each far shorter than the delay. */
static void test_chain(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 200);
    const lamina_session_opts one = {.size = sizeof one, .n_threads = 1},
                              two = {.size = sizeof two, .n_threads = 2};
    test_both(env, m, 640, &one);
    test_both(env, m, 640, &two);
    lamina_model_unref(m);
}

/* A single node of seconds, as fast kernel and as reference. */
static void test_long_node(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 1);
    const lamina_session_opts fast = {.size = sizeof fast, .n_threads = 1},
                              reference = {.size = sizeof reference, .reference = true};
    T_CASE("fast");
    test_both(env, m, 3000, &fast);
    T_CASE("reference");
    test_both(env, m, 1500, &reference);
    lamina_model_unref(m);
}

/* Turns of a few microseconds, without end as far as the test can see. */
static void test_loop(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = rt_loop(env, (int64_t)1 << 40);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    lamina_error err = {0};
    feeds f = square(env, 8);
    for (how h = BY_CANCEL; h <= BY_WORD; h++) {
        lmn_thread t;
        canceller c = {.s = s, .how = h, .delay_ns = DELAY_NS};
        T_OK(lmn_thread_start(&t, cancel_main, &c));
        T_EQ(run(s, &f, (const uint32_t *)&c.word, 0, &err), LAMINA_E_CANCELLED);
        T_CHECK(lmn_process_cpu_ns() < atomic_load(&c.at_ns) + BOUND_NS);
        lmn_thread_join(&t);
    }
    const uint64_t cpu = lmn_process_cpu_ns();
    T_EQ(run(s, &f, NULL, lmn_now_ns() + DELAY_NS, &err), LAMINA_E_TIMEOUT);
    T_CHECK(lmn_process_cpu_ns() < cpu + 2 * DELAY_NS + BOUND_NS);
    drop(&f);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* Nothing in flight: a cancel does nothing, also to later runs. */
static void test_idle(t_env *env)
{
    rt_cpu(env);
    lamina_error err = {0};
    lamina_model *m = rt_chain(env, 2);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    feeds f = square(env, 4);
    lamina_cancel(NULL);
    lamina_cancel(s);
    T_OK_ERR(run(s, &f, NULL, 0, &err), &err);
    const uint32_t set = 1;
    T_EQ(run(s, &f, &set, 0, &err), LAMINA_E_CANCELLED);
    T_OK_ERR(run(s, &f, NULL, 0, &err), &err);
    drop(&f);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_chain), T_TEST(test_long_node), T_TEST(test_loop), T_TEST(test_idle))
