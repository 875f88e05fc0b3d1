/*
 * Every allocation of load, session and run fails once, one after the other: each time the status
 * is E_NOMEM (or the call does without), nothing leaks, and the same engine then does it all.
 */
#include "runtime/rt_model.h"

/* Load, prepare, run twice, save the trace; the first status that is not OK. Holds nothing. */
static lamina_status once(t_env *env, const pb *bytes, int64_t n)
{
    lamina_error err = {0};
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    lamina_tensor *in[2] = {NULL, NULL}, *out = NULL;
    char path[512];
    lamina_status st = lamina_model_load_memory(env->engine, bytes->p, bytes->n, NULL, &m, &err);
    const lamina_session_opts o = {.size = sizeof o, .n_threads = 1, .profile = true};
    if (st == LAMINA_OK) st = lamina_session_create(m, &o, &s, &err);
    for (int i = 0; st == LAMINA_OK && i < 2; i++) {
        st = lamina_tensor_create(env->engine, LAMINA_F32, 2, (int64_t[]){n, n}, &in[i]);
        if (st == LAMINA_OK) memset(lamina_tensor_mutable_data(in[i]), 0, (size_t)(n * n) * 4);
    }
    for (int turn = 0; st == LAMINA_OK && turn < 2; turn++) {
        const lamina_run_opts ro = {.size = sizeof ro, .error = &err};
        st = lamina_session_run(s, (const lamina_tensor *const *)in, 2, &out, 1, &ro);
        if (st == LAMINA_OK) lamina_tensor_unref(out);
    }
    if (st == LAMINA_OK)
        st = lamina_session_trace_save(s, t_path(env, "t.json", path, sizeof path), &err);
    T_CHECK(st == LAMINA_OK || err.status == LAMINA_OK || err.status == st);
    T_CHECK(err.status == LAMINA_OK || err.msg[0]);
    for (int i = 0; i < 2; i++) lamina_tensor_unref(in[i]);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    return st;
}

static void fail_each(t_env *env, const pb *bytes, int64_t n)
{
    T_EQ(once(env, bytes, n), LAMINA_OK); /* what the engine keeps for good is there now */
    const long long held = atomic_load(&env->live_blocks);
    int k = 1, n_failed = 0;
    for (;; k++) {
        t_fail_alloc(env, k);
        const lamina_status st = once(env, bytes, n);
        if (t_fail_pending(env)) break;
        if (st != LAMINA_E_NOMEM && st != LAMINA_OK) T_STR_EQ(lamina_status_name(st), "E_NOMEM");
        n_failed += st != LAMINA_OK;
        if (!T_EQ(atomic_load(&env->live_blocks), held)) {
            printf("  at allocation %d\n", k);
            break;
        }
    }
    t_fail_alloc(env, 0);
    T_CHECK(n_failed > 20);
    T_EQ(once(env, bytes, n), LAMINA_OK);
}

static void test_chain(t_env *env)
{
    static pb g, bytes, axis;
    rt_cpu(env);
    g.n = 0;
    rt_node(&g, "MatMul", "x w", "h", NULL);
    rt_node(&g, "Relu", "h", "r", NULL);
    rt_attr_int(&axis, "axis", 0);
    rt_node(&g, "Concat", "r x", "c", &axis);
    rt_node(&g, "Shape", "c", "s", NULL);
    rt_node(&g, "Reshape", "c s", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N N");
    rt_port(&g, 11, "w", LAMINA_F32, "N N");
    rt_port(&g, 12, "y", LAMINA_F32, "M N");
    pb_model(&bytes, &g);
    fail_each(env, &bytes, 8);
}

static void test_loop(t_env *env)
{
    rt_cpu(env);
    static pb bytes;
    rt_loop_bytes(&bytes, 3);
    fail_each(env, &bytes, 4);
}

T_MAIN(T_TEST(test_chain), T_TEST(test_loop))
