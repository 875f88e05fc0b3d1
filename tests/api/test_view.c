/*
 * Looking at graphs: totals, numbering through subgraphs, dims given by name, ends of every range.
 */
#include "runtime/rt_model.h"

static pb graph, bytes;
static lamina_error err;

/* x float[N,4] -> MatMul w[4,3] -> h -> If c { Relu h } else { Neg h } -> y */
static lamina_model *branching(t_env *env)
{
    static pb then_g, else_g, attrs[2], node;
    static const float W[12] = {1};
    const int64_t dims[2] = {4, 3};
    then_g.n = else_g.n = graph.n = node.n = 0;
    rt_node(&then_g, "Relu", "h", "a", NULL);
    rt_port(&then_g, 12, "a", LAMINA_F32, "N 3");
    rt_node(&else_g, "Neg", "h", "b", NULL);
    rt_port(&else_g, 12, "b", LAMINA_F32, "N 3");
    rt_attr_graph(&attrs[0], "then_branch", &then_g);
    rt_attr_graph(&attrs[1], "else_branch", &else_g);
    rt_node(&graph, "MatMul", "x w", "h", NULL);
    pb_str(&node, 1, "c");
    pb_str(&node, 2, "y");
    pb_str(&node, 3, "choice");
    pb_str(&node, 4, "If");
    pb_msg(&node, 5, &attrs[0]);
    pb_msg(&node, 5, &attrs[1]);
    pb_msg(&graph, 1, &node);
    rt_weight(&graph, "w", LAMINA_F32, 2, dims, W, sizeof W);
    rt_port(&graph, 11, "x", LAMINA_F32, "N 4");
    rt_port(&graph, 11, "c", LAMINA_BOOL, "");
    rt_port(&graph, 12, "y", LAMINA_F32, "N 3");
    return rt_load(env, &bytes, &graph);
}

static void test_model_view(t_env *env)
{
    lamina_model *m = branching(env);
    lamina_view *v = NULL;
    lamina_view_stats st = {.size = sizeof st};
    T_REQUIRE(m && T_OK_ERR(lamina_view_model(m, NULL, &v, &err), &err));
    T_OK(lamina_view_get_stats(v, &st));
    T_EQ(st.n_graphs, 3);
    T_EQ(st.n_nodes, 4);
    T_EQ(st.n_params, 12);
    T_EQ(st.param_bytes, 48);
    T_CHECK(st.flops > 0 && st.n_inexact >= 1);
    int64_t number = 0;
    T_STR_EQ(lamina_view_symbol(v, 0, &number), "N");
    T_EQ(number, -1);
    T_CHECK(!lamina_view_symbol(v, 1, &number) && !lamina_view_symbol(NULL, 0, &number));
    T_STR_EQ(lamina_view_opset(v, 0, &number), "");
    T_EQ(number, 17);
    T_CHECK(!lamina_view_opset(v, 9, &number));
    lamina_view_graph g = {.size = sizeof g};
    int64_t seen = 0;
    for (size_t i = 0; lamina_view_get_graph(v, i, &g) == LAMINA_OK; i++) {
        T_CHECK((i == 0) == (g.parent == -1) && (i == 0) == !*g.attr);
        T_CHECK(lamina_view_graph_output(v, i, 0) >= 0);
        T_EQ(lamina_view_graph_output(v, i, g.n_outputs), -1);
        T_CHECK(lamina_view_graph_input(v, i, 0) >= 0);
        T_EQ(lamina_view_graph_input(v, i, g.n_inputs), -1);
        seen += (int64_t)g.n_nodes;
    }
    T_EQ(seen, (int64_t)st.n_nodes);
    T_EQ(lamina_view_get_graph(v, 3, &g), LAMINA_E_RANGE);
    lamina_view_destroy(v);
    lamina_model_unref(m);
}

