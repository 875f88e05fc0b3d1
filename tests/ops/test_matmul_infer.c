/*
 * test_matmul_infer.c - shapes of matrix products on facts, their refusals, exact integers, blocks
 * that do not divide, and Einsum against its definition.
 */
#include "op_bench.h"

static lmn_fact fact_of(lmn_dim_pool *p, const char *const *names, int32_t rank)
{
    lmn_fact f = lmn_fact_tensor(LAMINA_F32, rank);
    for (int32_t i = 0; i < rank; i++) {
        const char c = names[i][0];
        f.dims[i] = c == '?'               ? LMN_DIM_UNKNOWN
                    : c >= '0' && c <= '9' ? lmn_dim_c(atoi(names[i]))
                                           : lmn_dim_sym(p, names[i]);
    }
    return f;
}

/* A shape written "N,3,?" ("" = scalar, NULL = unknown rank). */
static void push_shape(op_bench *b, const char *text)
{
    char buf[64];
    const char *names[LMN_MAX_RANK];
    int32_t rank = 0;
    if (!text) {
        op_fact(b, lmn_fact_tensor(LAMINA_F32, -1));
        return;
    }
    (void)snprintf(buf, sizeof buf, "%s", text);
    for (char *s = strtok(buf, ","); s; s = strtok(NULL, ",")) names[rank++] = s;
    op_fact(b, fact_of(b->dims, names, rank));
}

static void check_shape(t_env *env, const char *op, const char *a, const char *c, const char *want)
{
    op_bench b;
    char text[128];
    op_begin(&b, env, op, 1);
    push_shape(&b, a);
    push_shape(&b, c);
    const lamina_status st = op_infer(&b);
    if (want) {
        T_OK_ERR(st, &b.err);
        T_STR_EQ(op_out_text(&b, 0, text), want);
    } else {
        T_EQ(st, LAMINA_E_SHAPE);
        T_CHECK(strstr(b.err.msg, "cannot multiply") || strstr(b.err.msg, "Gemm takes matrices"));
    }
    op_end(&b);
}

static void test_shapes(t_env *env)
{
    check_shape(env, "MatMul", "3,4", "4,5", "float32[3,5]");
    check_shape(env, "MatMul", "N,T,64", "64,V", "float32[N,T,V]");
    check_shape(env, "MatMul", "N,1,3,K", "7,K,5", "float32[N,7,3,5]");
    check_shape(env, "MatMul", "K", "K", "float32[]");
    check_shape(env, "MatMul", "K", "2,K,N", "float32[2,N]");
    check_shape(env, "MatMul", "2,M,K", "K", "float32[2,M]");
    check_shape(env, "MatMul", "A,2,3", "B,3,2", "float32[floor((A*B)/min(A, B)),2,2]");
    check_shape(env, "MatMul", NULL, "4,5", "float32[...]");
    check_shape(env, "MatMul", "2,3", "4,5", NULL);
    check_shape(env, "MatMul", "2,3,4", "3,4,5", NULL);
    check_shape(env, "MatMul", "", "4,5", NULL);
    check_shape(env, "Gemm", "N,784", "784,10", "float32[N,10]");
    check_shape(env, "Gemm", NULL, "784,10", "float32[?0,10]");
    check_shape(env, "Gemm", "2,3,4", "4,5", NULL);
}

/* Plain triple loop. */
static double product_at(const lamina_tensor *a, const lamina_tensor *b, int64_t i, int64_t j)
{
    const int64_t k = a->dims[1], n = b->dims[1];
    double s = 0;
    for (int64_t x = 0; x < k; x++) s += lmn_get_f64(a, i * k + x) * lmn_get_f64(b, x * n + j);
    return s;
}

