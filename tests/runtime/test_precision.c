/*
 * Precision of sessions: exact, bf16, auto, strict and int8 on products and convolutions of f32,
 * and models of bf16 and f16 against the reference. Bounds are those of rounding the operands;
 * names in the placement report say what ran.
 */
#include "runtime/rt_model.h"

#include "tensor/dtype.h"

#include <math.h>

enum { ROWS = 37, K = 72, N = 40, C_IN = 16, C_OUT = 24, SIDE = 9 };

static float value(int64_t i)
{
    return (float)((i * 37 + 11) % 101) / 101.0f - 0.5f;
}

static void put(void *p, lamina_dtype dt, int64_t i, float v)
{
    uint16_t *h = p;
    if (dt == LAMINA_F32)
        ((float *)p)[i] = v;
    else
        h[i] = dt == LAMINA_BF16 ? lmn_f32_to_bf16(v) : lmn_f32_to_f16(v);
}
static double get(const lamina_tensor *t, int64_t i)
{
    return lmn_get_f64(t, i);
}

static lamina_tensor *numbers(t_env *env, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(env->engine, dt, rank, dims, &t));
    for (int64_t i = 0; t && i < lamina_tensor_count(t); i++)
        put(lamina_tensor_mutable_data(t), dt, i, value(i * 3 + 1));
    return t;
}

static void weight(pb *g, const char *name, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    static union {
        float f[4096];
        uint16_t h[4096];
    } data;
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++) n *= dims[i];
    for (int64_t i = 0; i < n; i++) put(&data, dt, i, value(i));
    rt_weight(g, name, dt, rank, dims, &data, (size_t)n * (dt == LAMINA_F32 ? 4 : 2));
}

typedef enum what { ATTEND, MATMUL, GEMM, CONV, CONV_WIDE, CONV_GROUPS, WHATS } what;
static const char *const WHAT_NAMES[WHATS] = {"Attention", "MatMul",   "Gemm",
                                              "Conv 1x1",  "Conv 3x3", "Conv groups"};

/* x times a constant w, with a bias where the operator has one. */
static lamina_model *model_of(t_env *env, pb *bytes, what w, lamina_dtype dt)
{
    static pb g, attr;
    g.n = 0, attr.n = 0;
    const int64_t groups = w == CONV_GROUPS ? 4 : 1, taps = w == CONV ? 1 : 3;
    if (w == ATTEND) {
        static const float scale = 0.2f;
        rt_weight(&g, "c", LAMINA_F32, 0, NULL, &scale, sizeof scale);
        pb_str(&attr, 1, "perm");
        for (uint64_t i = 0; i < 4; i++) pb_int(&attr, 8, i < 2 ? i : 5 - i);
        pb_int(&attr, 20, 7);
        rt_node(&g, "Transpose", "x", "xt", &attr);
        rt_node(&g, "MatMul", "x xt", "s", NULL);
        rt_node(&g, "Mul", "s c", "m", NULL);
        rt_node(&g, "Softmax", "m", "p", NULL);
        rt_node(&g, "MatMul", "p x", "y", NULL);
    } else if (w == MATMUL) {
        weight(&g, "w", dt, 2, (int64_t[]){K, N});
        rt_node(&g, "MatMul", "x w", "y", NULL);
    } else if (w == GEMM) {
        weight(&g, "w", dt, 2, (int64_t[]){N, K});
        weight(&g, "b", dt, 1, (int64_t[]){N});
        rt_attr_int(&attr, "transB", 1);
        rt_node(&g, "Gemm", "x w b", "y", &attr);
    } else {
        weight(&g, "w", dt, 4, (int64_t[]){C_OUT, C_IN / groups, taps, taps});
        weight(&g, "b", dt, 1, (int64_t[]){C_OUT});
        rt_attr_int(&attr, "group", (uint64_t)groups);
        rt_node(&g, "Conv", "x w b", "y", groups > 1 ? &attr : NULL);
    }
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", dt, w >= CONV ? "2 16 9 9" : w ? "37 72" : "1 2 37 72");
    rt_port(&g, 12, "y", dt, w >= CONV ? "2 24 H W" : w ? "37 40" : "1 2 37 72");
    return rt_load(env, bytes, &g);
}

