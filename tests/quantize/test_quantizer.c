/*
 * A quantizer from create to compare: what it makes of a small net in each mode, what it refuses,
 * and that nothing is held when an allocation fails.
 */
#include "runtime/rt_model.h"

#include "graph/model.h"
#include "lamina/quantize.h"

/* x [2,4] -> Gemm (w 3x4 transposed, b) -> Relu -> MatMul (v 3x2) -> y. */
static const pb *net(void)
{
    static pb g, bytes, attr;
    static const float w[12] = {1, -1, 0.5F, 0.25F, -2, 1, 1, 0.5F, 0.125F, 2, -1, 1};
    static const float b[3] = {0.5F, -0.25F, 1}, v[6] = {1, 0.5F, -1, 2, 0.25F, -0.5F};
    g.n = bytes.n = 0;
    rt_attr_int(&attr, "transB", 1);
    rt_node(&g, "Gemm", "x w b", "h", &attr);
    rt_node(&g, "Relu", "h", "r", NULL);
    rt_node(&g, "MatMul", "r v", "y", NULL);
    pb_str(&g, 2, "g");
    rt_weight(&g, "w", LAMINA_F32, 2, (int64_t[]){3, 4}, w, sizeof w);
    rt_weight(&g, "b", LAMINA_F32, 1, (int64_t[]){3}, b, sizeof b);
    rt_weight(&g, "v", LAMINA_F32, 2, (int64_t[]){3, 2}, v, sizeof v);
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 2");
    pb_model(&bytes, &g);
    return &bytes;
}

static int count_ops(const lamina_model *m, const char *op)
{
    int n = 0;
    for (size_t i = 0; i < m->graph->n_nodes; i++)
        n += !strcmp(m->graph->nodes[i].op.def->name, op);
    return n;
}

/* All of it once; the first status that is not OK. *made: a ref, unless NULL is given. */
static lamina_status run_mode(t_env *env, lamina_quantize_mode mode, lamina_model **made,
                              lamina_quantize_layer *last)
{
    lamina_error err = {0};
    lamina_model *m = NULL, *out = NULL;
    lamina_quantizer *q = NULL;
    lamina_tensor *x = NULL;
    const pb *bytes = net();
    const lamina_quantize_opts o = {.size = sizeof o, .mode = mode, .block = mode == 3 ? 16 : 0};
    lamina_status st = lamina_model_load_memory(env->engine, bytes->p, bytes->n, NULL, &m, &err);
    if (st == LAMINA_OK)
        st = lamina_tensor_create(env->engine, LAMINA_F32, 2, (int64_t[]){2, 4}, &x);
    for (int i = 0; x && i < 8; i++) ((float *)lamina_tensor_mutable_data(x))[i] = (float)i / 4 - 1;
    const lamina_tensor *const in[1] = {x};
    if (st == LAMINA_OK) st = lamina_quantizer_create(m, &o, &q, &err);
    if (st == LAMINA_OK && mode == LAMINA_QUANTIZE_STATIC)
        st = lamina_quantizer_calibrate(q, in, 1, &err);
    if (st == LAMINA_OK) st = lamina_quantizer_finish(q, &out, &err);
    if (st == LAMINA_OK) st = lamina_quantizer_compare(q, in, 1, &err);
    if (st == LAMINA_OK && last) {
        last->size = sizeof *last;
        st = lamina_quantizer_layer(q, lamina_quantizer_layer_count(q) - 1, last);
        last->name = last->op = NULL; /* gone with the quantizer */
    }
    T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
    if (made && st == LAMINA_OK) *made = lamina_model_ref(out);
    lamina_quantizer_destroy(q);
    lamina_model_unref(out);
    lamina_tensor_unref(x);
    lamina_model_unref(m);
    return st;
}

