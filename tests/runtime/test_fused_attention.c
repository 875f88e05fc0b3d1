/*
 * Attention as the passes fuse it: within 1e-5 of the graph as written, by the kernels and by the
 * reference, and the same bits for 1 and 2 threads. Layouts, masks, groups of heads, sizes around
 * the blocks. And Attention itself: the kernel beside the reference, rows that see nothing too.
 */
#include "rt_model.h"

#include <math.h>

typedef struct form {
    int64_t heads, kv_heads, queries, keys, d;
    bool k_native; /* k comes as [batch, heads, d, keys] */
    bool bias, keep, inverted, packed;
} form;

static void attr_ints(pb *a, const char *name, int n, const int64_t *v)
{
    a->n = 0;
    pb_str(a, 1, name);
    for (int i = 0; i < n; i++) pb_int(a, 8, (uint64_t)v[i]);
    pb_int(a, 20, 7);
}

static void transpose(pb *g, const char *in, const char *out, const int64_t *perm)
{
    static pb a;
    attr_ints(&a, "perm", 4, perm);
    rt_node(g, "Transpose", in, out, &a);
}

static void ints_weight(pb *g, const char *name, int64_t n, const int64_t *v)
{
    rt_weight(g, name, LAMINA_I64, 1, &n, v, (size_t)n * sizeof *v);
}

/* k [b, kv_heads, ...] repeated to all heads, as exporters do. */
static void repeat(pb *g, const form *f, const char *in, const char *out, int64_t r, int64_t c)
{
    const int64_t two = 2, times[5] = {1, 1, f->heads / f->kv_heads, 1, 1},
                  shape[4] = {0, f->heads, r, c};
    char names[4][32], pair[80];
    for (int i = 0; i < 4; i++) (void)snprintf(names[i], sizeof names[i], "%s_%d", out, i);
    ints_weight(g, names[0], 1, &two);
    ints_weight(g, names[1], 5, times);
    ints_weight(g, names[2], 4, shape);
    char wide[40];
    (void)snprintf(wide, sizeof wide, "%s_wide", out);
    (void)snprintf(pair, sizeof pair, "%s %s", in, names[0]);
    rt_node(g, "Unsqueeze", pair, names[3], NULL);
    (void)snprintf(pair, sizeof pair, "%s %s", names[3], names[1]);
    rt_node(g, "Expand", pair, wide, NULL);
    (void)snprintf(pair, sizeof pair, "%s %s", wide, names[2]);
    rt_node(g, "Reshape", pair, out, NULL);
}

static void dims_text(char *to, size_t cap, const int64_t *d)
{
    (void)snprintf(to, cap, "%d %d %d %d", (int)d[0], (int)d[1], (int)d[2], (int)d[3]);
}

static const int64_t HEADS_OUT[4] = {0, 2, 1, 3}, LAST_TWO[4] = {0, 1, 3, 2};

static lamina_model *build(t_env *env, const form *f, int64_t in[5][4])
{
    static pb g, bytes;
    const float root = 3.0f, least = -3e38f;
    char text[80];
    g.n = 0;
    const int64_t q[4] = {2, f->queries, f->heads, f->d}, v[4] = {2, f->kv_heads, f->keys, f->d},
                  kn[4] = {2, f->kv_heads, f->d, f->keys}, bias[4] = {2, 1, 1, f->keys},
                  keep[4] = {1, 1, f->queries, f->keys};
    const int64_t *all[5] = {q, f->k_native ? kn : v, v, bias, keep};
    memcpy(in[0], q, sizeof q);
    for (int i = 0; i < 5; i++) memcpy(in[i], all[i], sizeof q);
    rt_weight(&g, "root", LAMINA_F32, 0, NULL, &root, sizeof root);
    rt_weight(&g, "least", LAMINA_F32, 0, NULL, &least, sizeof least);
    transpose(&g, "q", "qt", HEADS_OUT);
    const bool group = f->heads != f->kv_heads;
    if (group) repeat(&g, f, "k", "kr", in[1][2], in[1][3]);
    if (group) repeat(&g, f, "v", "vr", f->keys, f->d);
    if (!f->k_native) transpose(&g, group ? "kr" : "k", "kt", LAST_TWO);
    rt_node(&g, "MatMul", f->k_native ? group ? "qt kr" : "qt k" : "qt kt", "s", NULL);
    rt_node(&g, "Div", "s root", "s1", NULL);
    if (f->keep) rt_node(&g, "Where", f->inverted ? "keep least s1" : "keep s1 least", "s2", NULL);
    if (f->bias) rt_node(&g, "Add", f->keep ? "s2 bias" : "s1 bias", "s3", NULL);
    rt_node(&g, "Softmax", f->bias ? "s3" : f->keep ? "s2" : "s1", "p", NULL);
    rt_node(&g, "MatMul", group ? "p vr" : "p v", f->packed ? "o" : "y", NULL);
    if (f->packed) transpose(&g, "o", "y", HEADS_OUT);
    pb_str(&g, 2, "g");
    static const char *const NAMES[5] = {"q", "k", "v", "bias", "keep"};
    for (int i = 0; i < 5; i++) {
        if ((i == 3 && !f->bias) || (i == 4 && !f->keep)) continue;
        dims_text(text, sizeof text, in[i]);
        rt_port(&g, 11, NAMES[i], i == 4 ? LAMINA_BOOL : LAMINA_F32, text);
    }
    const int64_t y4[4] = {2, f->packed ? f->queries : f->heads, f->packed ? f->heads : f->queries,
                           f->d};
    dims_text(text, sizeof text, y4);
    rt_port(&g, 12, "y", LAMINA_F32, text);
    return rt_load(env, &bytes, &g);
}