static lamina_tensor *input_of(t_env *env, what w, lamina_dtype dt)
{
    return w >= CONV ? numbers(env, dt, 4, (int64_t[]){2, C_IN, SIDE, SIDE})
           : w       ? numbers(env, dt, 2, (int64_t[]){ROWS, K})
                     : numbers(env, dt, 4, (int64_t[]){1, 2, ROWS, K});
}

static lamina_tensor *run_once(lamina_session *s, lamina_tensor *x)
{
    lamina_error err = {0};
    lamina_tensor *y = NULL;
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)&x, 1, &y, 1, &o), &err);
    return y;
}

/* Largest difference, in units of the largest value. */
static double off(const lamina_tensor *a, const lamina_tensor *b)
{
    double most = 0, size = 0;
    T_EQ(lamina_tensor_count(a), lamina_tensor_count(b));
    for (int64_t i = 0; i < lamina_tensor_count(a); i++) {
        most = fmax(most, fabs(get(a, i) - get(b, i)));
        size = fmax(size, fabs(get(a, i)));
    }
    return most / size;
}
static bool same_bits(const lamina_tensor *a, const lamina_tensor *b)
{
    return lamina_tensor_bytes(a) == lamina_tensor_bytes(b) &&
           memcmp(lamina_tensor_data(a), lamina_tensor_data(b), lamina_tensor_bytes(a)) == 0;
}

static bool named(const lamina_session *s, const char *part)
{
    lamina_node_info info = {.size = sizeof info};
    T_OK(lamina_session_node(s, 0, &info));
    return strstr(info.kernel, part) != NULL;
}

/* Of f32: bf16 differs by its roundings and says so; auto gives the exact result first. */
static void test_sessions(t_env *env)
{
    rt_cpu(env);
    for (what w = 0; w < WHATS; w++) {
        static pb bytes;
        T_CASE(WHAT_NAMES[w]);
        lamina_model *m = model_of(env, &bytes, w, LAMINA_F32);
        T_REQUIRE(m);
        lamina_tensor *x = input_of(env, w, LAMINA_F32), *y[5], *again[5];
        for (uint32_t p = 0; p < 5; p++) {
            const lamina_session_opts o = {.size = sizeof o, .precision = p};
            lamina_session *s = rt_session(m, &o);
            T_REQUIRE(s);
            y[p] = run_once(s, x), again[p] = run_once(s, x);
            const bool exact = p == LAMINA_PRECISION_EXACT || p == LAMINA_PRECISION_STRICT;
            if (exact) T_CHECK(named(s, w == ATTEND ? "attention.f32" : "f32"));
            lamina_session_destroy(s);
        }
        T_CHECK(off(y[0], y[1]) < 0.02);
        T_CHECK(off(y[0], y[3]) < 1e-5);
        T_CHECK(same_bits(y[0], y[2]));               /* the trial gives the exact result */
        T_CHECK(off(y[0], again[2]) < 0.02);          /* then what it found */
        const bool bytes8 = w == MATMUL || w == GEMM; /* tried like auto, the rest is bf16 */
        if (bytes8) T_CHECK(same_bits(y[0], y[4]));
        if (!bytes8) T_CHECK(same_bits(y[1], y[4]));
        T_CHECK(off(y[0], again[4]) < 0.05);
        for (int p = 0; p < 5; p++) {
            if (p != LAMINA_PRECISION_AUTO && !(bytes8 && p == LAMINA_PRECISION_INT8))
                T_CHECK(same_bits(y[p], again[p]));
            lamina_tensor_unref(y[p]);
            lamina_tensor_unref(again[p]);
        }
        lamina_tensor_unref(x);
        lamina_model_unref(m);
    }
}

