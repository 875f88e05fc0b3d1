/*
 * test_elementwise.c - rules of single operators by table; broadcast, in place, parallel against
 * brute force; strings and casts.
 */
#include "op_bench.h"

#include "ops/cast.h"

static const struct {
    const char *op;
    lamina_dtype dt;
    double a, b; /* b unused by unary operators */
    int32_t n_in;
    double want;
} RULES[] = {
    {"Add", LAMINA_I8, 127, 1, 2, -128},
    {"Sub", LAMINA_U8, 1, 2, 2, 255},
    {"Mul", LAMINA_I32, 65536, 65536, 2, 0},
    {"Div", LAMINA_I32, -7, 2, 2, -3},
    {"Div", LAMINA_I32, 7, 0, 2, 0},
    {"Div", LAMINA_I32, -2147483648.0, -1, 2, -2147483648.0},
    {"Div", LAMINA_I64, -9223372036854775808.0, -1, 2, -9223372036854775808.0},
    {"Div", LAMINA_U8, 7, 0, 2, 0},
    {"Div", LAMINA_F32, 1, 0, 2, INFINITY},
    {"Mod", LAMINA_I32, -7, 3, 2, 2},
    {"Mod", LAMINA_I64, -9223372036854775808.0, -1, 2, 0},
    {"Mod", LAMINA_I8, 5, 0, 2, 0},
    {"Mod", LAMINA_F32, -7.5, 2, 2, 0.5},
    {"Mod", LAMINA_F64, 1, -INFINITY, 2, -INFINITY},
    {"Mod", LAMINA_F64, 1, 0, 2, NAN},
    {"Pow", LAMINA_I64, 3, 39, 2, 4052555153018976267.0},
    {"Pow", LAMINA_I32, 2, -1, 2, 0},
    {"Pow", LAMINA_I32, -1, -3, 2, -1},
    {"Pow", LAMINA_F32, 2, 0.5, 2, 1.41421353816986083984375},
    {"Min", LAMINA_F32, 1, NAN, 2, NAN},
    {"Max", LAMINA_F16, NAN, 1, 2, NAN},
    {"Max", LAMINA_U8, 200, 100, 2, 200},
    {"Mean", LAMINA_F32, 1, 2, 2, 1.5},
    {"Sum", LAMINA_F16, 2048, 1, 2, 2048}, /* ties to even */
    {"Equal", LAMINA_F32, NAN, NAN, 2, 0},
    {"Equal", LAMINA_I32, -1, -1, 2, 1},
    {"Equal", LAMINA_I32, -1, 2147483647, 2, 0},
    {"LessOrEqual", LAMINA_F64, NAN, 1, 2, 0},
    {"Greater", LAMINA_U64, 3, 2, 2, 1},
    {"Xor", LAMINA_BOOL, 1, 1, 2, 0},
    {"BitwiseXor", LAMINA_I8, -1, 1, 2, -2},
    {"PRelu", LAMINA_F32, -2, 0.25, 2, -0.5},
    {"SwiGLU", LAMINA_F64, 0, 3, 2, 0},
    {"Abs", LAMINA_I8, -128, 0, 1, -128},
    {"Abs", LAMINA_F16, -3, 0, 1, 3},
    {"Neg", LAMINA_I64, 5, 0, 1, -5},
    {"Sign", LAMINA_F32, NAN, 0, 1, NAN},
    {"Sign", LAMINA_U8, 9, 0, 1, 1},
    {"Round", LAMINA_F32, 2.5, 0, 1, 2},
    {"Round", LAMINA_F64, -3.5, 0, 1, -4},
    {"Round", LAMINA_F64, 9007199254740993.0, 0, 1, 9007199254740992.0},
    {"Relu", LAMINA_F32, NAN, 0, 1, NAN},
    {"Relu", LAMINA_I8, -5, 0, 1, 0},
    {"HardSigmoid", LAMINA_F32, NAN, 0, 1, NAN},
    {"HardSwish", LAMINA_F64, 9, 0, 1, 9},
    {"Sigmoid", LAMINA_F64, -800, 0, 1, 0},
    {"Softplus", LAMINA_F64, 800, 0, 1, 800},
    {"Not", LAMINA_BOOL, 0, 0, 1, 1},
    {"BitwiseNot", LAMINA_U8, 1, 0, 1, 254},
    {"IsNaN", LAMINA_F8E4M3FN, NAN, 0, 1, 1},
    {"IsInf", LAMINA_F32, -INFINITY, 0, 1, 1},
    {"Reciprocal", LAMINA_BF16, 0, 0, 1, INFINITY},
    {"Shrink", LAMINA_I32, 3, 0, 1, 3},
    {"ThresholdedRelu", LAMINA_F32, 1, 0, 1, 0},
    {"Acosh", LAMINA_F32, 0.5, 0, 1, NAN},
};

