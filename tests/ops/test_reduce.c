/*
 * test_reduce.c - folds over axes against brute force, their empty and special cases, and the
 * operators that work along one axis.
 */
#include "op_bench.h"

/* Sum and Max of random shapes and axes against adding by index. */
static void check_fold(t_env *env, const char *op, lamina_dtype dt, bool keep)
{
    int64_t dims[5], axes[5];
    const int32_t rank = (int32_t)t_rand_int(env, 0, 5);
    bool reduced[5] = {false};
    int64_t n_axes = 0;
    for (int32_t d = 0; d < rank; d++) {
        dims[d] = t_rand_int(env, 1, d == rank - 1 ? 300 : 5);
        reduced[d] = t_rand_int(env, 0, 1) == 1;
        if (reduced[d]) axes[n_axes++] = t_rand_int(env, 0, 1) ? d : d - rank;
    }
    op_bench b;
    op_begin(&b, env, op, 1);
    lamina_tensor *x = op_in(&b, dt, rank, dims, NULL);
    lamina_tensor *a = op_in(&b, LAMINA_I64, 1, &n_axes, NULL);
    T_REQUIRE(x && a);
    for (int64_t i = 0; i < n_axes; i++) lmn_set_i64(a, i, axes[i]);
    b.facts[1] = lmn_fact_of(a, &b.arena);
    for (int64_t i = 0; i < lmn_count(x); i++) lmn_set_i64(x, i, t_rand_int(env, 0, 9));
    op_attr_i(&b, "keepdims", keep);
    op_attr_i(&b, "noop_with_empty_axes", 1);
    T_OK_ERR(op_infer(&b), &b.err);
    if (!T_OK_ERR(op_eval(&b), &b.err)) {
        op_end(&b);
        return;
    }
    const lamina_tensor *y = b.out[0];
    int64_t inferred[LMN_MAX_RANK], want[4096] = {0};
    T_CHECK(lmn_fact_static(&b.out_facts[0], inferred) &&
            lmn_dims_equal(b.out_facts[0].rank, inferred, y->rank, y->dims));
    const bool max = strcmp(op, "ReduceMax") == 0;
    T_CHECK(lmn_count(y) <= (int64_t)T_COUNT(want) * 64);
    for (int64_t i = 0; i < lmn_count(x); i++) {
        int64_t at = 0, stride = 1, rest = i;
        for (int32_t d = rank - 1; d >= 0; d--) {
            const int64_t idx = rest % dims[d];
            rest /= dims[d];
            if (reduced[d]) continue;
            at += idx * stride;
            stride *= dims[d];
        }
        if (at >= (int64_t)T_COUNT(want)) continue;
        const int64_t v = lmn_get_i64(x, i);
        want[at] = max ? (v > want[at] ? v : want[at]) : want[at] + v;
    }
    for (int64_t i = 0; i < lmn_count(y) && i < (int64_t)T_COUNT(want); i++)
        T_EQ(lmn_get_i64(y, i), want[i]);
    op_end(&b);
}

static void test_folds(t_env *env)
{
    static const lamina_dtype TYPES[] = {LAMINA_F32, LAMINA_F64, LAMINA_I32, LAMINA_U64};
    for (int i = 0; i < 200; i++)
        check_fold(env, i % 2 ? "ReduceSum" : "ReduceMax", TYPES[i % 4], i % 3 == 0);
}

static double fold_of(t_env *env, const char *op, lamina_dtype dt, int64_t n, const double *v)
{
    op_bench b;
    double r = -12345;
    op_begin(&b, env, op, 1);
    (void)op_in(&b, dt, 1, &n, v);
    op_attr_i(&b, "keepdims", 0);
    if (T_OK_ERR(op_eval(&b), &b.err) && T_EQ(b.out[0]->rank, 0)) r = lmn_get_f64(b.out[0], 0);
    op_end(&b);
    return r;
}