/* Nearly equal products that cancel: auto keeps f32 where bf16 would be far off. */
static void test_auto_refuses(t_env *env)
{
    static pb g, bytes;
    static float w[64 * 32];
    rt_cpu(env);
    g.n = 0;
    for (int64_t k = 0; k < 64; k++)
        for (int64_t j = 0; j < 32; j++) w[k * 32 + j] = k % 2 ? -1.0f : 1.0f + (float)j * 1e-4f;
    rt_weight(&g, "w", LAMINA_F32, 2, (int64_t[]){64, 32}, w, sizeof w);
    rt_node(&g, "MatMul", "x w", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "4 64");
    rt_port(&g, 12, "y", LAMINA_F32, "4 32");
    lamina_model *m = rt_load(env, &bytes, &g);
    T_REQUIRE(m);
    lamina_tensor *x = NULL;
    T_OK(lamina_tensor_create(env->engine, LAMINA_F32, 2, (int64_t[]){4, 64}, &x));
    for (int64_t i = 0; x && i < 256; i++) ((float *)lamina_tensor_mutable_data(x))[i] = 1.0f;
    const lamina_session_opts o = {.size = sizeof o, .precision = LAMINA_PRECISION_AUTO};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    lamina_tensor *first = run_once(s, x), *second = run_once(s, x);
    T_CHECK(same_bits(first, second));
    lamina_tensor_unref(first);
    lamina_tensor_unref(second);
    lamina_tensor_unref(x);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* Models of 16 bits: kernels against the reference, which rounds once from f64. */
static void test_16_bits(t_env *env)
{
    rt_cpu(env);
    for (int d = 0; d < 2; d++) {
        const lamina_dtype dt = d ? LAMINA_F16 : LAMINA_BF16;
        for (what w = MATMUL; w < WHATS; w++) {
            static pb bytes;
            T_CASE(WHAT_NAMES[w]);
            lamina_model *m = model_of(env, &bytes, w, dt);
            T_REQUIRE(m);
            lamina_tensor *x = input_of(env, w, dt), *y[2];
            for (int r = 0; r < 2; r++) {
                const lamina_session_opts o = {.size = sizeof o, .reference = r};
                lamina_session *s = rt_session(m, &o);
                T_REQUIRE(s);
                if (!r) T_CHECK(named(s, d ? "hgemm.f16" : "hgemm.bf16"));
                y[r] = run_once(s, x);
                lamina_session_destroy(s);
            }
            T_CHECK(off(y[1], y[0]) <= (d ? 0x1p-10 : 0x1p-7));
            lamina_tensor_unref(y[0]);
            lamina_tensor_unref(y[1]);
            lamina_tensor_unref(x);
            lamina_model_unref(m);
        }
    }
}

/* Attention of 16 bits, causal: one rounding of the result, in bf16 those of the weights too. */
static void test_attention_16_bits(t_env *env)
{
    rt_cpu(env);
    for (int d = 0; d < 2; d++) {
        static pb g, bytes, attr;
        const lamina_dtype dt = d ? LAMINA_F16 : LAMINA_BF16;
        g.n = bytes.n = attr.n = 0;
        rt_attr_int(&attr, "is_causal", 1);
        rt_node(&g, "Attention", "x x x", "y", &attr);
        pb_str(&g, 2, "g");
        rt_port(&g, 11, "x", dt, "B H S 72");
        rt_port(&g, 12, "y", dt, "B H S 72");
        pb_int(&bytes, 1, 11);
        pb_opset(&bytes, 8, "", 23);
        pb_msg(&bytes, 7, &g);
        lamina_model *m = rt_load_bytes(env, &bytes);
        T_REQUIRE(m);
        for (int few = 0; few < 2; few++) {
            lamina_tensor *x = numbers(env, dt, 4, (int64_t[]){2, 3, few ? 5 : ROWS, K}), *y[3];
            for (int r = 0; r < 3; r++) {
                const lamina_session_opts o = {.size = sizeof o,
                                               .reference = r == 2,
                                               .precision = r ? LAMINA_PRECISION_BF16
                                                              : LAMINA_PRECISION_EXACT};
                lamina_session *s = rt_session(m, &o);
                T_REQUIRE(s);
                if (r < 2) T_CHECK(named(s, d ? "hgemm.f16" : "hgemm.bf16"));
                y[r] = run_once(s, x);
                lamina_session_destroy(s);
            }
            T_CHECK(off(y[2], y[0]) <= (d ? 0x1p-11 : 0x1p-8));
            T_CHECK(off(y[2], y[1]) <= (d ? 0x1p-11 : 0x1p-6));
            for (int r = 0; r < 3; r++) lamina_tensor_unref(y[r]);
            lamina_tensor_unref(x);
        }
        lamina_model_unref(m);
    }
}

static void test_unknown(t_env *env)
{
    lamina_error err = {0};
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    lamina_session *s = T_UNTOUCHED;
    const lamina_session_opts o = {.size = sizeof o, .precision = 5};
    T_EQ(lamina_session_create(m, &o, &s, &err), LAMINA_E_INVALID);
    T_CHECK(s == T_UNTOUCHED);
    lamina_model_unref(m);
}

/* A model of x [2, 16, 9, 9] whose convolutions hand on images: in bf16 one region of them where
   the machine multiplies pairs, turned in so many places, near f32, the same bits with two
   threads. */
static void expect_images(t_env *env, lamina_model *m, int places)
{
    T_REQUIRE(m);
    lamina_tensor *x = numbers(env, LAMINA_F32, 4, (int64_t[]){2, C_IN, SIDE, SIDE}), *y[3];
    for (int i = 0; i < 3; i++) {
        const lamina_session_opts o = {.size = sizeof o,
                                       .n_threads = i == 2 ? 2 : 1,
                                       .precision =
                                           i ? LAMINA_PRECISION_BF16 : LAMINA_PRECISION_EXACT};
        lamina_session *s = NULL;
        T_OK(lamina_session_create(m, &o, &s, NULL));
        const bool pairs = env->engine->cpu.isa & (LMN_ISA_AVX512BF16 | LMN_ISA_AMX);
        int turned = 0, images = 0;
        lamina_node_info info = {.size = sizeof info};
        for (size_t n = 0; lamina_session_node(s, n, &info) == LAMINA_OK; n++)
            turned += strcmp(info.op, "Transpose") == 0 || strcmp(info.op, "ToImage") == 0,
                images += strcmp(info.op, "ImageConv") == 0;
        T_EQ(images > 0, i && pairs);
        T_EQ(turned, i && pairs ? places : 0);
        y[i] = run_once(s, x);
        lamina_session_destroy(s);
    }
    T_CHECK(off(y[1], y[0]) < 0.02);
    T_CHECK(same_bits(y[1], y[2]));
    for (int i = 0; i < 3; i++) lamina_tensor_unref(y[i]);
    lamina_tensor_unref(x);
    lamina_model_unref(m);
}

/* Convolutions that hand on images, with a residual, clips, a window and a depthwise one: in bf16
   they work with their channels last where the machine multiplies pairs. */
static void test_chain(t_env *env)
{
    static pb g, bytes, attr, groups;
    rt_cpu(env);
    g.n = 0, attr.n = 0, groups.n = 0;
    const int64_t one[4] = {C_OUT, C_IN, 1, 1}, window[4] = {C_OUT, C_OUT, 1, 2},
                  last[4] = {C_IN, C_OUT, 1, 1};
    weight(&g, "w0", LAMINA_F32, 4, one);
    weight(&g, "w1", LAMINA_F32, 4, window);
    weight(&g, "w2", LAMINA_F32, 4, (int64_t[]){C_OUT, C_OUT, 1, 1});
    weight(&g, "w3", LAMINA_F32, 4, last);
    weight(&g, "wd", LAMINA_F32, 4, (int64_t[]){C_OUT, 1, 3, 3});
    rt_attr_int(&groups, "group", C_OUT);
    weight(&g, "b", LAMINA_F32, 1, (int64_t[]){C_OUT});
    pb_str(&attr, 1, "auto_pad");
    pb_str(&attr, 4, "SAME_UPPER");
    pb_int(&attr, 20, 3);
    rt_node(&g, "Conv", "x w0 b", "y0", NULL);
    rt_node(&g, "Relu", "y0", "z0", NULL);
    rt_node(&g, "Conv", "z0 w1 b", "y1", &attr);
    rt_node(&g, "Relu", "y1", "z1", NULL);
    rt_node(&g, "Conv", "z1 w2", "y2", NULL);
    rt_node(&g, "Add", "y2 z0", "s2", NULL);
    rt_node(&g, "Relu", "s2", "z2", NULL);
    rt_node(&g, "Conv", "z2 wd b", "y3", &groups);
    rt_node(&g, "Relu", "y3", "z3", NULL);
    rt_node(&g, "Conv", "z3 w3", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "2 16 9 9");
    rt_port(&g, 12, "y", LAMINA_F32, "2 16 7 7");
    expect_images(env, rt_load(env, &bytes, &g), 2);
}

/* SiLU between them, and what moves pixels or chooses among them. */
static void test_movers(t_env *env)
{
    static const float scales[4] = {1, 1, 2, 2};
    static pb g, bytes, two, axis, window;
    rt_cpu(env);
    g.n = 0, window.n = 0;
    weight(&g, "w0", LAMINA_F32, 4, (int64_t[]){C_OUT, C_IN, 1, 1});
    weight(&g, "w1", LAMINA_F32, 4, (int64_t[]){C_OUT, 2 * C_OUT, 1, 1});
    weight(&g, "w2", LAMINA_F32, 4, (int64_t[]){C_OUT, C_OUT, 1, 1});
    weight(&g, "w3", LAMINA_F32, 4, (int64_t[]){C_IN, C_OUT, 1, 1});
    weight(&g, "b", LAMINA_F32, 1, (int64_t[]){C_OUT});
    rt_weight(&g, "scales", LAMINA_F32, 1, (int64_t[]){4}, scales, sizeof scales);
    rt_attr_int(&two, "axis", 1);
    rt_attr_int(&axis, "axis", (uint64_t)-3);
    pb_str(&window, 1, "kernel_shape");
    pb_int(&window, 8, 2), pb_int(&window, 8, 2), pb_int(&window, 20, 7);
    rt_node(&g, "Conv", "x w0 b", "y0", NULL);
    rt_node(&g, "Sigmoid", "y0", "s0", NULL);
    rt_node(&g, "Mul", "y0 s0", "z0", NULL);
    rt_weight(&g, "parts", LAMINA_I64, 1, (int64_t[]){2}, (int64_t[]){8, 16}, 16);
    rt_node(&g, "Split", "z0 parts", "p q", &two);
    rt_node(&g, "Concat", "q z0 p", "c", &axis);
    rt_node(&g, "Conv", "c w1", "y1", NULL);
    rt_node(&g, "Sigmoid", "y1", "s1", NULL);
    rt_node(&g, "Mul", "y1 s1", "a1", NULL);
    rt_node(&g, "Add", "a1 z0", "z1", NULL);
    rt_node(&g, "MaxPool", "z1", "m", &window);
    rt_node(&g, "Resize", "m - scales", "r", NULL);
    rt_node(&g, "Conv", "r w2", "y2", NULL);
    rt_node(&g, "Conv", "y2 w3", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "2 16 9 9");
    rt_port(&g, 12, "y", LAMINA_F32, "2 16 16 16");
    expect_images(env, rt_load(env, &bytes, &g), 2);
}

/* A region that ends in a mean hands on f32, which a convolution outside of it reads. */
static void test_mean(t_env *env)
{
    static pb g, bytes;
    rt_cpu(env);
    g.n = 0;
    weight(&g, "w0", LAMINA_F32, 4, (int64_t[]){C_OUT, C_IN, 1, 1});
    weight(&g, "w1", LAMINA_F32, 4, (int64_t[]){C_OUT, C_OUT, 1, 1});
    weight(&g, "w2", LAMINA_F32, 4, (int64_t[]){C_IN, C_OUT, 1, 1});
    rt_node(&g, "Conv", "x w0", "y0", NULL);
    rt_node(&g, "Conv", "y0 w1", "y1", NULL);
    rt_node(&g, "GlobalAveragePool", "y1", "y2", NULL);
    rt_node(&g, "Conv", "y2 w2", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "2 16 9 9");
    rt_port(&g, 12, "y", LAMINA_F32, "2 16 1 1");
    expect_images(env, rt_load(env, &bytes, &g), 1);
}

/* Two heads whose results are joined for others: each of them ends the region, and the join works
   in the usual order. */
static void test_heads(t_env *env)
{
    static pb g, bytes, axis;
    rt_cpu(env);
    g.n = 0;
    weight(&g, "w0", LAMINA_F32, 4, (int64_t[]){C_OUT, C_IN, 1, 1});
    weight(&g, "w1", LAMINA_F32, 4, (int64_t[]){C_OUT, C_OUT, 1, 1});
    weight(&g, "w2", LAMINA_F32, 4, (int64_t[]){C_IN, C_OUT, 1, 1});
    rt_attr_int(&axis, "axis", 1);
    rt_node(&g, "Conv", "x w0", "y0", NULL);
    rt_node(&g, "Conv", "y0 w1", "y1", NULL);
    rt_node(&g, "Conv", "y1 w1", "y2", NULL);
    rt_node(&g, "Conv", "y2 w1", "y3", NULL);
    rt_node(&g, "Conv", "y3 w1", "p", NULL);
    rt_node(&g, "Conv", "y3 w2", "q", NULL);
    rt_node(&g, "Concat", "p q", "y", &axis);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "2 16 9 9");
    rt_port(&g, 12, "y", LAMINA_F32, "2 40 9 9");
    expect_images(env, rt_load(env, &bytes, &g), 3);
}

