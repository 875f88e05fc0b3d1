/*
 * Blocks of convolutions of bf16 images: a depthwise one with the pointwise ones around it is one
 * node where nobody else reads what is between, and gives the bits of three nodes, on any number of
 * threads.
 */
#include "runtime/rt_model.h"

#include <string.h>

enum { C = 16, WIDE = 48, H = 97, W = 104, IMAGES = 2, LAST = 24 };

static void weight(pb *g, const char *name, int32_t rank, const int64_t *dims)
{
    static float data[4096];
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++) n *= dims[i];
    for (int64_t i = 0; i < n; i++) data[i] = (float)((i * 37 + 11) % 101) / 101.0f - 0.5f;
    rt_weight(g, name, LAMINA_F32, rank, dims, data, (size_t)n * sizeof *data);
}

static void ints(pb *node, const char *name, uint64_t v, int n)
{
    static pb a;
    a.n = 0;
    pb_str(&a, 1, name);
    for (int i = 0; i < n; i++) pb_int(&a, 8, v);
    pb_int(&a, 20, 7);
    pb_msg(node, 5, &a);
}

/* Depthwise, 3 x 3 with padding; in and out are one name each. */
static void deep(pb *g, const char *in, const char *out, uint64_t stride)
{
    static pb n, group;
    n.n = 0;
    pb_str(&n, 1, in), pb_str(&n, 1, "wd"), pb_str(&n, 1, "bd");
    pb_str(&n, 2, out), pb_str(&n, 3, out), pb_str(&n, 4, "Conv");
    rt_attr_int(&group, "group", WIDE);
    pb_msg(&n, 5, &group);
    ints(&n, "strides", stride, 2), ints(&n, "pads", 1, 4);
    pb_msg(g, 1, &n);
}

/* An inverted residual with a sum, and one of stride 2; told: what is between in the first or the
   second is handed out, 0: nothing. */
static lamina_model *model(t_env *env, int told)
{
    static const float lo = 0, hi = 0.6f;
    static pb g, bytes;
    g.n = bytes.n = 0;
    weight(&g, "w0", 4, (int64_t[]){C, C, 1, 1});
    weight(&g, "w1", 4, (int64_t[]){WIDE, C, 1, 1});
    weight(&g, "b1", 1, (int64_t[]){WIDE});
    weight(&g, "wd", 4, (int64_t[]){WIDE, 1, 3, 3});
    weight(&g, "bd", 1, (int64_t[]){WIDE});
    weight(&g, "w3", 4, (int64_t[]){C, WIDE, 1, 1});
    weight(&g, "w4", 4, (int64_t[]){LAST, WIDE, 1, 1});
    rt_weight(&g, "lo", LAMINA_F32, 0, NULL, &lo, sizeof lo);
    rt_weight(&g, "hi", LAMINA_F32, 0, NULL, &hi, sizeof hi);
    rt_node(&g, "Conv", "x w0", "y0", NULL);
    rt_node(&g, "Conv", "y0 w1 b1", "y1", NULL);
    rt_node(&g, "Clip", "y1 lo hi", "z1", NULL);
    deep(&g, "z1", "y2", 1);
    rt_node(&g, "Clip", "y2 lo hi", "z2", NULL);
    rt_node(&g, "Conv", "z2 w3", "y3", NULL);
    rt_node(&g, "Add", "y3 y0", "z3", NULL);
    rt_node(&g, "Conv", "z3 w1", "y4", NULL);
    rt_node(&g, "Relu", "y4", "z4", NULL);
    deep(&g, "z4", "y5", 2);
    rt_node(&g, "Conv", "y5 w4", "y6", NULL);
    rt_node(&g, "Relu", "y6", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "2 16 97 104");
    rt_port(&g, 12, "y", LAMINA_F32, "2 24 49 52");
    if (told == 1) rt_port(&g, 12, "z2", LAMINA_F32, "2 48 97 104");
    if (told == 2) rt_port(&g, 12, "y5", LAMINA_F32, "2 48 49 52");
    return rt_load(env, &bytes, &g);
}

static lamina_tensor *result(lamina_model *m, lamina_tensor *x, int32_t threads, int blocks)
{
    const lamina_session_opts o = {
        .size = sizeof o, .n_threads = threads, .precision = LAMINA_PRECISION_BF16};
    const size_t n_out = lamina_model_output_count(m);
    lamina_tensor *y[3] = {NULL};
    lamina_session *s = rt_session(m, &o);
    if (!s) return NULL;
    int found = 0;
    lamina_node_info info = {.size = sizeof info};
    for (size_t n = 0; lamina_session_node(s, n, &info) == LAMINA_OK; n++)
        found += strcmp(info.op, "ImageBlock") == 0;
    T_EQ(found, blocks);
    T_OK(lamina_session_run(s, (const lamina_tensor *const *)&x, 1, y, n_out, NULL));
    for (size_t i = 1; i < n_out; i++) lamina_tensor_unref(y[i]);
    lamina_session_destroy(s);
    return y[0];
}

static bool same_bits(const lamina_tensor *a, const lamina_tensor *b)
{
    return lamina_tensor_bytes(a) == lamina_tensor_bytes(b) &&
           memcmp(lamina_tensor_data(a), lamina_tensor_data(b), lamina_tensor_bytes(a)) == 0;
}

static void test_blocks(t_env *env)
{
    rt_cpu(env);
    const bool pairs = env->engine->cpu.isa & (LMN_ISA_AVX512BF16 | LMN_ISA_AMX);
    lamina_tensor *x = NULL;
    T_OK(lamina_tensor_create(env->engine, LAMINA_F32, 4, (int64_t[]){IMAGES, C, H, W}, &x));
    T_REQUIRE(x);
    float *at = lamina_tensor_mutable_data(x);
    for (int64_t i = 0; i < lamina_tensor_count(x); i++) at[i] = (float)(i * 7 % 23) / 23.0f - 0.4f;
    lamina_tensor *want[3] = {NULL};
    for (int told = 1; told <= 2; told++) { /* the bytes of a model are the next one's */
        lamina_model *apart = model(env, told);
        T_REQUIRE(apart);
        want[told] = result(apart, x, 1, pairs ? 1 : 0);
        lamina_model_unref(apart);
    }
    lamina_model *whole = model(env, 0);
    T_REQUIRE(whole && want[1] && want[2]);
    for (int32_t threads = 1; threads <= 3; threads++) {
        lamina_tensor *y = result(whole, x, threads, pairs ? 2 : 0);
        T_REQUIRE(y);
        T_CHECK(same_bits(y, want[1]) && same_bits(y, want[2]));
        lamina_tensor_unref(y);
    }
    lamina_tensor_unref(want[1]);
    lamina_tensor_unref(want[2]);
    lamina_model_unref(whole);
    lamina_tensor_unref(x);
}

T_MAIN(T_TEST(test_blocks))
