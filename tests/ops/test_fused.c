/*
 * Fused operators: equal to the separate operators bit for bit in every float type, operands
 * broadcast but never enlarge the result, and nothing a file may write into them does harm.
 */
#include "op_bench.h"
#include "ops/fused.h"

enum { M = 5, N = 7, K = 3 };

static void random_values(t_env *env, double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) v[i] = t_rand_real(env, -4, 4);
}

static void set_epi(op_bench *b, const int64_t *kinds, const float *p, int32_t n)
{
    op_attr(b, (lmn_attr){.name = "epi", .type = LMN_ATTR_INTS, .n = n, .u.ints = kinds});
    op_attr(b, (lmn_attr){.name = "epi_p", .type = LMN_ATTR_FLOATS, .n = 2 * n, .u.floats = p});
}

static void begin_fused(op_bench *b, t_env *env, const char *base, const char *fused)
{
    op_begin(b, env, base, 1);
    b->node.def = lmn_op_find("lamina", fused);
    if (!b->node.def) t_fail(__FILE__, __LINE__, "no operator %s", fused);
}

/* y = op(y) by the separate operator, into a bench that the caller ends. */
static void separate(op_bench *b, t_env *env, const lamina_tensor *y, lmn_epi_kind kind,
                     const float *p, const double *operand, int32_t rank, const int64_t *dims)
{
    static const char *const OPS[] = {"Add",     "Mul",       "Relu",        "Clip",
                                      "Sigmoid", "Tanh",      "Swish",       "Gelu",
                                      "Gelu",    "HardSwish", "HardSigmoid", "LeakyRelu"};
    static char by_tanh[] = "tanh";
    op_begin(b, env, OPS[kind], 1);
    lamina_tensor *x = op_in(b, y->dtype, y->rank, y->dims, NULL);
    memcpy(x->data, y->data, y->data_bytes);
    if (kind <= LMN_EPI_MUL) (void)op_in(b, y->dtype, rank, dims, operand);
    if (kind == LMN_EPI_CLIP) op_in1(b, y->dtype, (double)p[0]);
    if (kind == LMN_EPI_CLIP) op_in1(b, y->dtype, (double)p[1]);
    if (kind == LMN_EPI_GELU_TANH) op_attr_s(b, "approximate", by_tanh);
    if (kind >= LMN_EPI_HARDSIGMOID) op_attr_f(b, "alpha", p[0]);
    if (kind == LMN_EPI_HARDSIGMOID) op_attr_f(b, "beta", p[1]);
    T_OK_ERR(op_eval(b), &b->err);
}

static void check_pair(t_env *env, lamina_dtype dt, lmn_epi_kind first, lmn_epi_kind second)
{
    const int64_t kinds[2] = {first, second};
    const float p[4] = {-0.75f, 1.25f, 0.3f, 0.45f};
    const int64_t bias_dims[1] = {N}, full_dims[2] = {M, N};
    double a[M * K], w[K * N], bias[N], full[M * N];
    random_values(env, a, M * K), random_values(env, w, K * N);
    random_values(env, bias, N), random_values(env, full, M * N);
    op_bench base, s1, s2, f;
    op_begin(&base, env, "MatMul", 1);
    (void)op_in(&base, dt, 2, (int64_t[]){M, K}, a);
    (void)op_in(&base, dt, 2, (int64_t[]){K, N}, w);
    T_OK(op_eval(&base));
    separate(&s1, env, base.out[0], first, p, bias, 1, bias_dims);
    separate(&s2, env, s1.out[0], second, p + 2, full, 2, full_dims);
    begin_fused(&f, env, "MatMul", "FusedMatMul");
    (void)op_in(&f, dt, 2, (int64_t[]){M, K}, a);
    (void)op_in(&f, dt, 2, (int64_t[]){K, N}, w);
    if (first <= LMN_EPI_MUL) (void)op_in(&f, dt, 1, bias_dims, bias);
    if (second <= LMN_EPI_MUL) (void)op_in(&f, dt, 2, full_dims, full);
    set_epi(&f, kinds, p, 2);
    char text[128];
    if (T_OK_ERR(op_infer(&f), &f.err)) {
        lmn_fact fact = lmn_fact_of(base.out[0], NULL);
        char want[128];
        (void)lmn_fact_format(f.dims, &fact, want, sizeof want);
        T_STR_EQ(op_out_text(&f, 0, text), want);
    }
    if (T_OK_ERR(op_eval(&f), &f.err))
        T_MEM_EQ(f.out[0]->data, s2.out[0]->data, s2.out[0]->data_bytes);
    if (T_OK_ERR(op_eval(&f), &f.err)) /* again, over the slot's own memory */
        T_MEM_EQ(f.out[0]->data, s2.out[0]->data, s2.out[0]->data_bytes);
    op_end(&base), op_end(&s1), op_end(&s2), op_end(&f);
}

static void test_equals_separate(t_env *env)
{
    static const lamina_dtype TYPES[] = {LAMINA_F32, LAMINA_F64, LAMINA_F16, LAMINA_BF16};
    for (size_t t = 0; t < T_COUNT(TYPES); t++)
        for (int32_t i = 0; i < LMN_EPI_KIND_COUNT; i++)
            for (int32_t k = 0; k < LMN_EPI_KIND_COUNT; k++)
                check_pair(env, TYPES[t], (lmn_epi_kind)i, (lmn_epi_kind)k);
}