static void test_rules(t_env *env)
{
    for (size_t i = 0; i < T_COUNT(RULES); i++) {
        op_bench b;
        T_CASE(RULES[i].op);
        op_begin(&b, env, RULES[i].op, 1);
        op_in1(&b, RULES[i].dt, RULES[i].a);
        if (RULES[i].n_in > 1) op_in1(&b, RULES[i].dt, RULES[i].b);
        T_OK_ERR(op_infer(&b), &b.err);
        if (T_OK_ERR(op_eval(&b), &b.err)) {
            T_EQ(b.out[0]->dtype, b.out_facts[0].dtype);
            T_NEAR(lmn_get_f64(b.out[0], 0), RULES[i].want, 0);
        }
        op_end(&b);
    }
}

static void test_bit_shift(t_env *env)
{
    static const struct {
        char *dir;
        lamina_dtype dt;
        double x, y, want;
    } CASES[] = {{"LEFT", LAMINA_U8, 255, 1, 254},  {"LEFT", LAMINA_U8, 1, 8, 0},
                 {"RIGHT", LAMINA_I8, -128, 7, -1}, {"RIGHT", LAMINA_I32, -5, 40, -1},
                 {"RIGHT", LAMINA_I32, 5, -1, 0},   {"LEFT", LAMINA_I64, 1, 64, 0}};
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        op_bench b;
        op_begin(&b, env, "BitShift", 1);
        op_attr_s(&b, "direction", CASES[i].dir);
        op_in1(&b, CASES[i].dt, CASES[i].x);
        op_in1(&b, CASES[i].dt, CASES[i].y);
        if (T_OK_ERR(op_eval(&b), &b.err)) T_NEAR(lmn_get_f64(b.out[0], 0), CASES[i].want, 0);
        op_end(&b);
    }
}

static void test_clip(t_env *env)
{
    op_bench b;
    const double v[] = {-2, 0.5, 7, NAN};
    op_begin(&b, env, "Clip", 1);
    (void)op_in(&b, LAMINA_F32, 1, (int64_t[]){4}, v);
    op_absent(&b);
    op_in1(&b, LAMINA_F32, 1);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        T_NEAR(lmn_get_f64(b.out[0], 0), -2, 0);
        T_NEAR(lmn_get_f64(b.out[0], 2), 1, 0);
        T_NEAR(lmn_get_f64(b.out[0], 3), NAN, 0);
    }
    op_end(&b);
}

/* ---- broadcast ---------------------------------------------------------------------------------
 */

static int64_t broadcast_index(const lamina_tensor *t, const lamina_tensor *y, int64_t i)
{
    int64_t at = 0, stride = 1;
    for (int32_t d = y->rank - 1, k = t->rank - 1; d >= 0; d--, k--) {
        const int64_t idx = i % y->dims[d];
        i /= y->dims[d];
        if (k < 0) continue;
        at += t->dims[k] == 1 ? 0 : idx * stride;
        stride *= t->dims[k];
    }
    return at;
}

static void fill_random(t_env *env, lamina_tensor *t)
{
    for (int64_t i = 0; i < lmn_count(t); i++) lmn_set_i64(t, i, t_rand_int(env, -50, 50));
}

