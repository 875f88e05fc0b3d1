/*
 * Plug-in operators: the example computes what it says, through import, folding and symbolic
 * shapes; every plug-in that breaks its contract gets a status and a sentence, at the load, at the
 * model or at the run, and leaves an engine that works.
 */
#include "runtime/rt_model.h"

static lamina_error err;

static bool says(const char *part)
{
    if (strstr(err.msg, part)) return true;
    t_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.msg, part);
    return false;
}

static lamina_engine *make_engine(t_env *env)
{
    lamina_engine *e = NULL;
    const lamina_engine_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = 2};
    return T_OK(lamina_engine_create(&o, &e)) ? e : NULL;
}

static lamina_status load(lamina_engine *e, const char *name)
{
    char path[1024];
    (void)lmn_format(path, sizeof path, "%s/%s.so", PLUGIN_DIR, name);
    err = (lamina_error){0};
    return lamina_plugin_load(e, path, &err);
}

/* x -> domain:op -> y, rank-2 floats. */
static void one_node(pb *bytes, const char *domain, const char *op, const char *dims,
                     const pb *attr)
{
    static pb graph, node;
    graph.n = node.n = 0;
    pb_str(&node, 1, "x");
    pb_str(&node, 2, "y");
    pb_str(&node, 3, "it");
    pb_str(&node, 4, op);
    if (attr) pb_msg(&node, 5, attr);
    pb_str(&node, 7, domain);
    pb_msg(&graph, 1, &node);
    rt_port(&graph, 11, "x", LAMINA_F32, dims);
    rt_port(&graph, 12, "y", LAMINA_F32, "a b");
    pb_model(bytes, &graph);
    pb_opset(bytes, 8, "example", 1);
}

static lamina_tensor *floats(lamina_engine *e, int64_t rows, int64_t cols)
{
    const int64_t dims[2] = {rows, cols};
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(e, LAMINA_F32, 2, dims, &t));
    float *p = lamina_tensor_mutable_data(t);
    for (int64_t i = 0; i < rows * cols; i++) p[i] = (float)i;
    return t;
}

static lamina_status run(lamina_session *s, lamina_engine *e, int64_t rows, int64_t cols,
                         lamina_tensor **y)
{
    lamina_tensor *x = floats(e, rows, cols);
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    *y = NULL;
    err = (lamina_error){0};
    const lamina_status st = lamina_session_run(s, (const lamina_tensor *const[]){x}, 1, y, 1, &o);
    lamina_tensor_unref(x);
    return st;
}

static void test_example(t_env *env)
{
    static pb bytes;
    lamina_engine *e = make_engine(env);
    lamina_model *m = NULL;
    one_node(&bytes, "example", "Pairs", "N M", NULL);
    T_EQ(lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err), LAMINA_E_UNSUPPORTED);
    says("plug-in");
    T_OK_ERR(load(e, "custom_op"), &err);
    T_OK_ERR(load(e, "custom_op"), &err); /* again is no error */
    T_OK_ERR(lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err), &err);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    for (int64_t cols = 6; cols >= 0; cols -= 2) {
        lamina_tensor *y;
        if (!T_OK_ERR(run(s, e, 3, cols, &y), &err)) continue;
        T_EQ(lamina_tensor_dims(y)[0], 3);
        T_EQ(lamina_tensor_dims(y)[1], cols / 2);
        const float *p = lamina_tensor_data(y);
        for (int64_t i = 0; i < lamina_tensor_count(y); i++) T_NEAR(p[i], 2 * i + 0.5, 0);
        lamina_tensor_unref(y);
    }
    lamina_tensor *y;
    T_EQ(run(s, e, 3, 5, &y), LAMINA_E_SHAPE);
    says("odd");
    T_CHECK(!y);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    m = NULL;
    one_node(&bytes, "example", "Pairs", "2 7", NULL);
    T_EQ(lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err), LAMINA_E_SHAPE);
    says("pad it by one");
    lamina_engine_destroy(e);
}