static void test_modes(t_env *env)
{
    static const struct {
        lamina_quantize_mode mode;
        const char *op;
        int n;
        double most; /* relative error */
    } WANT[] = {{LAMINA_QUANTIZE_STATIC, "DequantizeLinear", 5, 0.02},
                {LAMINA_QUANTIZE_STATIC, "QuantizeLinear", 2, 0.02},
                {LAMINA_QUANTIZE_DYNAMIC, "MatMulInteger", 2, 0.02},
                {LAMINA_QUANTIZE_DYNAMIC, "DynamicQuantizeLinear", 2, 0.02},
                {LAMINA_QUANTIZE_DYNAMIC, "Gemm", 0, 0.02},
                {LAMINA_QUANTIZE_INT4, "MatMulNBits", 2, 0.15}};
    rt_cpu(env);
    for (size_t i = 0; i < T_COUNT(WANT); i++) {
        lamina_model *m = NULL;
        lamina_quantize_layer out = {0};
        T_CASE(WANT[i].op);
        T_OK(run_mode(env, WANT[i].mode, &m, &out));
        T_REQUIRE(m);
        T_EQ(count_ops(m, WANT[i].op), WANT[i].n);
        T_OK(lmn_graph_verify(m->graph, NULL));
        T_STR_EQ(m->graph->values[m->graph->outputs[0]].name, "y");
        T_EQ(out.n_values, 4);
        T_EQ(out.n_rows, 2);
        T_CHECK(out.rel_l2 > 0 && out.rel_l2 < WANT[i].most);
        T_NEAR(out.sqnr_db, -20 * log10(out.rel_l2), 1e-9);
        T_CHECK(out.cosine > 0.99 && out.cosine <= 1 + 1e-12);
        lamina_model_unref(m); /* it outlived its quantizer */
    }
}

static void test_out_of_memory(t_env *env)
{
    rt_cpu(env);
    for (int mode = 1; mode <= 3; mode++) {
        T_OK(run_mode(env, (lamina_quantize_mode)mode, NULL, NULL));
        const long long held = atomic_load(&env->live_blocks);
        int n_failed = 0;
        for (int k = 1;; k++) {
            t_fail_alloc(env, k);
            const lamina_status st = run_mode(env, (lamina_quantize_mode)mode, NULL, NULL);
            if (t_fail_pending(env)) break;
            n_failed += st != LAMINA_OK;
            if (!T_EQ(atomic_load(&env->live_blocks), held)) break;
        }
        t_fail_alloc(env, 0);
        T_CHECK(n_failed > 20);
    }
}

static void refused(t_env *env, const lamina_model *m, const lamina_quantize_opts *o,
                    lamina_status want, const char *says)
{
    lamina_quantizer *q = T_UNTOUCHED;
    lamina_error err = {0};
    T_CASE(says);
    T_EQ(lamina_quantizer_create(m, o, &q, &err), want);
    T_CHECK(q == T_UNTOUCHED);
    if (!strstr(err.msg, says)) T_STR_EQ(err.msg, says);
    (void)env;
}

static void test_options(t_env *env)
{
    enum { S = LAMINA_QUANTIZE_STATIC, D = LAMINA_QUANTIZE_DYNAMIC, I = LAMINA_QUANTIZE_INT4 };
    static const char *const nobody[1] = {"nobody"}, *const lstm[1] = {"LSTM"};
    static const char *const conv[1] = {"Conv"}, *const both[2] = {"h", "y"};
    const size_t n = sizeof(lamina_quantize_opts);
    rt_cpu(env);
    lamina_model *m = rt_load_bytes(env, net());
    T_REQUIRE(m);
    refused(env, m, NULL, LAMINA_E_INVALID, "options");
#define REFUSED(status, says, ...) \
    refused(env, m, &(lamina_quantize_opts){.size = n, __VA_ARGS__}, status, says)
    REFUSED(LAMINA_E_INVALID, "static, dynamic or int4", .mode = 4);
    REFUSED(LAMINA_E_INVALID, "blocks", .mode = I, .block = 33);
    REFUSED(LAMINA_E_INVALID, "blocks", .mode = I, .block = 512);
    REFUSED(LAMINA_E_INVALID, "blocks", .mode = D, .block = 32);
    REFUSED(LAMINA_E_INVALID, "percentile", .mode = S, .percentile = 50);
    REFUSED(LAMINA_E_INVALID, "percentile", .mode = S, .percentile = (double)NAN);
    REFUSED(LAMINA_E_INVALID, "percentile", .mode = D, .percentile = 99);
    REFUSED(LAMINA_E_INVALID, "symmetric", .mode = S, .symmetric = true);
    REFUSED(LAMINA_E_INVALID, "each block", .mode = I, .per_tensor = true);
    REFUSED(LAMINA_E_INVALID, "activations", .mode = D, .int8_activations = true);
    REFUSED(LAMINA_E_INVALID, "only int4", .mode = S, .f32_activations = true);
    REFUSED(LAMINA_E_INVALID, "only int4", .mode = D, .f32_activations = true);
    REFUSED(LAMINA_E_INVALID, "list", .mode = D, .n_ops = 1);
    REFUSED(LAMINA_E_INVALID, "nobody", .mode = D, .exclude = nobody, .n_exclude = 1);
    REFUSED(LAMINA_E_INVALID, "LSTM", .mode = S, .ops = lstm, .n_ops = 1);
    REFUSED(LAMINA_E_INVALID, "static mode for Conv", .mode = D, .ops = conv, .n_ops = 1);
    REFUSED(LAMINA_E_UNSUPPORTED, "excluded", .mode = D, .exclude = both, .n_exclude = 2);
    REFUSED(LAMINA_E_UNSUPPORTED, "excluded", .mode = S, .ops = conv, .n_ops = 1);
#undef REFUSED
    lamina_model_unref(m);
    m = rt_relu_abs(env);
    refused(env, m, &(lamina_quantize_opts){.size = n, .mode = S}, LAMINA_E_UNSUPPORTED,
            "nothing to quantise");
    lamina_model_unref(m);
}

