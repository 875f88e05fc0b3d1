/*
 * Panels of 4-bit weights in a file of packed ones: the same bits with it and without, and other
 * scales beside the same weights are noticed. Weights, scales and the model are files of their own.
 */
#include "runtime/rt_model.h"

#include <sys/stat.h>

enum { K = 512, N = 250, BLOCK = 32, BLOCKS = K / BLOCK, Q_BYTES = N * K / 2, ROWS = 7 };

static void external(pb *g, const char *name, lamina_dtype dt, const int64_t *dims, int rank)
{
    static pb t, e;
    t.n = e.n = 0;
    for (int i = 0; i < rank; i++) pb_int(&t, 1, (uint64_t)dims[i]);
    pb_int(&t, 2, dt), pb_str(&t, 8, name);
    pb_str(&e, 1, "location"), pb_str(&e, 2, name), pb_msg(&t, 13, &e);
    pb_int(&t, 14, 1);
    pb_msg(g, 5, &t);
}

static void write_scales(t_env *env, float first)
{
    static float s[N * BLOCKS];
    char path[512];
    for (int i = 0; i < N * BLOCKS; i++) s[i] = first + (float)(i % 13) / 64.0f;
    (void)t_write(env, "scales", s, sizeof s, path, sizeof path);
}

static void attr_int(pb *node, const char *name, int64_t v)
{
    static pb a;
    a.n = 0;
    pb_str(&a, 1, name), pb_int(&a, 3, (uint64_t)v), pb_int(&a, 20, 2);
    pb_msg(node, 5, &a);
}

static void write_model(t_env *env)
{
    static pb g, node, bytes;
    static uint8_t q[Q_BYTES];
    char path[512];
    g.n = node.n = bytes.n = 0;
    for (int i = 0; i < Q_BYTES; i++) q[i] = (uint8_t)(i * 73 + i / 251);
    (void)t_write(env, "weights", q, sizeof q, path, sizeof path);
    write_scales(env, 0.25f);
    external(&g, "weights", LAMINA_U8, (int64_t[]){N, BLOCKS, BLOCK / 2}, 3);
    external(&g, "scales", LAMINA_F32, (int64_t[]){N * BLOCKS}, 1);
    pb_str(&node, 1, "x"), pb_str(&node, 1, "weights"), pb_str(&node, 1, "scales");
    pb_str(&node, 2, "y"), pb_str(&node, 4, "MatMulNBits"), pb_str(&node, 7, "com.microsoft");
    attr_int(&node, "K", K), attr_int(&node, "N", N), attr_int(&node, "bits", 4);
    attr_int(&node, "block_size", BLOCK), attr_int(&node, "accuracy_level", 4);
    pb_msg(&g, 1, &node);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "M 512");
    rt_port(&g, 12, "y", LAMINA_F32, "M 250");
    pb_int(&bytes, 1, 8);
    pb_opset(&bytes, 8, "", 17), pb_opset(&bytes, 8, "com.microsoft", 1);
    pb_msg(&bytes, 7, &g);
    (void)t_write(env, "m.onnx", bytes.p, bytes.n, path, sizeof path);
}

typedef struct answer {
    float y[ROWS * N];
    uint64_t packed, mapped;
} answer;

static answer ask(t_env *env, const char *cache)
{
    static answer a;
    const lamina_session_opts o = {.size = sizeof o, .prepack_cache = cache};
    char path[512];
    lamina_error err = {0};
    lamina_model *m = NULL;
    lamina_tensor *x = rt_floats(env, 2, (int64_t[]){ROWS, K}), *y = NULL;
    memset(&a, 0, sizeof a);
    T_OK_ERR(
        lamina_model_load(env->engine, t_path(env, "m.onnx", path, sizeof path), NULL, &m, &err),
        &err);
    lamina_session *s = rt_session(m, &o);
    lamina_model_unref(m);
    const lamina_run_opts run = {.size = sizeof run, .error = &err};
    if (s) T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)&x, 1, &y, 1, &run), &err);
    if (y) memcpy(a.y, lamina_tensor_data(y), sizeof a.y);
    lamina_session_stats stats = {.size = sizeof stats};
    if (s) T_OK(lamina_session_get_stats(s, &stats));
    a.packed = stats.packed_bytes, a.mapped = stats.packed_mapped_bytes;
    lamina_tensor_unref(x), lamina_tensor_unref(y);
    lamina_session_destroy(s);
    return a;
}

static void test_scales(t_env *env)
{
    char dir[512];
    rt_cpu(env);
    write_model(env);
    T_EQ(mkdir(t_path(env, "cache", dir, sizeof dir), 0700), 0);
    for (int i = 0; i < 3; i++) {
        write_scales(env, (float)i); /* the weights stay the same file */
        const answer plain = ask(env, NULL);
        T_CHECK(plain.packed > Q_BYTES + sizeof(float) * N * BLOCKS);
        T_EQ(plain.mapped, 0);
        for (int turn = 0; turn < 2; turn++) {
            const answer kept = ask(env, dir);
            T_EQ(kept.mapped, kept.packed);
            T_MEM_EQ(kept.y, plain.y, sizeof plain.y);
        }
    }
}

T_MAIN(T_TEST(test_scales))