static void test_special_folds(t_env *env)
{
    const double v[] = {3, -4}, nan[] = {1, NAN, 2}, inf[] = {-INFINITY, -INFINITY},
                 big[] = {1000, 1000}, up[] = {INFINITY, 1, INFINITY};
    T_NEAR(fold_of(env, "ReduceL1", LAMINA_I32, 2, v), 7, 0);
    T_NEAR(fold_of(env, "ReduceL2", LAMINA_F32, 2, v), 5, 0);
    T_NEAR(fold_of(env, "ReduceSumSquare", LAMINA_I64, 2, v), 25, 0);
    T_NEAR(fold_of(env, "ReduceProd", LAMINA_F16, 2, v), -12, 0);
    T_NEAR(fold_of(env, "ReduceMean", LAMINA_I32, 2, (double[]){-3, 0}), -1, 0);
    T_NEAR(fold_of(env, "ReduceMax", LAMINA_F32, 3, nan), NAN, 0);
    T_NEAR(fold_of(env, "ReduceLogSumExp", LAMINA_F64, 2, inf), -INFINITY, 0);
    T_NEAR(fold_of(env, "ReduceLogSumExp", LAMINA_F64, 3, up), INFINITY, 0);
    T_NEAR(fold_of(env, "ReduceLogSumExp", LAMINA_F64, 3, nan), NAN, 0);
    T_NEAR(fold_of(env, "ReduceLogSumExp", LAMINA_F64, 2, big), 1000 + log(2), 1e-12);
    T_CASE("of nothing");
    T_NEAR(fold_of(env, "ReduceSum", LAMINA_F32, 0, NULL), 0, 0);
    T_NEAR(fold_of(env, "ReduceProd", LAMINA_I32, 0, NULL), 1, 0);
    T_NEAR(fold_of(env, "ReduceMax", LAMINA_F32, 0, NULL), -INFINITY, 0);
    T_NEAR(fold_of(env, "ReduceMax", LAMINA_I8, 0, NULL), -128, 0);
    T_NEAR(fold_of(env, "ReduceMin", LAMINA_I32, 0, NULL), INT32_MAX, 0);
    T_NEAR(fold_of(env, "ReduceMin", LAMINA_BOOL, 0, NULL), 1, 0);
    T_NEAR(fold_of(env, "ReduceMean", LAMINA_F32, 0, NULL), NAN, 0);
    T_NEAR(fold_of(env, "ReduceMean", LAMINA_I32, 0, NULL), 0, 0);
    T_NEAR(fold_of(env, "ReduceLogSum", LAMINA_F32, 0, NULL), -INFINITY, 0);
}

static void test_bad_axis(t_env *env)
{
    op_bench b;
    const double axis = 2;
    op_begin(&b, env, "ReduceSum", 1);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){2, 2}, NULL);
    (void)op_in(&b, LAMINA_I64, 1, (int64_t[]){1}, &axis);
    T_EQ(op_eval(&b), LAMINA_E_RANGE);
    T_EQ(op_infer(&b), LAMINA_E_RANGE);
    T_CHECK(strstr(b.err.msg, "axis 2 is outside [-2, 1]") != NULL);
    op_end(&b);
}

static void test_arg(t_env *env)
{
    static const struct {
        const char *op;
        int64_t last;
        double v[4];
        int64_t want;
    } CASES[] = {{"ArgMax", 0, {1, 3, 3, 0}, 1},
                 {"ArgMax", 1, {1, 3, 3, 0}, 2},
                 {"ArgMin", 1, {0, 3, 0, 1}, 2},
                 {"ArgMax", 0, {9, NAN, 3, NAN}, 1}};
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        op_bench b;
        op_begin(&b, env, CASES[i].op, 1);
        (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){4, 1}, CASES[i].v);
        op_attr_i(&b, "select_last_index", CASES[i].last);
        if (T_OK_ERR(op_eval(&b), &b.err)) T_EQ(lmn_get_i64(b.out[0], 0), CASES[i].want);
        op_end(&b);
    }
}