static void test_nodes_and_values(t_env *env)
{
    lamina_model *m = branching(env);
    lamina_view *v = NULL;
    char text[64];
    T_REQUIRE(m && T_OK_ERR(lamina_view_model(m, NULL, &v, &err), &err));
    lamina_view_node n = {.size = sizeof n};
    bool branch = false;
    size_t i = 0;
    for (; lamina_view_get_node(v, i, &n) == LAMINA_OK; i++) {
        T_CHECK(n.op[0] && n.name[0] && n.opset == 17);
        T_EQ(lamina_view_input(v, i, n.n_inputs), -1);
        T_EQ(lamina_view_output(v, i, n.n_outputs), -1);
        T_CHECK(!lamina_view_attr(v, i, n.n_attrs, text, sizeof text));
        if (strcmp(n.op, "If") != 0) continue;
        branch = true;
        T_STR_EQ(n.name, "choice");
        T_EQ(n.n_attrs, 2);
        T_CHECK(lamina_view_attr(v, i, 0, text, sizeof text) && !strcmp(text, "graph"));
        T_CHECK(!lamina_view_attr(v, i, 0, NULL, 0));
    }
    T_CHECK(branch && i == 4);
    T_EQ(lamina_view_input(v, i, 0), -1);
    lamina_view_value x = {.size = sizeof x};
    bool weight = false;
    for (i = 0; lamina_view_get_value(v, i, &x) == LAMINA_OK; i++) {
        if (strcmp(x.name, "w") != 0) continue;
        weight = x.constant && x.bytes == 48 && x.producer == -1;
        T_STR_EQ(x.type, "float32[4,3]");
    }
    T_CHECK(weight);
    x.size = 0;
    T_EQ(lamina_view_get_value(v, 0, &x), LAMINA_E_RANGE);
    T_EQ(lamina_view_get_node(NULL, 0, &n), LAMINA_E_RANGE);
    lamina_view_destroy(v);
    lamina_model_unref(m);
}

static void test_dims(t_env *env)
{
    lamina_model *m = branching(env);
    lamina_view *v = NULL;
    T_REQUIRE(m);
    const char *five[] = {"N=5"}, *bad[] = {"Q=5"}, *worse[] = {"N=-1"}, *no[] = {"N"};
    lamina_view_opts o = {.size = sizeof o, .dims = five, .n_dims = 1};
    T_REQUIRE(T_OK_ERR(lamina_view_model(m, &o, &v, &err), &err));
    lamina_view_stats st = {.size = sizeof st};
    T_OK(lamina_view_get_stats(v, &st));
    T_EQ((int64_t)st.n_inexact, 0);
    T_CHECK(st.flops >= 2 * 5 * 4 * 3);
    int64_t number = 0;
    T_CHECK(lamina_view_symbol(v, 0, &number) && number == 5);
    lamina_view_destroy(v);
    const char **lists[] = {bad, worse, no};
    for (size_t i = 0; i < T_COUNT(lists); i++) {
        v = T_UNTOUCHED;
        o.dims = lists[i];
        T_EQ(lamina_view_model(m, &o, &v, &err), LAMINA_E_INVALID);
        T_CHECK(v == T_UNTOUCHED && strstr(err.msg, lists[i][0]));
    }
    lamina_model_unref(m);
}

static void test_session_view(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = branching(env);
    lamina_session *s = rt_session(m, NULL);
    lamina_view *v = NULL;
    T_REQUIRE(s && T_OK_ERR(lamina_view_session(s, NULL, &v, &err), &err));
    lamina_view_node n = {.size = sizeof n};
    for (size_t i = 0; lamina_view_get_node(v, i, &n) == LAMINA_OK; i++)
        if (n.graph == 0) T_CHECK(n.device[0] && (n.kernel[0] || n.reason[0]));
    lamina_node_info info = {.size = sizeof info};
    T_OK(lamina_session_node(s, 0, &info));
    T_STR_EQ(info.op, "MatMul");
    T_STR_EQ(info.name, "h");
    T_EQ(lamina_session_node(s, 99, &info), LAMINA_E_RANGE);
    lamina_view_destroy(v);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_model_view), T_TEST(test_nodes_and_values), T_TEST(test_dims),
       T_TEST(test_session_view))