static void test_order(t_env *env)
{
    lamina_error err = {0};
    lamina_quantizer *q = NULL;
    lamina_model *out = NULL, *again = T_UNTOUCHED;
    lamina_quantize_layer l = {.size = sizeof l};
    rt_cpu(env);
    lamina_model *m = rt_load_bytes(env, net());
    lamina_quantize_opts o = {.size = sizeof o, .mode = LAMINA_QUANTIZE_STATIC};
    lamina_tensor *x = rt_floats(env, 2, (int64_t[]){3, 4});
    lamina_tensor *wrong = rt_floats(env, 2, (int64_t[]){3, 5});
    const lamina_tensor *const in[1] = {x}, *const bad[1] = {wrong};
    T_OK_ERR(lamina_quantizer_create(m, &o, &q, &err), &err);
    T_REQUIRE(q);
    T_EQ(lamina_quantizer_finish(q, &out, &err), LAMINA_E_STATE); /* never calibrated */
    T_EQ(lamina_quantizer_compare(q, in, 1, &err), LAMINA_E_STATE);
    T_EQ(lamina_quantizer_calibrate(q, bad, 1, &err), LAMINA_E_SHAPE);
    T_EQ(lamina_quantizer_calibrate(q, NULL, 1, &err), LAMINA_E_INVALID);
    T_EQ(lamina_quantizer_layer_count(q), 0);
    T_OK_ERR(lamina_quantizer_calibrate(q, in, 1, &err), &err);
    T_OK_ERR(lamina_quantizer_finish(q, &out, &err), &err);
    T_EQ(lamina_quantizer_finish(q, &again, &err), LAMINA_E_STATE);
    T_CHECK(again == T_UNTOUCHED);
    T_EQ(lamina_quantizer_calibrate(q, in, 1, &err), LAMINA_E_STATE);
    T_EQ(lamina_quantizer_layer_count(q), 3);
    T_OK(lamina_quantizer_layer(q, 0, &l));
    T_STR_EQ(l.op, "Gemm");
    T_CHECK(l.weight_rel_l2 > 0 && l.n_values == 0);
    T_EQ(lamina_quantizer_layer(q, 3, &l), LAMINA_E_RANGE);
    T_EQ(lamina_quantizer_compare(q, bad, 1, &err), LAMINA_E_SHAPE);
    T_OK_ERR(lamina_quantizer_compare(q, in, 1, &err), &err);
    T_OK_ERR(lamina_quantizer_compare(q, in, 1, &err), &err);
    T_OK(lamina_quantizer_layer(q, 2, &l));
    T_STR_EQ(l.name, "y");
    T_EQ(l.n_values, 12);
    lamina_quantizer_destroy(q);
    lamina_tensor_unref(x);
    lamina_tensor_unref(wrong);
    lamina_model_unref(out);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_modes), T_TEST(test_out_of_memory), T_TEST(test_options), T_TEST(test_order))