/* Sub of random shapes that broadcast, of several types, against index arithmetic. */
static void test_broadcast(t_env *env)
{
    static const lamina_dtype TYPES[] = {LAMINA_F32, LAMINA_F64, LAMINA_F16, LAMINA_I64, LAMINA_I8};
    for (int round = 0; round < 300; round++) {
        int64_t full[5], dims[2][5];
        const int32_t rank = (int32_t)t_rand_int(env, 0, 5);
        for (int32_t d = 0; d < rank; d++) full[d] = t_rand_int(env, round % 20 ? 1 : 0, 7);
        op_bench b;
        op_begin(&b, env, "Sub", 1);
        const lamina_dtype dt = TYPES[t_rand_int(env, 0, 4)];
        for (int k = 0; k < 2; k++) {
            const int32_t skip = k ? (int32_t)t_rand_int(env, 0, rank) : 0;
            for (int32_t d = skip; d < rank; d++)
                dims[k][d - skip] = t_rand_int(env, 0, 3) == 0 ? 1 : full[d];
            lamina_tensor *t = op_in(&b, dt, rank - skip, dims[k], NULL);
            if (t) fill_random(env, t);
        }
        T_OK_ERR(op_infer(&b), &b.err);
        if (T_OK_ERR(op_eval(&b), &b.err)) {
            int64_t inferred[LMN_MAX_RANK];
            const lamina_tensor *y = b.out[0];
            T_CHECK(lmn_fact_static(&b.out_facts[0], inferred) &&
                    lmn_dims_equal(b.out_facts[0].rank, inferred, y->rank, y->dims));
            for (int64_t i = 0; i < lmn_count(y); i++) {
                const int64_t p = lmn_get_i64(b.in[0], broadcast_index(b.in[0], y, i));
                const int64_t q = lmn_get_i64(b.in[1], broadcast_index(b.in[1], y, i));
                T_EQ(lmn_get_i64(y, i), p - q);
            }
        }
        op_end(&b);
    }
}

static void test_no_broadcast(t_env *env)
{
    op_bench b;
    op_begin(&b, env, "Add", 1);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){2, 3}, NULL);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){2, 4}, NULL);
    T_EQ(op_eval(&b), LAMINA_E_SHAPE);
    T_CHECK(strstr(b.err.msg, "node \"n\" (Add)") != NULL);
    T_EQ(op_infer(&b), LAMINA_E_SHAPE);
    T_CHECK(strstr(b.err.msg, "float32[2,4]") && strstr(b.err.msg, "float32[2,3]"));
    op_end(&b);
}

/* Chunks in reverse order: what a pool may do at worst. */
static void run_backwards(void *ctx, int64_t n, lmn_par_fn *fn, void *arg)
{
    (void)ctx;
    for (int64_t i = n - 1; i >= 0; i--) fn(arg, i, (int32_t)(i % 4));
}

static void test_parallel_in_place(t_env *env)
{
    const lmn_par par = {NULL, 4, run_backwards};
    const int64_t n = 50001;
    op_bench b, ref;
    op_begin(&b, env, "Mul", 1);
    op_begin(&ref, env, "Mul", 1);
    lamina_tensor *x = op_in(&b, LAMINA_F16, 1, &n, NULL),
                  *z = op_in(&ref, LAMINA_F16, 1, &n, NULL);
    T_REQUIRE(x && z);
    for (int64_t i = 0; i < n; i++) lmn_set_f64(x, i, t_rand_real(env, -3, 3));
    memcpy(z->data, x->data, x->data_bytes);
    op_in1(&b, LAMINA_F16, 1.7);
    op_in1(&ref, LAMINA_F16, 1.7);
    b.par = &par;
    b.plan_data[0] = x->data; /* the output overwrites the input */
    b.plan_bytes[0] = x->data_bytes;
    T_OK_ERR(op_eval(&ref), &ref.err);
    T_OK_ERR(op_eval(&b), &b.err);
    T_CHECK(b.out[0]->data == x->data && !b.out[0]->buf);
    T_MEM_EQ(b.out[0]->data, ref.out[0]->data, x->data_bytes);
    op_end(&b);
    op_end(&ref);
}

/* ---- strings and casts -------------------------------------------------------------------------
 */

static void test_strings(t_env *env)
{
    op_bench b;
    const double cond[] = {1, 0};
    op_begin(&b, env, "Where", 1);
    (void)op_in(&b, LAMINA_BOOL, 1, (int64_t[]){2}, cond);
    lamina_tensor *x = op_in(&b, LAMINA_STRING, 0, NULL, NULL),
                  *y = op_in(&b, LAMINA_STRING, 0, NULL, NULL);
    T_REQUIRE(x && y);
    T_OK(lamina_tensor_set_string(x, 0, "yes", 3));
    T_OK(lamina_tensor_set_string(y, 0, "no", 2));
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        T_STR_EQ(lamina_tensor_string(b.out[0], 0, NULL), "yes");
        T_STR_EQ(lamina_tensor_string(b.out[0], 1, NULL), "no");
    }
    b.node.def = lmn_op_find("", "Equal");
    T_EQ(op_eval(&b), LAMINA_E_DTYPE); /* a bool and a string */
    op_end(&b);
}

