/*
 * A device as somebody outside the tree writes one, on lamina/device.h and nothing else: it doubles
 * for Relu, adds one for Abs, and fills its outputs wherever they lie, in the memory of the plan or
 * in blocks of their own.
 */
#include "runtime/rt_model.h"

static lamina_status probe(char *reason, size_t cap)
{
    (void)reason, (void)cap;
    return LAMINA_OK;
}

static lamina_status open_device(lamina_engine *engine, const char *options, void **self)
{
    (void)engine, (void)options;
    static int instance;
    *self = &instance;
    return LAMINA_OK;
}

static void close_device(void *self)
{
    (void)self;
}

struct lamina_kernel {
    float scale, shift;
};
static lamina_kernel doubling = {2, 0}, counting = {1, 1};

static bool supports(void *self, const lamina_node *node, char *text, size_t cap)
{
    (void)self;
    const char *op = lamina_node_op(node);
    const bool ok = !strcmp(op, "Relu") || !strcmp(op, "Abs");
    snprintf(text, cap, "%s", ok ? "linear" : "only Relu and Abs");
    return ok;
}

static lamina_status compile(void *self, const lamina_node *node, lamina_kernel **out,
                             lamina_error *err)
{
    (void)self, (void)err;
    *out = strcmp(lamina_node_op(node), "Relu") == 0 ? &doubling : &counting;
    return LAMINA_OK;
}

static void kernel_free(void *self, lamina_kernel *kernel)
{
    (void)self, (void)kernel;
}

static lamina_status execute(void *self, lamina_kernel *k, lamina_call *call)
{
    (void)self;
    const lamina_tensor *x = lamina_call_input(call, 0);
    lamina_tensor *y = NULL;
    const lamina_status st =
        lamina_call_output(call, 0, LAMINA_F32, lamina_tensor_rank(x), lamina_tensor_dims(x), &y);
    if (st != LAMINA_OK || !y) return st;
    const float *from = lamina_tensor_data(x);
    float *to = lamina_tensor_mutable_data(y);
    if (lamina_tensor_count(y) && !to) return LAMINA_E_STATE;
    for (int64_t i = 0; i < lamina_tensor_count(y); i++) to[i] = from[i] * k->scale + k->shift;
    return LAMINA_OK;
}

static const lamina_device_vtable outside = {.abi = LAMINA_DEVICE_ABI,
                                             .name = "outside",
                                             .probe = probe,
                                             .open = open_device,
                                             .close = close_device,
                                             .supports = supports,
                                             .compile = compile,
                                             .kernel_free = kernel_free,
                                             .execute = execute};

/* x -> Relu -> Abs -> Relu -> y: two results in planned memory, one in place, and an output. */
static void test_outputs(t_env *env)
{
    static pb g, bytes;
    g.n = 0;
    rt_node(&g, "Relu", "x", "a", NULL);
    rt_node(&g, "Transpose", "a", "b", NULL);
    rt_node(&g, "Abs", "b", "c", NULL);
    rt_node(&g, "Relu", "c", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N");
    rt_port(&g, 12, "y", LAMINA_F32, "N");
    rt_cpu(env);
    T_OK(lamina_device_register(env->engine, &outside, NULL, NULL));
    lamina_model *m = rt_load(env, &bytes, &g);
    const lamina_session_opts o = {.size = sizeof o, .no_optimize = true};
    lamina_session *s = rt_session(m, &o);
    for (int64_t n = 0; s && n < 70; n += 23) {
        lamina_tensor *x = rt_floats(env, 1, &n), *y = NULL;
        lamina_error err = {0};
        const lamina_run_opts ro = {.size = sizeof ro, .error = &err};
        T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)&x, 1, &y, 1, &ro), &err);
        const float *from = lamina_tensor_data(x), *got = lamina_tensor_data(y);
        for (int64_t i = 0; got && i < n; i++) T_NEAR(got[i], (from[i] * 2 + 1) * 2, 0);
        T_CHECK(n == 0 || lamina_tensor_mutable_data(y) == (const void *)got);
        lamina_tensor_unref(x);
        lamina_tensor_unref(y);
    }
    lamina_node_info info = {.size = sizeof info};
    if (s) T_OK(lamina_session_node(s, 2, &info));
    T_CHECK(s && !strcmp(info.device, "outside") && !strcmp(info.kernel, "linear"));
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_outputs))
