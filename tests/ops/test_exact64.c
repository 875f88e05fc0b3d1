/*
 * 64-bit integers and f64 take no detour: integers around 2^53 and 2^63 come out to the last bit,
 * sums wrap as two's complement, and f64 results hold digits that f32 has no room for.
 */
#include "ops/op_bench.h"

#include <math.h>

#define K 3
#define P53 (INT64_C(1) << 53)
#define MAX INT64_MAX
#define MIN INT64_MIN

typedef struct int_case {
    const char *op;
    int n_in;
    int64_t a[K], b[K], c[K], want[K];
    bool flags; /* the result is bool */
} int_case;

/* Element by element, i64. */
static const int_case INTS[] = {
    {"Abs", 1, {-P53 - 1, MIN + 1, MAX}, {0}, {0}, {P53 + 1, MAX, MAX}, false},
    {"Neg", 1, {-P53 - 1, MAX, P53 + 1}, {0}, {0}, {P53 + 1, MIN + 1, -P53 - 1}, false},
    {"Sign", 1, {MIN, 0, 1}, {0}, {0}, {-1, 0, 1}, false},
    {"Relu", 1, {MIN, P53 + 1, MAX}, {0}, {0}, {0, P53 + 1, MAX}, false},
    {"Add", 2, {P53, MAX, MIN}, {1, 1, -1}, {0}, {P53 + 1, MIN, MAX}, false},
    {"Sub", 2, {P53 + 2, MIN, MAX - 1}, {1, 1, 1}, {0}, {P53 + 1, MAX, MAX - 2}, false},
    {"Mul",
     2,
     {P53 + 1, MAX, 3037000500},
     {1, -1, 3037000499},
     {0},
     {P53 + 1, MIN + 1, 9223372033963249500},
     false},
    {"Div", 2, {MAX, P53 + 1, MIN + 1}, {1, 1, -1}, {0}, {MAX, P53 + 1, MAX}, false},
    {"Mod", 2, {MAX, P53 + 1, MIN + 1}, {10, P53, 10}, {0}, {7, 1, 3}, false},
    {"Pow",
     2,
     {3037000499, -3, MAX},
     {2, 39, 1},
     {0},
     {9223372030926249001, -4052555153018976267, MAX},
     false},
    {"Max", 2, {P53, MAX, MIN}, {P53 + 1, MAX - 1, MIN + 1}, {0}, {P53 + 1, MAX, MIN + 1}, false},
    {"Min", 2, {P53, MAX, MIN}, {P53 + 1, MAX - 1, MIN + 1}, {0}, {P53, MAX - 1, MIN}, false},
    {"Equal", 2, {P53, MAX, MIN}, {P53 + 1, MAX - 1, MIN}, {0}, {0, 0, 1}, true},
    {"Less", 2, {P53, MAX - 1, MIN}, {P53 + 1, MAX, MIN}, {0}, {1, 1, 0}, true},
    {"Greater", 2, {P53 + 1, MAX, MIN}, {P53, MAX - 1, MIN}, {0}, {1, 1, 0}, true},
    {"LessOrEqual", 2, {P53 + 1, MAX, MIN}, {P53, MAX - 1, MIN}, {0}, {0, 0, 1}, true},
    {"GreaterOrEqual", 2, {P53, MAX - 1, MIN}, {P53 + 1, MAX, MIN}, {0}, {0, 0, 1}, true},
    {"PRelu", 2, {-P53 - 1, MAX, -3}, {1, 7, P53 / 3}, {0}, {-P53 - 1, MAX, -(P53 / 3) * 3}, false},
    {"BitwiseXor", 2, {MAX, P53 + 1, -1}, {1, 1, MAX}, {0}, {MAX - 1, P53, MIN}, false},
    {"MatMul", 2, {P53 + 1, 1, 0}, {1, 0, 0}, {0}, {P53 + 1, 0, 0}, false},
};

