/*
 * What a failing run says: the node, once.
 */
#include "rt_model.h"

static pb graph, model;

static size_t times(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part)) n++;
    return n;
}

static void test_names_node_once(t_env *env)
{
    const int64_t four = 4, one = 1;
    static const float x[4];
    static const int64_t far = 9;
    lamina_tensor *in[2] = {NULL, NULL}, *out = NULL;
    lamina_error err = {0};
    rt_cpu(env);
    graph.n = 0;
    rt_port(&graph, 11, "x", LAMINA_F32, "4");
    rt_port(&graph, 11, "i", LAMINA_I64, "1");
    rt_port(&graph, 12, "y", LAMINA_F32, "1");
    rt_node(&graph, "Gather", "x i", "y", NULL);
    lamina_model *m = rt_load(env, &model, &graph);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    T_OK(lamina_tensor_from(env->engine, LAMINA_F32, 1, &four, x, &in[0]));
    T_OK(lamina_tensor_from(env->engine, LAMINA_I64, 1, &one, &far, &in[1]));
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_CHECK(lamina_session_run(s, (const lamina_tensor *const *)in, 2, &out, 1, &o) != LAMINA_OK);
    T_EQ(times(err.msg, "node \"y\" (Gather)"), 1);
    T_EQ(times(err.msg, "Gather"), 1);
    for (int i = 0; i < 2; i++) lamina_tensor_unref(in[i]);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_names_node_once))