static void fill(t_env *env, lamina_tensor *t, bool mask)
{
    float *p = lamina_tensor_mutable_data(t);
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        p[i] = (float)t_rand_real(env, -2, 2);
        if (mask) p[i] = t_rand_real(env, 0, 1) < 0.3 ? -1e9f : 0.0f;
    }
}

static lamina_tensor *run(lamina_model *m, const lamina_session_opts *o, lamina_tensor *const *in,
                          size_t n)
{
    lamina_session *s = rt_session(m, o);
    lamina_tensor *y = NULL;
    lamina_error err = {0};
    const lamina_run_opts r = {.size = sizeof r, .error = &err};
    const lamina_tensor *lent[5];
    for (size_t i = 0; i < n; i++) lent[i] = in[i];
    if (s) T_OK_ERR(lamina_session_run(s, lent, n, &y, 1, &r), &err);
    lamina_session_destroy(s);
    return y;
}

static void check_near(const lamina_tensor *a, const lamina_tensor *b)
{
    const float *x = lamina_tensor_data(a), *y = lamina_tensor_data(b);
    double top = 0, worst = 0;
    T_EQ(lamina_tensor_count(a), lamina_tensor_count(b));
    for (int64_t i = 0; i < lamina_tensor_count(b); i++) {
        top = fmax(top, fabs((double)y[i]));
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
        if (!isfinite(x[i])) worst = INFINITY;
    }
    T_CHECK(worst <= 1e-5 * top);
}

/* All sessions near the first, those with one thread and with two the same. Takes all it is given.
 */
static void compare(lamina_model *m, const lamina_session_opts *o, size_t n_o, lamina_tensor **in,
                    size_t n)
{
    lamina_tensor *y[4] = {NULL};
    bool all = true;
    for (size_t i = 0; i < n_o; i++) {
        y[i] = run(m, &o[i], in, n);
        all = all && y[i];
    }
    if (T_CHECK(all)) {
        for (size_t i = 1; i < n_o; i++) check_near(y[i], y[0]);
        T_MEM_EQ(lamina_tensor_data(y[1]), lamina_tensor_data(y[2]),
                 (size_t)lamina_tensor_count(y[1]) * sizeof(float));
    }
    for (size_t i = 0; i < n_o; i++) lamina_tensor_unref(y[i]);
    for (size_t i = 0; i < n; i++) lamina_tensor_unref(in[i]);
    lamina_model_unref(m);
}