static lamina_tensor *add_ints(op_bench *b, lamina_dtype dt, int32_t rank, const int64_t *dims,
                               const int64_t *v)
{
    lamina_tensor *t = op_in(b, dt, rank, dims, NULL);
    for (int64_t i = 0; t && v && i < lmn_count(t); i++) lmn_set_i64(t, i, v[i]);
    return t;
}

static void expect_ints(op_bench *b, const char *what, const int64_t *want, int64_t n)
{
    T_CASE(what);
    T_OK_ERR(op_eval(b), &b->err);
    T_REQUIRE(lmn_count(b->out[0]) >= n);
    for (int64_t i = 0; i < n; i++) T_EQ(lmn_get_i64(b->out[0], i), want[i]);
}

static void test_elementwise(t_env *env)
{
    for (size_t i = 0; i < LMN_COUNT(INTS); i++) {
        const int_case *c = &INTS[i];
        const bool one = strcmp(c->op, "MatMul") == 0;
        op_bench b;
        op_begin(&b, env, c->op, 1);
        (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){K}, c->a);
        if (c->n_in > 1) (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){K}, c->b);
        expect_ints(&b, c->op, c->want, one ? 1 : K);
        op_end(&b);
    }
}

/* The same bits as unsigned numbers beyond 2^63. */
static void test_unsigned(t_env *env)
{
    static const struct {
        const char *op;
        uint64_t a, b, want;
    } CASES[] = {
        {"Add", UINT64_MAX, 2, 1},
        {"Sub", 1, 2, UINT64_MAX},
        {"Mul", (1ull << 53) + 1, 3, 3 * ((1ull << 53) + 1)},
        {"Div", UINT64_MAX, 3, UINT64_MAX / 3},
        {"Div", (1ull << 63) + 2, 2, (1ull << 62) + 1},
        {"Mod", UINT64_MAX, 10, 5},
        {"Max", UINT64_MAX, UINT64_MAX - 1, UINT64_MAX},
        {"Max", UINT64_MAX, 1, UINT64_MAX},
        {"Min", UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 1},
        {"Less", UINT64_MAX - 1, UINT64_MAX, 1},
        {"Greater", UINT64_MAX, 1, 1},
        {"Equal", UINT64_MAX, UINT64_MAX - 1, 0},
        {"BitwiseAnd", UINT64_MAX, (1ull << 63) + 1, (1ull << 63) + 1},
    };
    for (size_t i = 0; i < LMN_COUNT(CASES); i++) {
        op_bench b;
        op_begin(&b, env, CASES[i].op, 1);
        (void)add_ints(&b, LAMINA_U64, 1, (int64_t[]){1}, (int64_t[]){(int64_t)CASES[i].a});
        (void)add_ints(&b, LAMINA_U64, 1, (int64_t[]){1}, (int64_t[]){(int64_t)CASES[i].b});
        expect_ints(&b, CASES[i].op, (int64_t[]){(int64_t)CASES[i].want}, 1);
        op_end(&b);
    }
}

/* ---- along axes ----------------------------------------------------------------------------- */

typedef struct axis_case {
    const char *op;
    int64_t x[4], want;
} axis_case;

static void test_reduce(t_env *env)
{
    static const axis_case CASES[] = {
        {"ReduceSum", {P53, 1, 1, 1}, P53 + 3},
        {"ReduceSum", {MAX, 1, MIN, 5}, 5},
        {"ReduceMax", {P53, P53 + 1, P53 - 1, 0}, P53 + 1},
        {"ReduceMin", {MAX, MAX - 1, MAX, MAX}, MAX - 1},
        {"ReduceProd", {P53 + 1, 3, 1, 1}, 3 * P53 + 3},
        {"ReduceL1", {-P53, 1, -1, 1}, P53 + 3},
        {"ReduceSumSquare", {94906267, 1, 1, 1}, INT64_C(94906267) * 94906267 + 3},
        {"ReduceMean", {P53 + 1, P53 + 1, P53 + 1, P53 + 1}, P53 + 1},
    };
    for (size_t i = 0; i < LMN_COUNT(CASES); i++) {
        op_bench b;
        op_begin(&b, env, CASES[i].op, 1);
        (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, CASES[i].x);
        expect_ints(&b, CASES[i].op, &CASES[i].want, 1);
        op_end(&b);
    }
}