static void check_values(t_env *env, lamina_dtype dt, int64_t m, int64_t k, int64_t n)
{
    op_bench b;
    const int64_t da[2] = {m, k}, db[2] = {k, n};
    op_begin(&b, env, "MatMul", 1);
    lamina_tensor *x = op_in(&b, dt, 2, da, NULL), *y = op_in(&b, dt, 2, db, NULL);
    T_REQUIRE(x && y);
    for (int64_t i = 0; i < m * k; i++) lmn_set_i64(x, i, t_rand_int(env, 0, 7));
    for (int64_t i = 0; i < k * n; i++) lmn_set_i64(y, i, t_rand_int(env, 0, 7));
    if (T_OK_ERR(op_eval(&b), &b.err))
        for (int64_t i = 0; i < m * n; i++)
            T_EQ(lmn_get_f64(b.out[0], i), product_at(x, y, i / n, i % n));
    op_end(&b);
}

static void test_blocks(t_env *env)
{
    check_values(env, LAMINA_F32, 65, 257, 66);
    check_values(env, LAMINA_F64, 1, 300, 3);
    check_values(env, LAMINA_I32, 70, 5, 1);
    check_values(env, LAMINA_U64, 3, 513, 65);
    check_values(env, LAMINA_F32, 4, 0, 5);
    check_values(env, LAMINA_F32, 0, 4, 5);
}

static void test_integers_wrap(t_env *env)
{
    op_bench b;
    const int64_t d[2] = {1, 1};
    op_begin(&b, env, "MatMul", 1);
    lamina_tensor *x = op_in(&b, LAMINA_I64, 2, d, NULL), *y = op_in(&b, LAMINA_I64, 2, d, NULL);
    T_REQUIRE(x && y);
    lmn_set_i64(x, 0, ((int64_t)1 << 53) + 1);
    lmn_set_i64(y, 0, 3);
    if (T_OK_ERR(op_eval(&b), &b.err)) T_EQ(lmn_get_i64(b.out[0], 0), 3 * (((int64_t)1 << 53) + 1));
    op_end(&b);
}

static void test_types_must_agree(t_env *env)
{
    op_bench b;
    const int64_t d[2] = {2, 2};
    op_begin(&b, env, "MatMul", 1);
    (void)op_in(&b, LAMINA_F64, 2, d, NULL);
    (void)op_in(&b, LAMINA_F16, 2, d, NULL);
    T_EQ(op_eval(&b), LAMINA_E_DTYPE);
    op_end(&b);
}

static void check_einsum(t_env *env, char *eq, const char *a, const char *c, const char *want)
{
    op_bench b;
    char text[128];
    op_begin(&b, env, "Einsum", 1);
    push_shape(&b, a);
    if (c) push_shape(&b, c);
    op_attr_s(&b, "equation", eq);
    const lamina_status st = op_infer(&b);
    if (want) {
        T_OK_ERR(st, &b.err);
        T_STR_EQ(op_out_text(&b, 0, text), want);
    } else {
        T_CHECK(st != LAMINA_OK && b.err.msg[0]);
    }
    op_end(&b);
}

static void test_einsum_infer(t_env *env)
{
    check_einsum(env, (char[]){"bij,bjk->bik"}, "B,2,3", "B,3,K", "float32[B,2,K]");
    check_einsum(env, (char[]){"...ij,...jk"}, "N,H,2,3", "3,4", "float32[N,H,2,4]");
    check_einsum(env, (char[]){"ii->i"}, "?,5", NULL, "float32[5]");
    check_einsum(env, (char[]){"ba"}, "2,3", NULL, "float32[3,2]");
    check_einsum(env, (char[]){"ij,jk"}, "2,3", "4,5", NULL);
    check_einsum(env, (char[]){"ij->ijj"}, "2,3", NULL, NULL);
    check_einsum(env, (char[]){"ij->k"}, "2,3", NULL, NULL);
    check_einsum(env, (char[]){"i.j"}, "2,3", NULL, NULL);
    check_einsum(env, (char[]){"ij,jk"}, "2,3", NULL, NULL);
    check_einsum(env, (char[]){"ijk"}, "2,3", NULL, NULL);
}

T_MAIN(T_TEST(test_shapes), T_TEST(test_blocks), T_TEST(test_integers_wrap),
       T_TEST(test_types_must_agree), T_TEST(test_einsum_infer))