static void check_form(t_env *env, const form *f)
{
    int64_t dims[5][4];
    lamina_tensor *in[5] = {NULL};
    size_t n = 0;
    lamina_model *m = build(env, f, dims);
    for (int i = 0; i < 4; i++) {
        if (i == 3 && !f->bias) continue;
        T_OK(lamina_tensor_create(env->engine, LAMINA_F32, 4, dims[i], &in[n]));
        fill(env, in[n++], i == 3);
    }
    if (f->keep) {
        T_OK(lamina_tensor_create(env->engine, LAMINA_BOOL, 4, dims[4], &in[n]));
        uint8_t *p = lamina_tensor_mutable_data(in[n]);
        for (int64_t i = 0; i < f->queries; i++)
            for (int64_t k = 0; k < f->keys; k++)
                p[i * f->keys + k] = (k <= i + f->keys - f->queries) != f->inverted;
        n++;
    }
    const lamina_session_opts o[4] = {{.size = sizeof *o, .n_threads = 1, .no_optimize = true},
                                      {.size = sizeof *o, .n_threads = 1},
                                      {.size = sizeof *o, .n_threads = 2},
                                      {.size = sizeof *o, .n_threads = 1, .reference = true}};
    compare(m, o, T_COUNT(o), in, n);
}

static void test_forms(t_env *env)
{
    static const form FORMS[] = {
        {2, 2, 7, 7, 5, false, true, false, false, true},
        {3, 3, 130, 130, 8, false, true, false, false, true},
        {2, 2, 1, 33, 16, false, true, true, false, true},
        {2, 2, 20, 40, 8, true, false, true, true, false},
        {4, 2, 9, 31, 4, false, true, true, false, true},
        {6, 2, 150, 151, 8, true, true, true, true, true},
        {4, 1, 5, 6, 3, false, false, false, false, false},
        {1, 1, 40, 2500, 4, false, true, false, false, true},
        {2, 2, 300, 1100, 20, false, true, true, false, true},
        {2, 2, 1, 1, 1, false, true, true, false, true},
    };
    rt_cpu(env);
    for (size_t i = 0; i < T_COUNT(FORMS); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "form %d", (int)i);
        T_CASE(name);
        check_form(env, &FORMS[i]);
    }
}

/* ---- Attention of ai.onnx ----------------------------------------------------------------------
 */

typedef struct standard {
    int64_t heads, kv_heads, queries, keys, d;
    bool flat, causal, mask, keep;
} standard;

static lamina_model *build_standard(t_env *env, const standard *f, int64_t in[4][4])
{
    static pb g, bytes, attr, n;
    const int64_t heads[3] = {f->heads, f->kv_heads, f->kv_heads};
    char text[80];
    g.n = n.n = 0;
    for (int i = 0; i < 3; i++) {
        const int64_t len = i ? f->keys : f->queries;
        const int64_t d4[4] = {2, heads[i], len, f->d}, d3[4] = {2, len, heads[i] * f->d, 0};
        memcpy(in[i], f->flat ? d3 : d4, sizeof d4);
    }
    const int64_t m[4] = {1, f->heads, f->queries, f->keys};
    memcpy(in[3], m, sizeof m);
    static const char *const NAMES[4] = {"q", "k", "v", "m"};
    for (int i = 0; i < 4; i++)
        if (i < 3 || f->mask || f->keep) pb_str(&n, 1, NAMES[i]);
    pb_str(&n, 2, "y");
    pb_str(&n, 4, "Attention");
    rt_attr_int(&attr, "is_causal", f->causal);
    pb_msg(&n, 5, &attr);
    rt_attr_int(&attr, "q_num_heads", (uint64_t)f->heads);
    if (f->flat) pb_msg(&n, 5, &attr);
    rt_attr_int(&attr, "kv_num_heads", (uint64_t)f->kv_heads);
    if (f->flat) pb_msg(&n, 5, &attr);
    pb_msg(&g, 1, &n);
    pb_str(&g, 2, "g");
    for (int i = 0; i < 4; i++) {
        if (i == 3 && !f->mask && !f->keep) continue;
        if (f->flat && i < 3)
            (void)snprintf(text, sizeof text, "2 %d %d", (int)in[i][1], (int)in[i][2]);
        else
            dims_text(text, sizeof text, in[i]);
        rt_port(&g, 11, NAMES[i], i == 3 && f->keep ? LAMINA_BOOL : LAMINA_F32, text);
    }
    rt_port(&g, 12, "y", LAMINA_F32, f->flat ? "2 S W" : "2 H S D");
    bytes.n = 0;
    pb_int(&bytes, 1, 11);
    pb_opset(&bytes, 8, "", 23);
    pb_msg(&bytes, 7, &g);
    return rt_load_bytes(env, &bytes);
}