static void test_choice(t_env *env)
{
    static const int64_t x[4] = {P53, P53 + 1, P53 + 1, P53 - 1};
    op_bench b;
    op_begin(&b, env, "ArgMax", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    expect_ints(&b, "ArgMax", (int64_t[]){1}, 1);
    op_end(&b);
    op_begin(&b, env, "ArgMin", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    expect_ints(&b, "ArgMin", (int64_t[]){3}, 1);
    op_end(&b);
    op_begin(&b, env, "TopK", 2);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){1}, (int64_t[]){4});
    expect_ints(&b, "TopK", (int64_t[]){P53 + 1, P53 + 1, P53, P53 - 1}, 4);
    for (int64_t i = 0; i < 4; i++) T_EQ(lmn_get_i64(b.out[1], i), ((int64_t[]){1, 2, 0, 3})[i]);
    op_end(&b);
    op_begin(&b, env, "CumSum", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){0});
    expect_ints(&b, "CumSum", (int64_t[]){P53, 2 * P53 + 1, 3 * P53 + 2, 4 * P53 + 1}, 4);
    op_end(&b);
    op_begin(&b, env, "Unique", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    expect_ints(&b, "Unique", (int64_t[]){P53 - 1, P53, P53 + 1}, 3);
    op_end(&b);
}

static void test_scatter(t_env *env)
{
    static const struct {
        const char *how;
        int64_t up[3], want[3];
    } CASES[] = {{"add", {P53 + 1, -1, MAX - 4}, {2 * P53 + 1, MAX, MAX}},
                 {"mul", {3, 1, 1}, {3 * P53, MIN, 4}},
                 {"max", {P53 + 1, -1, 4}, {P53 + 1, -1, 4}},
                 {"min", {P53 + 1, -1, 4}, {P53, MIN, 4}}};
    static const int64_t x[3] = {P53, MIN, 4}, at[3] = {0, 1, 2};
    for (size_t i = 0; i < LMN_COUNT(CASES); i++)
        for (int nd = 0; nd < 2; nd++) {
            op_bench b;
            op_begin(&b, env, nd ? "ScatterND" : "ScatterElements", 1);
            op_attr_s(&b, "reduction", (char *)(uintptr_t)CASES[i].how);
            (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){3}, x);
            (void)add_ints(&b, LAMINA_I64, 1 + nd, (int64_t[]){3, 1}, at);
            (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){3}, CASES[i].up);
            expect_ints(&b, CASES[i].how, CASES[i].want, 3);
            op_end(&b);
        }
}

/* What chooses or copies, by its reference in any type. */
static void test_moved(t_env *env)
{
    static const int64_t x[4] = {P53 + 1, MIN, MAX, -P53 - 1};
    op_bench b;
    op_begin(&b, env, "OneHot", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){1}, (int64_t[]){0});
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){2});
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){2}, (int64_t[]){MIN + 1, P53 + 1});
    expect_ints(&b, "OneHot", (int64_t[]){P53 + 1, MIN + 1}, 2);
    op_end(&b);
    op_begin(&b, env, "Resize", 1);
    op_attr_s(&b, "mode", (char *)(uintptr_t) "nearest");
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    op_absent(&b);
    op_absent(&b);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){1}, (int64_t[]){4});
    expect_ints(&b, "Resize", x, 4);
    op_end(&b);
    op_begin(&b, env, "GridSample", 1);
    op_attr_s(&b, "mode", (char *)(uintptr_t) "nearest");
    op_attr_i(&b, "align_corners", 1);
    (void)add_ints(&b, LAMINA_I64, 4, (int64_t[]){1, 1, 2, 2}, x);
    (void)op_in(&b, LAMINA_F32, 4, (int64_t[]){1, 1, 2, 2}, (double[]){-1, -1, 1, 1});
    expect_ints(&b, "GridSample", (int64_t[]){P53 + 1, -P53 - 1}, 2);
    op_end(&b);
    op_begin(&b, env, "Where", 1);
    (void)op_in(&b, LAMINA_BOOL, 1, (int64_t[]){4}, (double[]){1, 0, 1, 0});
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){4}, x);
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){P53 + 3});
    expect_ints(&b, "Where", (int64_t[]){P53 + 1, P53 + 3, MAX, P53 + 3}, 4);
    op_end(&b);
    op_begin(&b, env, "CumProd", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){2}, (int64_t[]){P53 + 1, 3});
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){0});
    expect_ints(&b, "CumProd", (int64_t[]){P53 + 1, 3 * P53 + 3}, 2);
    op_end(&b);
}

