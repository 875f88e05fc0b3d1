/*
 * Support vector machines and category maps: counts in a file that contradict each other get a
 * status, never a read outside the lists.
 */
#include "op_bench.h"

static const float VALUES[16] = {1, -2, 3, -4, 5, -6, 7, -8, 1, 2, 3, 4, 5, 6, 7, 8};

static void begin_ml(op_bench *b, t_env *env, const char *name, int32_t n_out)
{
    op_begin(b, env, "Identity", n_out);
    b->node.def = lmn_op_find("ai.onnx.ml", name);
    if (!b->node.def) t_fail(__FILE__, __LINE__, "no operator %s", name);
}

static void put_floats(op_bench *b, const char *name, int32_t n)
{
    op_attr(b, (lmn_attr){.name = name, .type = LMN_ATTR_FLOATS, .n = n, .u.floats = VALUES});
}

static void put_ints(op_bench *b, const char *name, const int64_t *v, int32_t n)
{
    op_attr(b, (lmn_attr){.name = name, .type = LMN_ATTR_INTS, .n = n, .u.ints = v});
}

/* Two features, rows as they come; 0 or more vectors per class. */
static lamina_status classify(t_env *env, const int64_t *counts, int32_t n_counts, int32_t n_coef,
                              int32_t n_vectors, int32_t n_rho)
{
    static const int64_t LABELS[3] = {4, 5, 6};
    const double x[6] = {1, 2, -1, 0, 3, -2};
    op_bench b;
    begin_ml(&b, env, "SVMClassifier", 2);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){3, 2}, x);
    put_ints(&b, "classlabels_ints", LABELS, 3);
    put_floats(&b, "coefficients", n_coef);
    put_floats(&b, "rho", n_rho);
    if (n_counts) put_ints(&b, "vectors_per_class", counts, n_counts);
    if (n_vectors) put_floats(&b, "support_vectors", n_vectors);
    const lamina_status st = op_eval(&b);
    op_end(&b);
    return st;
}

static void test_classifier(t_env *env)
{
    const int64_t good[3] = {1, 2, 1}, negative[3] = {3, -1, 2},
                  huge[3] = {INT64_MAX, INT64_MAX, 4};
    T_EQ(classify(env, good, 3, 8, 8, 3), LAMINA_OK);
    T_EQ(classify(env, good, 3, 7, 8, 3), LAMINA_E_INVALID); /* too few coefficients */
    T_EQ(classify(env, good, 3, 8, 8, 2), LAMINA_E_INVALID); /* too few of rho */
    T_EQ(classify(env, good, 3, 8, 7, 3), LAMINA_E_SHAPE);
    T_EQ(classify(env, good, 2, 8, 6, 3), LAMINA_E_INVALID); /* three classes, two counts */
    T_EQ(classify(env, negative, 3, 8, 8, 3), LAMINA_E_INVALID);
    T_EQ(classify(env, huge, 3, 8, 8, 3), LAMINA_E_INVALID);
    T_EQ(classify(env, NULL, 0, 6, 0, 1), LAMINA_OK); /* linear */
    T_EQ(classify(env, NULL, 0, 5, 0, 1), LAMINA_E_SHAPE);
}

static lamina_status regress(t_env *env, int64_t supports, int32_t n_coef, int32_t n_vectors)
{
    const double x[4] = {1, 2, -1, 0};
    op_bench b;
    begin_ml(&b, env, "SVMRegressor", 1);
    (void)op_in(&b, LAMINA_F64, 2, (int64_t[]){2, 2}, x);
    put_floats(&b, "coefficients", n_coef);
    put_floats(&b, "rho", 1);
    put_floats(&b, "support_vectors", n_vectors);
    op_attr(&b, (lmn_attr){.name = "n_supports", .type = LMN_ATTR_INT, .n = 1, .u.i = supports});
    const lamina_status st = op_eval(&b);
    op_end(&b);
    return st;
}

static void test_regressor(t_env *env)
{
    T_EQ(regress(env, 3, 3, 6), LAMINA_OK);
    T_EQ(regress(env, 3, 2, 6), LAMINA_E_INVALID);
    T_EQ(regress(env, 3, 3, 5), LAMINA_E_SHAPE);
    T_EQ(regress(env, -1, 3, 6), LAMINA_E_INVALID);
    T_EQ(regress(env, INT64_MAX, 3, 6), LAMINA_E_SHAPE);
}

T_MAIN(T_TEST(test_classifier), T_TEST(test_regressor))