/* In bf16 so many norms and products of m hand on or take bf16, where the machine multiplies pairs;
   one thread and two give the same bits, near those of exact. Takes m and x. */
static void expect_short(t_env *env, lamina_model *m, lamina_tensor *x, int norms, int products)
{
    lamina_tensor *y[3];
    const bool pairs = env->engine->cpu.isa & (LMN_ISA_AVX512BF16 | LMN_ISA_AMX);
    for (int i = 0; i < 3; i++) {
        lamina_session_opts o = {.size = sizeof o, .n_threads = i == 2 ? 2 : 1};
        o.precision = i ? LAMINA_PRECISION_BF16 : LAMINA_PRECISION_EXACT;
        lamina_session *s = NULL;
        T_OK(lamina_session_create(m, &o, &s, NULL));
        int n_norms = 0, n_products = 0;
        lamina_node_info info = {.size = sizeof info};
        for (size_t n = 0; lamina_session_node(s, n, &info) == LAMINA_OK; n++) {
            n_norms += strcmp(info.op, "ShortLayerNorm") == 0;
            n_products += strcmp(info.op, "ShortMatMul") == 0;
        }
        T_EQ(n_norms, i && pairs ? norms : 0);
        T_EQ(n_products, i && pairs ? products : 0);
        y[i] = run_once(s, x);
        lamina_session_destroy(s);
    }
    T_CHECK(off(y[1], y[0]) < 0.02);
    T_CHECK(!same_bits(y[1], y[0]) || !pairs);
    T_CHECK(same_bits(y[1], y[2]));
    for (int i = 0; i < 3; i++) lamina_tensor_unref(y[i]);
    lamina_tensor_unref(x);
    lamina_model_unref(m);
}