static void test_places(t_env *env)
{
    static const int64_t x[3] = {P53, MIN, 4};
    op_bench b;
    op_begin(&b, env, "Clip", 1);
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){3}, x);
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){MIN + 1});
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){P53 - 1});
    expect_ints(&b, "Clip", (int64_t[]){P53 - 1, MIN + 1, 4}, 3);
    op_end(&b);
    op_begin(&b, env, "Range", 1);
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){P53});
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){P53 + 3});
    (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){1});
    expect_ints(&b, "Range", (int64_t[]){P53, P53 + 1, P53 + 2}, 3);
    T_EQ(lmn_count(b.out[0]), 3);
    op_end(&b);
    op_begin(&b, env, "Gemm", 1);
    (void)add_ints(&b, LAMINA_I64, 2, (int64_t[]){1, 3}, (int64_t[]){P53 + 1, 1, 1});
    (void)add_ints(&b, LAMINA_I64, 2, (int64_t[]){3, 1}, (int64_t[]){3, 1, 1});
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){1}, (int64_t[]){1});
    expect_ints(&b, "Gemm", (int64_t[]){3 * P53 + 6}, 1);
    op_end(&b);
    op_begin(&b, env, "Einsum", 1);
    op_attr_s(&b, "equation", (char *)(uintptr_t) "i,i->");
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){3}, (int64_t[]){P53 + 1, 1, 1});
    (void)add_ints(&b, LAMINA_I64, 1, (int64_t[]){3}, (int64_t[]){3, 1, 1});
    expect_ints(&b, "Einsum", (int64_t[]){3 * P53 + 5}, 1);
    op_end(&b);
}

static void test_cast(t_env *env)
{
    static const struct {
        lamina_dtype from, to;
        int64_t in, want;
    } CASES[] = {
        {LAMINA_I64, LAMINA_U64, -1, -1},           {LAMINA_U64, LAMINA_I64, -1, -1},
        {LAMINA_I64, LAMINA_I64, P53 + 1, P53 + 1}, {LAMINA_I64, LAMINA_I32, P53 + 1, 1},
        {LAMINA_I64, LAMINA_BOOL, P53 + 1, 1},
    };
    for (size_t i = 0; i < LMN_COUNT(CASES); i++) {
        op_bench b;
        op_begin(&b, env, "Cast", 1);
        op_attr_i(&b, "to", CASES[i].to);
        (void)add_ints(&b, CASES[i].from, 1, (int64_t[]){1}, &CASES[i].in);
        expect_ints(&b, "Cast", &CASES[i].want, 1);
        op_end(&b);
    }
}

/* ---- f64 ------------------------------------------------------------------------------------ */

