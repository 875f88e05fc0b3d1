/*
 * Views: numbers, shapes with and without dimensions given, totals, refusals, running out of
 * memory.
 */
#include "../formats/pbuild.h"

#include "lamina/lamina.h"

static pb graph, model;
static lamina_error err;

/* a[N] -> Relu -> b -> Exp -> c */
static lamina_model *chain(t_env *env)
{
    lamina_model *m = NULL;
    graph.n = 0;
    pb_node(&graph, 1, "", "Relu", "a", "b");
    pb_node(&graph, 1, "", "Exp", "b", "c");
    pb_info(&graph, 11, "a");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    (void)T_OK_ERR(lamina_model_load_memory(env->engine, model.p, model.n, NULL, &m, &err), &err);
    return m;
}

static void test_numbers(t_env *env)
{
    lamina_model *m = chain(env);
    lamina_view *v = NULL;
    T_REQUIRE(m && T_OK_ERR(lamina_view_model(m, NULL, &v, &err), &err));
    lamina_view_stats s = {.size = sizeof s};
    T_EQ(lamina_view_get_stats(v, &s), LAMINA_OK);
    T_EQ(s.n_nodes, 2);
    T_EQ(s.n_values, 3);
    T_EQ(s.n_inexact, 2);
    T_EQ(s.n_opsets, 2);
    int64_t version = 0, given = 0;
    T_STR_EQ(lamina_view_opset(v, 1, &version), "my");
    T_EQ(version, 1);
    T_STR_EQ(lamina_view_symbol(v, 0, &given), "N");
    T_EQ(given, -1);
    lamina_view_node n = {.size = sizeof n};
    T_EQ(lamina_view_get_node(v, 1, &n), LAMINA_OK);
    T_STR_EQ(n.op, "Exp");
    T_EQ(lamina_view_input(v, 1, 0), lamina_view_output(v, 0, 0));
    T_EQ(lamina_view_input(v, 1, 1), -1);
    T_EQ(lamina_view_get_node(v, 2, &n), LAMINA_E_RANGE);
    lamina_view_value x = {.size = sizeof x};
    T_EQ(lamina_view_get_value(v, (size_t)lamina_view_graph_output(v, 0, 0), &x), LAMINA_OK);
    T_STR_EQ(x.type, "float32[N]");
    T_EQ(x.producer, 1);
    T_EQ(x.dims[0], -1);
    lamina_model_unref(m); /* the view keeps it */
    T_STR_EQ(x.name, "c");
    lamina_view_destroy(v);
}

static void test_dimensions(t_env *env)
{
    lamina_model *m = chain(env);
    lamina_view *v = NULL;
    const char *four[] = {"N=4"}, *wrong[] = {"M=4"}, *bad[] = {"N=-1"};
    lamina_view_opts o = {.size = sizeof o, .dims = four, .n_dims = 1};
    T_REQUIRE(m && T_OK_ERR(lamina_view_model(m, &o, &v, &err), &err));
    lamina_view_stats s = {.size = sizeof s};
    T_EQ(lamina_view_get_stats(v, &s), LAMINA_OK);
    T_EQ(s.n_inexact, 0);
    T_EQ(s.peak_bytes, 32);
    lamina_view_value x = {.size = sizeof x};
    T_EQ(lamina_view_get_value(v, 2, &x), LAMINA_OK);
    T_EQ(x.dims[0], 4);
    T_EQ(x.bytes, 16);
    lamina_view_destroy(v);
    v = T_UNTOUCHED;
    o.dims = wrong;
    T_EQ(lamina_view_model(m, &o, &v, &err), LAMINA_E_INVALID);
    T_CHECK(strstr(err.msg, "M=4") && strstr(err.msg, "N"));
    o.dims = bad;
    T_EQ(lamina_view_model(m, &o, &v, &err), LAMINA_E_INVALID);
    T_CHECK(v == T_UNTOUCHED);
    lamina_model_unref(m);
}

static void test_no_memory(t_env *env)
{
    lamina_model *m = chain(env);
    T_REQUIRE(m);
    for (int nth = 1; nth < 200; nth++) {
        lamina_view *v = NULL;
        t_fail_alloc(env, nth);
        lamina_status st = lamina_view_model(m, NULL, &v, &err);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
        if (st == LAMINA_OK) lamina_view_destroy(v);
        if (over) break;
    }
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_numbers), T_TEST(test_dimensions), T_TEST(test_no_memory))