/* A block of a transformer: in bf16 the normalisation and the first product hand on bf16 where the
   machine multiplies pairs; the residual is of f32. */
static void test_short(t_env *env)
{
    static pb g, bytes;
    rt_cpu(env);
    g.n = 0;
    weight(&g, "one", LAMINA_F32, 1, (int64_t[]){33});
    weight(&g, "up", LAMINA_F32, 2, (int64_t[]){33, 47});
    weight(&g, "bias", LAMINA_F32, 1, (int64_t[]){47});
    weight(&g, "down", LAMINA_F32, 2, (int64_t[]){47, 33});
    rt_node(&g, "LayerNormalization", "x one one", "n", NULL);
    rt_node(&g, "MatMul", "n up", "a", NULL);
    rt_node(&g, "Add", "a bias", "b", NULL);
    rt_node(&g, "Tanh", "b", "c", NULL);
    rt_node(&g, "MatMul", "c down", "d", NULL);
    rt_node(&g, "Add", "d n", "e", NULL);
    rt_node(&g, "LayerNormalization", "e one", "m", NULL);
    rt_node(&g, "MatMul", "m up", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "3 70 33");
    rt_port(&g, 12, "y", LAMINA_F32, "3 70 47");
    lamina_model *m = rt_load(env, &bytes, &g);
    T_REQUIRE(m);
    expect_short(env, m, numbers(env, LAMINA_F32, 3, (int64_t[]){3, 70, 33}), 2, 3);
}

