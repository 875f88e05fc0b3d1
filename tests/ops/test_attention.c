/*
 * test_attention.c - Attention against a scalar loop: grouped heads, cache, causal limit and mask;
 * rows without keys; the packed layout; refusals. RotaryEmbedding turns lengths into themselves.
 */
#include "op_bench.h"

enum { B = 2, HQ = 4, HK = 2, L = 3, S = 4, P = 2, D = 4, DV = 3, T = P + S };

static lamina_tensor *random_in(op_bench *b, t_env *env, int32_t rank, const int64_t *dims)
{
    lamina_tensor *t = op_in(b, LAMINA_F64, rank, dims, NULL);
    for (int64_t i = 0; t && i < lmn_count(t); i++)
        lmn_set_f64(t, i, (double)t_rand_int(env, -1000, 1000) / 500.0);
    return t;
}

static const double *row_of(const lamina_tensor *past, const lamina_tensor *now, int64_t g,
                            int64_t j, int64_t width)
{
    if (j < P) return (const double *)past->data + (g * P + j) * width;
    return (const double *)now->data + (g * S + j - P) * width;
}

static void scalar_row(const op_bench *b, int64_t bh, int64_t i, double *y)
{
    const int64_t g = bh / HQ * HK + bh % HQ / (HQ / HK);
    const double *q = (const double *)b->in[0]->data + (bh * L + i) * D;
    double p[T], sum = 0;
    for (int64_t j = 0; j < T; j++) {
        const double *k = row_of(b->in[4], b->in[1], g, j, D);
        double s = lmn_get_f64(b->in[3], i * T + j);
        for (int64_t d = 0; d < D; d++) s += q[d] * k[d] / sqrt(D);
        p[j] = j <= i + P ? exp(s) : 0;
        sum += p[j];
    }
    for (int64_t d = 0; d < DV; d++) {
        y[d] = 0;
        for (int64_t j = 0; j < T; j++)
            y[d] += p[j] / sum * row_of(b->in[5], b->in[2], g, j, DV)[d];
    }
}

static void test_scalar_loop(t_env *env)
{
    op_bench b;
    const int64_t q[4] = {B, HQ, L, D}, k[4] = {B, HK, S, D}, v[4] = {B, HK, S, DV},
                  mask[2] = {L, T}, pk[4] = {B, HK, P, D}, pv[4] = {B, HK, P, DV};
    char text[128];
    op_begin(&b, env, "Attention", 4);
    T_REQUIRE(random_in(&b, env, 4, q) && random_in(&b, env, 4, k) && random_in(&b, env, 4, v) &&
              random_in(&b, env, 2, mask) && random_in(&b, env, 4, pk) &&
              random_in(&b, env, 4, pv));
    op_attr_i(&b, "is_causal", 1);
    T_OK_ERR(op_infer(&b), &b.err);
    T_STR_EQ(op_out_text(&b, 0, text), "float64[2,4,3,3]");
    T_STR_EQ(op_out_text(&b, 1, text), "float64[2,2,6,4]");
    T_STR_EQ(op_out_text(&b, 3, text), "float64[2,4,3,6]");
    if (T_OK_ERR(op_eval(&b), &b.err))
        for (int64_t r = 0; r < B * HQ * L; r++) {
            double y[DV];
            scalar_row(&b, r / L, r % L, y);
            for (int64_t d = 0; d < DV; d++)
                T_CHECK(fabs(lmn_get_f64(b.out[0], r * DV + d) - y[d]) < 1e-12);
        }
    op_end(&b);
}

/* A query that may see no key gives zeros, also where a value is not finite. */
static void test_blind_rows(t_env *env)
{
    op_bench b;
    const int64_t x[4] = {1, 1, 2, 1}, m[2] = {2, 2};
    const double one[2] = {1, 1}, v[2] = {INFINITY, 1}, mask[4] = {0, 0, 0, 1};
    op_begin(&b, env, "Attention", 1);
    (void)op_in(&b, LAMINA_F32, 4, x, one);
    (void)op_in(&b, LAMINA_F32, 4, x, one);
    (void)op_in(&b, LAMINA_F32, 4, x, v);
    (void)op_in(&b, LAMINA_BOOL, 2, m, mask);
    if (T_OK_ERR(op_eval(&b), &b.err)) T_EQ(lmn_get_f64(b.out[0], 0), 0.0);
    op_end(&b);
}

static void check_refused(t_env *env, int64_t heads, int64_t k_width)
{
    op_bench b;
    const int64_t q[3] = {1, 2, 8}, k[3] = {1, 2, k_width};
    op_begin(&b, env, "Attention", 1);
    (void)op_in(&b, LAMINA_F32, 3, q, NULL);
    (void)op_in(&b, LAMINA_F32, 3, k, NULL);
    (void)op_in(&b, LAMINA_F32, 3, k, NULL);
    op_attr_i(&b, "q_num_heads", heads);
    op_attr_i(&b, "kv_num_heads", 1);
    T_EQ(op_eval(&b), LAMINA_E_SHAPE);
    T_CHECK(b.err.msg[0] != 0);
    op_end(&b);
}

static void test_refusals(t_env *env)
{
    check_refused(env, 3, 4); /* 8 is not a multiple of 3 */
    check_refused(env, 2, 5); /* head sizes 4 and 5 */
    check_refused(env, 0, 4);
}

static void test_rotation(t_env *env)
{
    op_bench b;
    const int64_t x[4] = {1, 1, 1, 2}, c[3] = {1, 1, 1};
    const double v[2] = {3, 4}, co = 0.6, si = 0.8;
    op_begin(&b, env, "RotaryEmbedding", 1);
    (void)op_in(&b, LAMINA_F32, 4, x, v);
    (void)op_in(&b, LAMINA_F32, 3, c, &co);
    (void)op_in(&b, LAMINA_F32, 3, c, &si);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        T_CHECK(fabs(lmn_get_f64(b.out[0], 0) - (0.6 * 3 - 0.8 * 4)) < 1e-6);
        T_CHECK(fabs(lmn_get_f64(b.out[0], 1) - (0.8 * 3 + 0.6 * 4)) < 1e-6);
    }
    op_end(&b);
}

T_MAIN(T_TEST(test_scalar_loop), T_TEST(test_blind_rows), T_TEST(test_refusals),
       T_TEST(test_rotation))