static void test_conv_and_gemm(t_env *env)
{
    const int64_t relu[2] = {LMN_EPI_ADD, LMN_EPI_RELU};
    const float p[4] = {0};
    const double x[4] = {1, 2, 3, 4}, w[2] = {2, -1}, add[2] = {10, 1}, b[2] = {0.5, 0.25};
    op_bench f;
    begin_fused(&f, env, "Conv", "FusedConv");
    (void)op_in(&f, LAMINA_F32, 4, (int64_t[]){1, 1, 2, 2}, x);
    (void)op_in(&f, LAMINA_F32, 4, (int64_t[]){2, 1, 1, 1}, w);
    op_absent(&f);
    (void)op_in(&f, LAMINA_F32, 3, (int64_t[]){2, 1, 1}, add);
    set_epi(&f, relu, p, 2);
    T_OK_ERR(op_infer(&f), &f.err);
    T_OK_ERR(op_eval(&f), &f.err);
    const float want[8] = {12, 14, 16, 18, 0, 0, 0, 0};
    T_MEM_EQ(f.out[0]->data, want, sizeof want);
    op_end(&f);

    begin_fused(&f, env, "Gemm", "FusedGemm");
    (void)op_in(&f, LAMINA_F32, 2, (int64_t[]){2, 2}, x);
    (void)op_in(&f, LAMINA_F32, 2, (int64_t[]){2, 1}, w);
    (void)op_in(&f, LAMINA_F32, 1, (int64_t[]){1}, b);
    set_epi(&f, relu + 1, p, 1);
    op_attr_f(&f, "alpha", -1);
    T_OK_ERR(op_eval(&f), &f.err);
    const float gemm[2] = {0.5f, 0};
    T_MEM_EQ(f.out[0]->data, gemm, sizeof gemm);
    op_end(&f);
}

/* What a file may get wrong; infer and eval refuse it alike. */
static void test_refused(t_env *env)
{
    static const struct {
        const char *what;
        int64_t epi[5];
        int32_t n_epi, n_p, operands, rank;
        int64_t extent;
        float p;
    } BAD[] = {
        {"no steps", {0}, 0, 0, 0, 1, 2, 0},
        {"five steps", {2, 2, 2, 2, 2}, 5, 10, 0, 1, 2, 0},
        {"kind below", {-1}, 1, 2, 0, 1, 2, 0},
        {"kind past the end", {LMN_EPI_KIND_COUNT}, 1, 2, 0, 1, 2, 0},
        {"huge kind", {INT64_MAX}, 1, 2, 0, 1, 2, 0},
        {"too few parameters", {LMN_EPI_CLIP}, 1, 1, 0, 1, 2, 0},
        {"NaN bound", {LMN_EPI_CLIP}, 1, 2, 0, 1, 2, NAN},
        {"operand missing", {LMN_EPI_ADD}, 1, 2, 0, 1, 2, 0},
        {"operand too many", {LMN_EPI_RELU}, 1, 2, 1, 1, 2, 0},
        {"operand too wide", {LMN_EPI_ADD}, 1, 2, 1, 1, 3, 0},
        {"operand would enlarge", {LMN_EPI_MUL}, 1, 2, 1, 3, 2, 0},
    };
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        T_CASE(BAD[i].what);
        const double v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        const float p[10] = {BAD[i].p};
        op_bench f;
        begin_fused(&f, env, "MatMul", "FusedMatMul");
        (void)op_in(&f, LAMINA_F32, 2, (int64_t[]){2, 2}, v);
        (void)op_in(&f, LAMINA_F32, 2, (int64_t[]){2, 2}, v);
        const int64_t dims[3] = {BAD[i].rank == 3 ? 2 : BAD[i].extent, 2, 2};
        if (BAD[i].operands) (void)op_in(&f, LAMINA_F32, BAD[i].rank, dims, v);
        set_epi(&f, BAD[i].epi, p, BAD[i].n_epi);
        f.attrs[1].n = BAD[i].n_p;
        T_CHECK(op_infer(&f) != LAMINA_OK);
        T_CHECK(op_eval(&f) != LAMINA_OK);
        T_CHECK(f.err.msg[0] != 0);
        op_end(&f);
    }
}

/* An epilogue of the wrong attribute type, or none at all. */
static void test_no_attributes(t_env *env)
{
    const double v[4] = {1, 2, 3, 4};
    for (int32_t k = 0; k < 2; k++) {
        op_bench f;
        begin_fused(&f, env, "MatMul", "FusedMatMul");
        (void)op_in(&f, LAMINA_F32, 2, (int64_t[]){2, 2}, v);
        (void)op_in(&f, LAMINA_F32, 2, (int64_t[]){2, 2}, v);
        if (k) op_attr_i(&f, "epi", 2);
        T_EQ(op_infer(&f), LAMINA_E_INVALID);
        T_EQ(op_eval(&f), LAMINA_E_INVALID);
        op_end(&f);
    }
}

T_MAIN(T_TEST(test_equals_separate), T_TEST(test_conv_and_gemm), T_TEST(test_refused),
       T_TEST(test_no_attributes))