/* Shapes that only the run knows: the rule stands before the evaluation. */
static void test_shapes_of_the_run(t_env *env)
{
    static pb graph, bytes, node, attr;
    lamina_engine *e = make_engine(env);
    T_OK_ERR(load(e, "custom_op"), &err);
    graph.n = node.n = 0;
    rt_node(&graph, "NonZero", "x", "i", NULL);
    rt_attr_int(&attr, "to", LAMINA_F32);
    rt_node(&graph, "Cast", "i", "f", &attr);
    pb_str(&node, 1, "f");
    pb_str(&node, 2, "y");
    pb_str(&node, 3, "it");
    pb_str(&node, 4, "Pairs");
    pb_str(&node, 7, "example");
    pb_msg(&graph, 1, &node);
    rt_port(&graph, 11, "x", LAMINA_F32, "N M");
    rt_port(&graph, 12, "y", LAMINA_F32, "2 K");
    pb_model(&bytes, &graph);
    pb_opset(&bytes, 8, "example", 1);
    lamina_model *m = NULL;
    lamina_tensor *y;
    T_OK_ERR(lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err), &err);
    lamina_session *s = rt_session(m, NULL);
    T_REQUIRE(s);
    if (T_OK_ERR(run(s, e, 1, 5, &y), &err)) { /* one of the five is zero */
        T_EQ(lamina_tensor_dims(y)[1], 2);
        T_NEAR(((const float *)lamina_tensor_data(y))[2], 1.5, 0);
        lamina_tensor_unref(y);
    }
    T_EQ(run(s, e, 2, 3, &y), LAMINA_E_SHAPE);
    T_CHECK(says("node \"it\" (Pairs): the last extent of X is odd: pad it by one"));
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
}

/* The attribute is read; a plug-in's node between standard ones, over a constant, is folded. */
static void test_attribute_and_folding(t_env *env)
{
    static pb graph, bytes, node, attr;
    static const float W[2] = {1, -1};
    const int64_t two = 2;
    const float beta = 2;
    uint32_t bits;
    lamina_engine *e = make_engine(env);
    T_OK_ERR(load(e, "custom_op"), &err);
    graph.n = node.n = attr.n = 0;
    memcpy(&bits, &beta, sizeof bits);
    pb_str(&attr, 1, "beta");
    const uint8_t fixed[5] = {2 << 3 | 5, (uint8_t)bits, (uint8_t)(bits >> 8),
                              (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    memcpy(attr.p + attr.n, fixed, sizeof fixed);
    attr.n += sizeof fixed;
    pb_int(&attr, 20, 1);
    pb_str(&node, 1, "w");
    pb_str(&node, 2, "h");
    pb_str(&node, 4, "Swish");
    pb_msg(&node, 5, &attr);
    pb_str(&node, 7, "example");
    pb_msg(&graph, 1, &node);
    rt_node(&graph, "Add", "x h", "y", NULL);
    rt_weight(&graph, "w", LAMINA_F32, 1, &two, W, sizeof W);
    rt_port(&graph, 11, "x", LAMINA_F32, "N 2");
    rt_port(&graph, 12, "y", LAMINA_F32, "N 2");
    pb_model(&bytes, &graph);
    pb_opset(&bytes, 8, "example", 1);
    lamina_model *m = NULL;
    lamina_tensor *y;
    T_OK_ERR(lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err), &err);
    lamina_session *s = rt_session(m, NULL);
    if (s && T_OK_ERR(run(s, e, 1, 2, &y), &err)) {
        const float *p = lamina_tensor_data(y);
        T_NEAR(p[0], 1 / (1 + exp(-2)), 1e-6);
        T_NEAR(p[1], 1 - 1 / (1 + exp(2)), 1e-6);
        lamina_tensor_unref(y);
    }
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
}

/* Refused when they are loaded; the engine is as before. */
static void test_liars_at_load(t_env *env)
{
    static const struct {
        int lie;
        lamina_status st;
        const char *says;
    } ROWS[] = {{4, LAMINA_E_VERSION, "ABI 7"},
                {5, LAMINA_E_UNSUPPORTED, "lamina_plugin_v1"},
                {6, LAMINA_E_STATE, "built in"},
                {10, LAMINA_E_VERSION, "struct of 8 bytes"},
                {11, LAMINA_E_INVALID, "domain of its own"},
                {12, LAMINA_E_STATE, "there already"},
                {16, LAMINA_E_INVALID, "no eval"}};
    lamina_engine *e = make_engine(env);
    for (size_t i = 0; i < T_COUNT(ROWS); i++) {
        char name[32];
        (void)lmn_format(name, sizeof name, "lie_%d", ROWS[i].lie);
        T_CASE(name);
        T_EQ(load(e, name), ROWS[i].st);
        says(ROWS[i].says);
        says(name);
    }
    T_OK_ERR(load(e, "lie_0"), &err); /* tells no lie */
    T_EQ(load(e, "lie_1"), LAMINA_E_STATE);
    T_EQ(load(e, "no_such_file"), LAMINA_E_IO);
    T_CHECK(err.os_errno != 0);
    T_EQ(lamina_plugin_load(e, T_SOURCE_DIR "/README.md", &err), LAMINA_E_UNSUPPORTED);
    says("README.md");
    T_EQ(lamina_plugin_load(NULL, "x", &err), LAMINA_E_INVALID);
    T_EQ(lamina_plugin_load(e, NULL, NULL), LAMINA_E_INVALID);
    lamina_engine_destroy(e);
}

static void lie_later(t_env *env, const char *name, bool at_model, lamina_status want,
                      const char *part)
{
    static pb bytes;
    T_CASE(name);
    lamina_engine *e = make_engine(env);
    lamina_model *m = NULL;
    lamina_tensor *y = NULL;
    T_OK_ERR(load(e, name), &err);
    one_node(&bytes, "my", "Copy", "N 4", NULL);
    lamina_status st = lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err);
    if (at_model) T_EQ(st, want);
    lamina_session *s = m ? rt_session(m, NULL) : NULL;
    /* Twice: what the first run left behind must not pass for the second's work. */
    for (int i = 0; s && i < 2; i++) {
        T_EQ(st = run(s, e, 2, 4, &y), want);
        T_CHECK(want == LAMINA_OK ? y != NULL : y == NULL);
        lamina_tensor_unref(y);
    }
    if (want != LAMINA_OK) {
        T_CHECK(st != LAMINA_OK);
        says(part);
        says("\"it\"");
    }
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
}