/* f(x) in f64 to 1e-14, which f32 (6e-8) cannot hold. */
static void test_f64(t_env *env)
{
    static const struct {
        const char *op;
        double (*f)(double);
    } UNARY[] = {{"Sqrt", sqrt},   {"Exp", exp},   {"Log", log},   {"Sin", sin},
                 {"Cos", cos},     {"Tan", tan},   {"Asin", asin}, {"Acos", acos},
                 {"Atan", atan},   {"Sinh", sinh}, {"Cosh", cosh}, {"Tanh", tanh},
                 {"Asinh", asinh}, {"Erf", erf},   {"Abs", fabs},  {"Atanh", atanh},
                 {"Floor", floor}};
    static const double x[3] = {0.1, 1.0 / 3.0, 0.9000000000000123};
    for (size_t i = 0; i < LMN_COUNT(UNARY); i++) {
        op_bench b;
        op_begin(&b, env, UNARY[i].op, 1);
        (void)op_in(&b, LAMINA_F64, 1, (int64_t[]){3}, x);
        T_CASE(UNARY[i].op);
        T_OK_ERR(op_eval(&b), &b.err);
        for (int64_t k = 0; k < 3; k++) {
            const double want = UNARY[i].f(x[k]), is = lmn_get_f64(b.out[0], k);
            T_CHECK(fabs(is - want) <= 1e-14 * fabs(want));
        }
        op_end(&b);
    }
}

/* x = 1 and steps of 2^-50 survive sums, products, pools, norms, products of matrices. */
static void test_f64_shapes(t_env *env)
{
    static const char *const SUMS[] = {"ReduceSum", "ReduceMax", "ReduceL1", "CumSum",
                                       "Mean",      "Transpose", "Clip",     "Where"};
    const double e = 0x1p-50, x[2] = {1 + e, 0};
    for (size_t i = 0; i < LMN_COUNT(SUMS); i++) {
        const bool cum = strcmp(SUMS[i], "CumSum") == 0, where = strcmp(SUMS[i], "Where") == 0;
        op_bench b;
        op_begin(&b, env, SUMS[i], 1);
        if (where) (void)op_in(&b, LAMINA_BOOL, 1, (int64_t[]){2}, (double[]){1, 0});
        (void)op_in(&b, LAMINA_F64, 1, (int64_t[]){2}, x);
        if (where) (void)op_in(&b, LAMINA_F64, 1, (int64_t[]){2}, x);
        if (cum) (void)add_ints(&b, LAMINA_I64, 0, NULL, (int64_t[]){0});
        T_CASE(SUMS[i]);
        T_OK_ERR(op_eval(&b), &b.err);
        T_EQ(lmn_get_f64(b.out[0], 0), 1 + e);
        op_end(&b);
    }
    op_bench b;
    op_begin(&b, env, "MatMul", 1);
    (void)op_in(&b, LAMINA_F64, 2, (int64_t[]){1, 2}, x);
    (void)op_in(&b, LAMINA_F64, 2, (int64_t[]){2, 1}, (double[]){1, 5});
    T_OK_ERR(op_eval(&b), &b.err);
    T_EQ(lmn_get_f64(b.out[0], 0), 1 + e);
    op_end(&b);
    op_begin(&b, env, "GlobalMaxPool", 1);
    (void)op_in(&b, LAMINA_F64, 3, (int64_t[]){1, 1, 2}, x);
    T_OK_ERR(op_eval(&b), &b.err);
    T_EQ(lmn_get_f64(b.out[0], 0), 1 + e);
    op_end(&b);
    op_begin(&b, env, "Conv", 1);
    (void)op_in(&b, LAMINA_F64, 3, (int64_t[]){1, 1, 2}, x);
    (void)op_in(&b, LAMINA_F64, 3, (int64_t[]){1, 1, 1}, (double[]){1 + e});
    T_OK_ERR(op_eval(&b), &b.err);
    T_EQ(lmn_get_f64(b.out[0], 0), (1 + e) * (1 + e));
    op_end(&b);
}

T_MAIN(T_TEST(test_elementwise), T_TEST(test_unsigned), T_TEST(test_reduce), T_TEST(test_choice),
       T_TEST(test_scatter), T_TEST(test_moved), T_TEST(test_places), T_TEST(test_cast),
       T_TEST(test_f64), T_TEST(test_f64_shapes))