static void check_text(t_env *env, lamina_dtype dt, double v, const char *want)
{
    op_bench b;
    op_begin(&b, env, "Cast", 1);
    op_in1(&b, dt, v);
    op_attr_i(&b, "to", LAMINA_STRING);
    if (T_OK_ERR(op_eval(&b), &b.err)) T_STR_EQ(lamina_tensor_string(b.out[0], 0, NULL), want);
    op_end(&b);
}

static void test_numbers_to_text(t_env *env)
{
    check_text(env, LAMINA_F32, 1, "1.0");
    check_text(env, LAMINA_F32, 0.1, "0.1");
    check_text(env, LAMINA_F32, 314.15926, "314.15927");
    check_text(env, LAMINA_F64, 314.15926, "314.15926");
    check_text(env, LAMINA_F16, 0.1, "0.1");
    check_text(env, LAMINA_F32, 1e-5, "1e-05");
    check_text(env, LAMINA_F64, 1e16, "1e+16");
    check_text(env, LAMINA_F64, 123456789012345.0, "123456789012345.0");
    check_text(env, LAMINA_F64, -0.0001234, "-0.0001234");
    check_text(env, LAMINA_F64, 1e15, "1000000000000000.0");
    check_text(env, LAMINA_F64, 5e-324, "5e-324");
    check_text(env, LAMINA_F64, -1.7976931348623157e308, "-1.7976931348623157e+308");
    check_text(env, LAMINA_F32, NAN, "nan");
    check_text(env, LAMINA_F32, -INFINITY, "-inf");
    check_text(env, LAMINA_F32, -0.0, "-0.0");
    check_text(env, LAMINA_I8, -7, "-7");
    check_text(env, LAMINA_BOOL, 1, "True");
}

static void check_number(t_env *env, const char *text, lamina_dtype dt, double want)
{
    op_bench b;
    op_begin(&b, env, "Cast", 1);
    lamina_tensor *x = op_in(&b, LAMINA_STRING, 0, NULL, NULL);
    op_attr_i(&b, "to", dt);
    T_REQUIRE(x);
    T_CASE(text);
    T_OK(lamina_tensor_set_string(x, 0, text, strlen(text)));
    if (T_OK_ERR(op_eval(&b), &b.err)) T_NEAR(lmn_get_f64(b.out[0], 0), want, 0);
    op_end(&b);
}

static void test_text_to_numbers(t_env *env)
{
    check_number(env, "3.14", LAMINA_F64, 3.14);
    check_number(env, "1e-5", LAMINA_F64, 1e-5);
    check_number(env, "1E8", LAMINA_F32, 1e8);
    check_number(env, "NaN", LAMINA_F32, NAN);
    check_number(env, "+INF", LAMINA_F32, INFINITY);
    check_number(env, "-inf", LAMINA_F16, -INFINITY);
    check_number(env, "100.5", LAMINA_I32, 100);
    check_number(env, " 42 ", LAMINA_I64, 42);
    check_number(env, "True", LAMINA_BOOL, 1);
    op_bench b;
    op_begin(&b, env, "Cast", 1);
    lamina_tensor *x = op_in(&b, LAMINA_STRING, 0, NULL, NULL);
    op_attr_i(&b, "to", LAMINA_F32);
    T_REQUIRE(x);
    T_OK(lamina_tensor_set_string(x, 0, "Hello", 5));
    T_EQ(op_eval(&b), LAMINA_E_INVALID);
    T_CHECK(strstr(b.err.msg, "\"Hello\" (element 0) is no number") != NULL);
    op_end(&b);
}

/* Every allocation of an evaluation fails once; nothing is left behind. */
static void test_failing_memory(t_env *env)
{
    op_bench b;
    const double v[] = {1.5, 2.5};
    op_begin(&b, env, "Cast", 1);
    (void)op_in(&b, LAMINA_F32, 1, (int64_t[]){2}, v);
    op_attr_i(&b, "to", LAMINA_STRING);
    for (int nth = 1; nth < 50; nth++) {
        t_fail_alloc(env, nth);
        const lamina_status st = op_eval(&b);
        lmn_slot_clear(b.out[0]);
        if (t_fail_pending(env)) break;
        T_EQ(st, LAMINA_E_NOMEM);
    }
    t_fail_alloc(env, 0);
    op_end(&b);
}

T_MAIN(T_TEST(test_rules), T_TEST(test_bit_shift), T_TEST(test_clip), T_TEST(test_broadcast),
       T_TEST(test_no_broadcast), T_TEST(test_parallel_in_place), T_TEST(test_strings),
       T_TEST(test_numbers_to_text), T_TEST(test_text_to_numbers), T_TEST(test_failing_memory))