static void test_liars_later(t_env *env)
{
    lie_later(env, "lie_0", false, LAMINA_OK, "");
    lie_later(env, "lie_1", false, LAMINA_E_PROTO, "float32[3,4]");
    lie_later(env, "lie_2", false, LAMINA_E_PROTO, "17, which is no status");
    lie_later(env, "lie_3", false, LAMINA_E_PROTO, "without making output 0 \"Y\"");
    lie_later(env, "lie_7", false, LAMINA_E_PROTO, "int32[2,4]");
    lie_later(env, "lie_8", true, LAMINA_E_RANGE, "extent -77");
    lie_later(env, "lie_9", true, LAMINA_E_PROTO, "99, which is no status");
    lie_later(env, "lie_13", true, LAMINA_E_RANGE, "output 5");
    lie_later(env, "lie_14", true, LAMINA_E_SHAPE, "too square");
    lie_later(env, "lie_15", false, LAMINA_E_RANGE, "Tuesday");
}

/* Out of memory at every allocation of a load: a status, nothing held, nothing added. */
static void test_without_memory(t_env *env)
{
    for (int nth = 1; nth < 100; nth++) {
        lamina_engine *e = make_engine(env);
        T_REQUIRE(e);
        t_fail_alloc(env, nth);
        const lamina_status st = load(e, "custom_op");
        const bool met = !t_fail_pending(env);
        t_fail_alloc(env, 0);
        if (met) {
            T_EQ(st, LAMINA_E_NOMEM);
            T_OK_ERR(load(e, "custom_op"), &err);
        }
        lamina_engine_destroy(e);
        if (!met) return;
    }
    T_CHECK(false);
}

T_MAIN(T_TEST(test_example), T_TEST(test_shapes_of_the_run), T_TEST(test_attribute_and_folding),
       T_TEST(test_liars_at_load), T_TEST(test_liars_later), T_TEST(test_without_memory))