static void check_standard(t_env *env, const standard *f)
{
    int64_t dims[4][4];
    lamina_tensor *in[4] = {NULL};
    size_t n = 0;
    lamina_model *m = build_standard(env, f, dims);
    for (; n < 3; n++) {
        T_OK(lamina_tensor_create(env->engine, LAMINA_F32, f->flat ? 3 : 4, dims[n], &in[n]));
        fill(env, in[n], false);
    }
    if (f->mask || f->keep) {
        T_OK(lamina_tensor_create(env->engine, f->keep ? LAMINA_BOOL : LAMINA_F32, 4, dims[3],
                                  &in[n]));
        void *p = lamina_tensor_mutable_data(in[n]);
        for (int64_t i = 0; i < lamina_tensor_count(in[n]); i++) {
            const bool see = i / f->keys != 3 && t_rand_real(env, 0, 1) < 0.7;
            if (f->keep)
                ((uint8_t *)p)[i] = see;
            else
                ((float *)p)[i] = see ? 0.5f : -INFINITY;
        }
        n++;
    }
    const lamina_session_opts o[3] = {{.size = sizeof *o, .n_threads = 1, .reference = true},
                                      {.size = sizeof *o, .n_threads = 1},
                                      {.size = sizeof *o, .n_threads = 2}};
    compare(m, o, T_COUNT(o), in, n);
}

static void test_standard(t_env *env)
{
    static const standard FORMS[] = {
        {2, 2, 7, 7, 5, true, true, false, false},
        {4, 2, 140, 150, 8, true, false, true, false},
        {4, 1, 9, 30, 16, false, true, false, true},
        {3, 3, 200, 200, 8, false, true, true, false},
        {2, 2, 1, 65, 64, true, false, false, true},
        {2, 1, 40, 20, 3, false, false, false, false},
        {2, 2, 130, 2000, 4, true, true, false, true},
    };
    rt_cpu(env);
    for (size_t i = 0; i < T_COUNT(FORMS); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "attention %d", (int)i);
        T_CASE(name);
        check_standard(env, &FORMS[i]);
    }
}

/* RMSNormalization as a graph writes it, by the kernel and by the reference. */
static void test_rms(t_env *env)
{
    static pb g, bytes;
    const float eps = 1e-6f, one = 1.0f;
    const int64_t axis = -1, dims[2] = {70, 517}, row[1] = {517};
    g.n = bytes.n = 0;
    rt_weight(&g, "eps", LAMINA_F32, 0, NULL, &eps, sizeof eps);
    rt_weight(&g, "one", LAMINA_F32, 0, NULL, &one, sizeof one);
    ints_weight(&g, "axes", 1, &axis);
    rt_node(&g, "Mul", "x x", "p", NULL);
    rt_node(&g, "ReduceMean", "p axes", "v", NULL);
    rt_node(&g, "Add", "v eps", "e", NULL);
    rt_node(&g, "Sqrt", "e", "r", NULL);
    rt_node(&g, "Div", "one r", "i", NULL);
    rt_node(&g, "Mul", "x i", "n", NULL);
    rt_node(&g, "Mul", "w n", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N 517");
    rt_port(&g, 11, "w", LAMINA_F32, "517");
    rt_port(&g, 12, "y", LAMINA_F32, "N 517");
    pb_int(&bytes, 1, 8);
    pb_opset(&bytes, 8, "", 18);
    pb_msg(&bytes, 7, &g);
    rt_cpu(env);
    lamina_model *m = rt_load_bytes(env, &bytes);
    lamina_tensor *in[2] = {rt_floats(env, 2, dims), rt_floats(env, 1, row)}, *y[4];
    const lamina_session_opts o[4] = {{.size = sizeof *o, .n_threads = 1, .no_optimize = true},
                                      {.size = sizeof *o, .n_threads = 1},
                                      {.size = sizeof *o, .n_threads = 2},
                                      {.size = sizeof *o, .n_threads = 1, .reference = true}};
    for (int i = 0; i < 4; i++) y[i] = run(m, &o[i], in, 2);
    if (T_CHECK(y[0] && y[1] && y[2] && y[3])) {
        check_near(y[1], y[0]);
        check_near(y[3], y[0]);
        T_MEM_EQ(lamina_tensor_data(y[1]), lamina_tensor_data(y[2]),
                 (size_t)lamina_tensor_count(y[1]) * sizeof(float));
    }
    for (int i = 0; i < 4; i++) lamina_tensor_unref(y[i]);
    lamina_tensor_unref(in[0]);
    lamina_tensor_unref(in[1]);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_rms), T_TEST(test_forms), T_TEST(test_standard))