/* Bounds in front of a SiLU are not those of a result that leaves as bf16. */
static void test_short_bounds(t_env *env)
{
    static pb g, bytes;
    static const float lo = -0.1f, hi = 0.1f;
    rt_cpu(env);
    g.n = 0;
    weight(&g, "one", LAMINA_F32, 1, (int64_t[]){33});
    weight(&g, "up", LAMINA_F32, 2, (int64_t[]){33, 48});
    weight(&g, "bias", LAMINA_F32, 1, (int64_t[]){48});
    weight(&g, "down", LAMINA_F32, 2, (int64_t[]){48, 33});
    rt_weight(&g, "lo", LAMINA_F32, 0, NULL, &lo, sizeof lo);
    rt_weight(&g, "hi", LAMINA_F32, 0, NULL, &hi, sizeof hi);
    rt_node(&g, "LayerNormalization", "x one one", "n", NULL);
    rt_node(&g, "MatMul", "n up", "a", NULL);
    rt_node(&g, "Add", "a bias", "b", NULL);
    rt_node(&g, "Clip", "b lo hi", "c", NULL);
    rt_node(&g, "Sigmoid", "c", "s", NULL);
    rt_node(&g, "Mul", "c s", "w", NULL);
    rt_node(&g, "MatMul", "w down", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "70 33");
    rt_port(&g, 12, "y", LAMINA_F32, "70 33");
    lamina_model *m = rt_load(env, &bytes, &g);
    T_REQUIRE(m);
    expect_short(env, m, numbers(env, LAMINA_F32, 2, (int64_t[]){70, 33}), 1, 2);
}

T_MAIN(T_TEST(test_sessions), T_TEST(test_short), T_TEST(test_short_bounds), T_TEST(test_heads),
       T_TEST(test_chain), T_TEST(test_movers), T_TEST(test_mean), T_TEST(test_auto_refuses),
       T_TEST(test_16_bits), T_TEST(test_attention_16_bits), T_TEST(test_unknown))
