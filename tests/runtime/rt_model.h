/*
 * Test helper: small models for the runtime, built message by message, and their sessions. The
 * bytes of a model live in static memory, because the engine reads weights where they are.
 */
#ifndef LMN_TESTS_RT_MODEL_H
#define LMN_TESTS_RT_MODEL_H

#include "runtime/rt_build.h"

#include "devices/device_list.h"
#include "devices/mock/mock.h"
#include "lamina/lamina.h"
#include "runtime/exec.h"

/* Load; `bytes` must outlive the model. NULL after a failed check. */
LMN_UNUSED static lamina_model *rt_load_bytes(t_env *env, const pb *bytes)
{
    lamina_error err = {0};
    lamina_model *m = NULL;
    T_OK_ERR(lamina_model_load_memory(env->engine, bytes->p, bytes->n, NULL, &m, &err), &err);
    return m;
}
LMN_UNUSED static lamina_model *rt_load(t_env *env, pb *bytes, const pb *graph)
{
    pb_model(bytes, graph);
    return rt_load_bytes(env, bytes);
}

LMN_UNUSED static lamina_session *rt_session(lamina_model *m, const lamina_session_opts *o)
{
    lamina_error err = {0};
    lamina_session *s = NULL;
    if (m) T_OK_ERR(lamina_session_create(m, o, &s, &err), &err);
    return s;
}

/* The CPU device, or the mock as the test wants it. */
LMN_UNUSED static void rt_cpu(t_env *env)
{
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
}
LMN_UNUSED static void rt_mock(t_env *env, const char *options)
{
    T_OK(lamina_device_register(env->engine, &lmn_device_mock, options, NULL));
}
LMN_UNUSED static uint64_t rt_mock_executed(t_env *env)
{
    const lmn_devices *d = env->engine->slot[LMN_SLOT_DEVICES].ptr;
    lmn_mock_counts c;
    lmn_mock_count(d->dev[d->n - 1].self, &c);
    return c.executed;
}

/* A tensor of floats that differ from place to place. */
LMN_UNUSED static lamina_tensor *rt_floats(t_env *env, int32_t rank, const int64_t *dims)
{
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(env->engine, LAMINA_F32, rank, dims, &t));
    float *p = t ? lamina_tensor_mutable_data(t) : NULL;
    for (int64_t i = 0; t && i < lamina_tensor_count(t); i++)
        p[i] = (float)((i * 37 + 11) % 101) / 101.0f - 0.5f;
    return t;
}

/* x [N,4] -> Relu -> h -> Abs -> y: the model of most tests. */
LMN_UNUSED static lamina_model *rt_relu_abs(t_env *env)
{
    static pb g, bytes;
    g.n = 0;
    rt_node(&g, "Relu", "x", "h", NULL);
    rt_node(&g, "Abs", "h", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 4");
    return rt_load(env, &bytes, &g);
}

/* `n` products h = h * w of square matrices of inputs x and w; y is the last. */
LMN_UNUSED static lamina_model *rt_chain(t_env *env, int n)
{
    static pb g, bytes;
    char in[32], out[32];
    g.n = 0;
    for (int i = 0; i < n; i++) {
        (void)snprintf(in, sizeof in, i ? "h%d w" : "x w", i);
        (void)snprintf(out, sizeof out, i + 1 < n ? "h%d" : "y", i + 1);
        rt_node(&g, "MatMul", in, out, NULL);
    }
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N N");
    rt_port(&g, 11, "w", LAMINA_F32, "N N");
    rt_port(&g, 12, "y", LAMINA_F32, "N N");
    return rt_load(env, &bytes, &g);
}

/* y = x after n turns of "v = v * w" in a Loop; w is captured. */
LMN_UNUSED static void rt_loop_bytes(pb *bytes, int64_t n)
{
    rt_looped(bytes, n, "MatMul", "v_in w", "N N", "w");
}
LMN_UNUSED static lamina_model *rt_loop(t_env *env, int64_t n)
{
    static pb bytes;
    rt_loop_bytes(&bytes, n);
    return rt_load_bytes(env, &bytes);
}

#endif
