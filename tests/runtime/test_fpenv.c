/*
 * Bits do not depend on the caller's floating-point modes: a model loaded, prepared and run by a
 * caller that rounds upward and flushes denormals, with a pool whose threads start under these
 * modes, gives what it gives otherwise; and the caller finds its modes as they were.
 */
#include "t.h"

#include "odd_modes.h"
#include "runtime/rt_model.h"

#include <math.h>

#define N 192
#define N_OUT 4

/* Products (cut into chunks), a softmax, results below the normal range, folded constants. */
static void make_model(pb *bytes)
{
    static pb g;
    const float tiny = 1e-20f, small = 3e-20f;
    const float many[8] = {3, 7, 11, 13, 17, 19, 23, 29};
    g.n = 0;
    rt_node(&g, "MatMul", "x x", "h", NULL);
    rt_node(&g, "Softmax", "h", "p", NULL);
    rt_node(&g, "Mul", "x tiny", "a", NULL);
    rt_node(&g, "Mul", "a small", "low", NULL);
    rt_node(&g, "Mul", "tiny small", "c", NULL); /* folded */
    rt_node(&g, "Div", "small many", "d", NULL);
    rt_node(&g, "Add", "c d", "k", NULL);
    rt_node(&g, "Tanh", "h", "t", NULL);
    rt_node(&g, "CumSum", "t axis", "s", NULL); /* by its reference */
    pb_str(&g, 2, "g");
    rt_weight(&g, "tiny", LAMINA_F32, 0, NULL, &tiny, sizeof tiny);
    rt_weight(&g, "small", LAMINA_F32, 0, NULL, &small, sizeof small);
    rt_weight(&g, "many", LAMINA_F32, 1, (int64_t[]){8}, many, sizeof many);
    rt_weight(&g, "axis", LAMINA_I64, 0, NULL, &(int64_t){0}, sizeof(int64_t));
    rt_port(&g, 11, "x", LAMINA_F32, "192 192");
    rt_port(&g, 12, "p", LAMINA_F32, "192 192");
    rt_port(&g, 12, "low", LAMINA_F32, "192 192");
    rt_port(&g, 12, "k", LAMINA_F32, "8");
    rt_port(&g, 12, "s", LAMINA_F32, "192 192");
    pb_model(bytes, &g);
}

/* Load, prepare, run; `odd` under odd modes, which each call must leave. */
static void outputs_of(t_env *env, const pb *bytes, bool odd, const lamina_session_opts *so,
                       lamina_tensor **out)
{
    lamina_tensor *x = rt_floats(env, 2, (int64_t[]){N, N});
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    int left = 0;
    lamina_status st[3] = {0};
    if (odd) odd_modes_set();
    st[0] = lamina_model_load_memory(env->engine, bytes->p, bytes->n, NULL, &m, NULL);
    left += odd_modes_are_set();
    if (!st[0]) st[1] = lamina_session_create(m, so, &s, NULL);
    left += odd_modes_are_set();
    if (s) st[2] = lamina_session_run(s, (const lamina_tensor *[]){x}, 1, out, N_OUT, NULL);
    left += odd_modes_are_set();
    if (odd) odd_modes_end();
    for (int i = 0; i < 3; i++) T_OK(st[i]);
    T_EQ(left, odd ? 3 : 0);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_tensor_unref(x);
}

static void compare(t_env *env, const lamina_session_opts *so)
{
    static pb bytes;
    lamina_tensor *odd[N_OUT] = {0}, *plain[N_OUT] = {0};
    make_model(&bytes);
    outputs_of(env, &bytes, true, so, odd); /* first: the pool's threads start here */
    outputs_of(env, &bytes, false, so, plain);
    for (int i = 0; i < N_OUT; i++) {
        T_REQUIRE(odd[i] && plain[i]);
        T_EQ(lamina_tensor_bytes(odd[i]), lamina_tensor_bytes(plain[i]));
        T_CHECK(memcmp(odd[i]->data, plain[i]->data, lamina_tensor_bytes(plain[i])) == 0);
    }
    const float *low = plain[1]->data;
    float most = 0;
    for (int i = 0; i < N * N; i++) most = fmaxf(most, fabsf(low[i]));
    T_CHECK(most > 0 && most < 1e-38f); /* denormals are kept */
    for (int i = 0; i < N_OUT; i++) {
        lamina_tensor_unref(odd[i]);
        lamina_tensor_unref(plain[i]);
    }
}

static void test_pool(t_env *env)
{
    env->engine->n_threads = 4;
    rt_cpu(env);
    compare(env, NULL);
}

static void test_alone(t_env *env)
{
    rt_cpu(env);
    compare(env, &(lamina_session_opts){.size = sizeof(lamina_session_opts), .n_threads = 1});
}

static void test_reference(t_env *env)
{
    env->engine->n_threads = 4;
    rt_cpu(env);
    compare(env, &(lamina_session_opts){
                     .size = sizeof(lamina_session_opts), .reference = true, .no_optimize = true});
}

T_MAIN(T_TEST(test_pool), T_TEST(test_alone), T_TEST(test_reference))