static void check_cumulate(t_env *env, const char *op, bool exclusive, bool reverse,
                           const double *want)
{
    op_bench b;
    op_begin(&b, env, op, 1);
    (void)op_in(&b, LAMINA_I32, 1, (int64_t[]){3}, (double[]){1, 2, 3});
    op_in1(&b, LAMINA_I64, 0);
    op_attr_i(&b, "exclusive", exclusive);
    op_attr_i(&b, "reverse", reverse);
    if (T_OK_ERR(op_eval(&b), &b.err))
        for (int64_t i = 0; i < 3; i++) T_NEAR(lmn_get_f64(b.out[0], i), want[i], 0);
    op_end(&b);
}

static void test_cumulate(t_env *env)
{
    check_cumulate(env, "CumSum", false, false, (double[]){1, 3, 6});
    check_cumulate(env, "CumSum", true, true, (double[]){5, 3, 0});
    check_cumulate(env, "CumProd", true, false, (double[]){1, 1, 2});
    check_cumulate(env, "CumProd", false, true, (double[]){6, 6, 3});
}

/* Along a middle axis: the heap against picking the best one again and again. */
static void test_topk(t_env *env)
{
    const int64_t dims[3] = {3, 40, 5};
    for (int round = 0; round < 20; round++) {
        op_bench b;
        op_begin(&b, env, "TopK", 2);
        lamina_tensor *x = op_in(&b, LAMINA_F32, 3, dims, NULL);
        const double k = (double)t_rand_int(env, 0, 40);
        (void)op_in(&b, LAMINA_I64, 1, (int64_t[]){1}, &k);
        const bool largest = round % 2 == 0;
        op_attr_i(&b, "largest", largest);
        op_attr_i(&b, "axis", -2);
        T_REQUIRE(x);
        for (int64_t i = 0; i < lmn_count(x); i++)
            lmn_set_f64(x, i, t_rand_int(env, 0, 30) ? (double)t_rand_int(env, 0, 20) : NAN);
        if (!T_OK_ERR(op_eval(&b), &b.err)) continue;
        for (int64_t line = 0; line < 15; line++) {
            bool used[40] = {false};
            for (int64_t j = 0; j < (int64_t)k; j++) {
                int64_t best = -1;
                for (int64_t i = 0; i < 40; i++) {
                    if (used[i]) continue;
                    const double v = lmn_get_f64(x, line / 5 * 200 + i * 5 + line % 5);
                    const double w =
                        best < 0 ? 0 : lmn_get_f64(x, line / 5 * 200 + best * 5 + line % 5);
                    const bool better = isnan(v) || isnan(w)
                                            ? isnan(v) != isnan(w) && isnan(v) == largest
                                        : largest ? v > w
                                                  : v < w;
                    if (best < 0 || better) best = i;
                }
                used[best] = true;
                T_EQ(lmn_get_i64(b.out[1], line / 5 * 5 * (int64_t)k + j * 5 + line % 5), best);
            }
        }
        op_end(&b);
    }
}

static void test_softmax(t_env *env)
{
    op_bench b;
    const double v[] = {1000, 1, 1000, 1};
    op_begin(&b, env, "Softmax", 1);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){2, 2}, v);
    op_attr_i(&b, "axis", 0);
    if (T_OK_ERR(op_eval(&b), &b.err))
        for (int64_t i = 0; i < 4; i++) T_NEAR(lmn_get_f64(b.out[0], i), 0.5, 0);
    b.node.def = lmn_op_find("", "LogSoftmax");
    if (T_OK_ERR(op_eval(&b), &b.err)) T_NEAR(lmn_get_f64(b.out[0], 0), -log(2), 1e-7);
    b.node.def = lmn_op_find("", "Hardmax");
    if (T_OK_ERR(op_eval(&b), &b.err)) T_NEAR(lmn_get_f64(b.out[0], 2), 0, 0);
    op_end(&b);
}

T_MAIN(T_TEST(test_folds), T_TEST(test_special_folds), T_TEST(test_bad_axis), T_TEST(test_arg),
       T_TEST(test_cumulate), T_TEST(test_topk), T_TEST(test_softmax))
