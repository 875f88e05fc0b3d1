/*
 * Placement, strict placement and failing executions, shown with the mock device and a model of two
 * nodes, Relu then Abs, written here byte by byte. The engine of a test has no other device.
 */
#include "t.h"

#include "devices/mock/mock.h"
#include "lamina/lamina.h"
#include "runtime/exec.h"

typedef struct bytes {
    uint8_t p[512];
    size_t n;
} bytes;

/* Field of wire type 2, of fewer than 16384 bytes. */
static void put(bytes *b, int field, const void *data, size_t n)
{
    b->p[b->n++] = (uint8_t)(field << 3 | 2);
    if (n >= 128) b->p[b->n++] = (uint8_t)(n & 127) | 128;
    b->p[b->n++] = (uint8_t)(n >= 128 ? n >> 7 : n);
    memcpy(b->p + b->n, data, n);
    b->n += n;
}
static void put_text(bytes *b, int field, const char *s)
{
    put(b, field, s, strlen(s));
}
static void put_int(bytes *b, int field, uint8_t v)
{
    b->p[b->n++] = (uint8_t)(field << 3);
    b->p[b->n++] = v;
}

static void put_node(bytes *graph, const char *in, const char *out, const char *op)
{
    bytes n = {.n = 0};
    put_text(&n, 1, in), put_text(&n, 2, out), put_text(&n, 3, op), put_text(&n, 4, op);
    put(graph, 1, n.p, n.n);
}

static void put_value(bytes *graph, int field, const char *name)
{
    bytes dim = {.n = 0}, shape = {.n = 0}, tensor = {.n = 0}, type = {.n = 0}, v = {.n = 0};
    put_int(&dim, 1, 4);
    put(&shape, 1, dim.p, dim.n);
    put_int(&tensor, 1, 1);
    put(&tensor, 2, shape.p, shape.n);
    put(&type, 1, tensor.p, tensor.n);
    put_text(&v, 1, name);
    put(&v, 2, type.p, type.n);
    put(graph, field, v.p, v.n);
}

static void make_model(bytes *m)
{
    bytes g = {.n = 0}, opset = {.n = 0};
    put_node(&g, "x", "h", "Relu");
    put_node(&g, "h", "y", "Abs");
    put_text(&g, 2, "g");
    put_value(&g, 11, "x");
    put_value(&g, 12, "y");
    put_int(&opset, 2, 17);
    m->n = 0;
    put_int(m, 1, 8);
    put(m, 7, g.p, g.n);
    put(m, 8, opset.p, opset.n);
}

/* Registers the mock, loads the model, makes a session; its status. */
static lamina_status open_session(t_env *env, const char *options, bool strict, lamina_model **m,
                                  lamina_session **s, lamina_error *err)
{
    static bytes b; /* lent to the model */
    make_model(&b);
    T_OK(lamina_device_register(env->engine, &lmn_device_mock, options, err));
    T_OK_ERR(lamina_model_load_memory(env->engine, b.p, b.n, NULL, m, err), err);
    const lamina_session_opts o = {
        .size = sizeof o, .no_optimize = true, .strict_placement = strict, .n_threads = 1};
    return *m ? lamina_session_create(*m, &o, s, err) : LAMINA_E_STATE;
}

static lamina_status run(t_env *env, lamina_session *s, float *y, lamina_error *err)
{
    const float x[4] = {-1, 2, -3, 4};
    lamina_tensor *in = NULL, *out = NULL;
    T_OK(lamina_tensor_from(env->engine, LAMINA_F32, 1, (int64_t[]){4}, x, &in));
    const lamina_run_opts o = {.size = sizeof o, .error = err};
    const lamina_status st =
        lamina_session_run(s, (const lamina_tensor *const *)&in, 1, &out, 1, &o);
    if (st == LAMINA_OK) memcpy(y, lamina_tensor_data(out), 4 * sizeof *y);
    if (st == LAMINA_OK) lamina_tensor_unref(out);
    lamina_tensor_unref(in);
    return st;
}

static lmn_mock_counts counts(t_env *env)
{
    const lmn_devices *d = env->engine->slot[LMN_SLOT_DEVICES].ptr;
    lmn_mock_counts c;
    lmn_mock_count(d->dev[d->n - 1].self, &c);
    return c;
}

static void test_report(t_env *env)
{
    lamina_error err = {0};
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    T_OK_ERR(open_session(env, "ops=Abs", false, &m, &s, &err), &err);
    T_REQUIRE(s);
    lamina_node_info relu = {.size = sizeof relu}, mock_abs = {.size = sizeof mock_abs};
    T_OK(lamina_session_node(s, 0, &relu));
    T_OK(lamina_session_node(s, 1, &mock_abs));
    T_STR_EQ(relu.kernel, "reference");
    T_CHECK(strstr(relu.reason, "not told") != NULL);
    T_STR_EQ(mock_abs.device, "mock");
    T_STR_EQ(mock_abs.kernel, "mock");
    T_STR_EQ(mock_abs.reason, "");
    lamina_session_stats st = {.size = sizeof st};
    T_OK(lamina_session_get_stats(s, &st));
    T_EQ(st.n_nodes, 2);
    T_EQ(st.n_nodes_fast, 1);
    float y[4] = {0};
    T_OK_ERR(run(env, s, y, &err), &err);
    T_NEAR(y[0], 0, 0);
    T_NEAR(y[3], 4, 0);
    const lmn_mock_counts c = counts(env);
    T_EQ(c.supports, 2);
    T_EQ(c.compiled, 1);
    T_EQ(c.executed, 1);
    lamina_session_destroy(s);
    T_EQ(counts(env).freed, 1);
    lamina_model_unref(m);
}

static void test_strict(t_env *env)
{
    lamina_error err = {0};
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    T_EQ(open_session(env, "ops=Abs", true, &m, &s, &err), LAMINA_E_UNSUPPORTED);
    T_CHECK(!s);
    T_CHECK(strstr(err.msg, "Relu") != NULL);
    lamina_model_unref(m);
}

static void test_strict_served(t_env *env)
{
    lamina_error err = {0};
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    T_OK_ERR(open_session(env, "ops=Relu,Abs", true, &m, &s, &err), &err);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* The third execution fails: the first of the second run. The session stays usable. */
static void test_fail(t_env *env)
{
    lamina_error err = {0};
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    float y[4] = {0};
    T_OK_ERR(open_session(env, "fail=3", false, &m, &s, &err), &err);
    T_REQUIRE(s);
    T_OK_ERR(run(env, s, y, &err), &err);
    T_EQ(run(env, s, y, &err), LAMINA_E_DEVICE);
    T_OK_ERR(run(env, s, y, &err), &err);
    T_EQ(counts(env).executed, 5);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

static void test_options(t_env *env)
{
    lamina_error err = {0};
    static const char *const BAD[] = {"fail=0", "fail=x", "ops=", "what",
                                      "fail=99999999999999999999"};
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        T_CASE(BAD[i]);
        T_EQ(lamina_device_register(env->engine, &lmn_device_mock, BAD[i], &err), LAMINA_E_INVALID);
    }
}

T_MAIN(T_TEST(test_report), T_TEST(test_strict), T_TEST(test_strict_served), T_TEST(test_fail),
       T_TEST(test_options))
