/*
 * test_msops.c - com.microsoft operators that are not mapped away: symbolic shapes, and refusals of
 * what their attributes or inputs cannot mean. Values are the conformance cases' business.
 */
#include "op_bench.h"

static void begin(op_bench *b, t_env *env, const char *name, int32_t n_out)
{
    op_begin(b, env, "Identity", n_out);
    b->node.def = lmn_op_find("com.microsoft", name);
    if (!b->node.def) t_fail(__FILE__, __LINE__, "no operator %s", name);
}

static lmn_fact fact(op_bench *b, lamina_dtype dt, int32_t rank, const char *const *names,
                     const int64_t *extents)
{
    lmn_fact f = lmn_fact_tensor(dt, rank);
    for (int32_t d = 0; d < rank; d++)
        f.dims[d] = names && names[d] ? lmn_dim_sym(b->dims, names[d]) : lmn_dim_c(extents[d]);
    return f;
}

static void test_nbits(t_env *env)
{
    static const char *const rows[2] = {"M", NULL};
    op_bench b;
    char text[128];
    begin(&b, env, "MatMulNBits", 1);
    op_fact(&b, fact(&b, LAMINA_F32, 2, rows, (int64_t[]){0, 64}));
    op_fact(&b, fact(&b, LAMINA_U8, 3, NULL, (int64_t[]){5, 2, 16}));
    op_fact(&b, fact(&b, LAMINA_F32, 2, NULL, (int64_t[]){5, 2}));
    op_attr_i(&b, "K", 64);
    op_attr_i(&b, "N", 5);
    op_attr_i(&b, "block_size", 32);
    T_OK_ERR(op_infer(&b), &b.err);
    T_STR_EQ(op_out_text(&b, 0, text), "float32[M,5]");
    b.attrs[0].u.i = 32; /* K that A does not have */
    T_EQ(op_infer(&b), LAMINA_E_SHAPE);
    b.attrs[0].u.i = 64;
    op_attr_i(&b, "bits", 3);
    T_EQ(op_infer(&b), LAMINA_E_UNSUPPORTED);
    op_end(&b);
}

/* Weights shorter than N and K say: a sentence, no read past the end. */
static void test_nbits_short(t_env *env)
{
    op_bench b;
    begin(&b, env, "MatMulNBits", 1);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){1, 64}, NULL);
    (void)op_in(&b, LAMINA_U8, 3, (int64_t[]){5, 1, 16}, NULL);
    (void)op_in(&b, LAMINA_F32, 2, (int64_t[]){5, 2}, NULL);
    op_attr_i(&b, "K", 64);
    op_attr_i(&b, "N", 5);
    op_attr_i(&b, "block_size", 32);
    T_EQ(op_eval(&b), LAMINA_E_SHAPE);
    b.attrs[2].u.i = 0;
    T_EQ(op_eval(&b), LAMINA_E_SHAPE);
    op_end(&b);
}

static void test_attention(t_env *env)
{
    static const char *const q[3] = {"B", "S", NULL}, *const k[3] = {"B", "L", NULL},
                             *const past[4] = {"B", NULL, "P", NULL};
    op_bench b;
    char text[128];
    begin(&b, env, "MultiHeadAttention", 3);
    op_fact(&b, fact(&b, LAMINA_F32, 3, q, (int64_t[]){0, 0, 8}));
    op_fact(&b, fact(&b, LAMINA_F32, 3, k, (int64_t[]){0, 0, 8}));
    op_fact(&b, fact(&b, LAMINA_F32, 3, k, (int64_t[]){0, 0, 12}));
    for (int32_t i = 0; i < 3; i++) op_absent(&b);
    op_fact(&b, fact(&b, LAMINA_F32, 4, past, (int64_t[]){0, 2, 0, 4}));
    op_fact(&b, fact(&b, LAMINA_F32, 4, past, (int64_t[]){0, 2, 0, 6}));
    op_attr_i(&b, "num_heads", 2);
    T_OK_ERR(op_infer(&b), &b.err);
    T_STR_EQ(op_out_text(&b, 0, text), "float32[B,S,12]");
    T_STR_EQ(op_out_text(&b, 1, text), "float32[B,2,L + P,4]");
    T_STR_EQ(op_out_text(&b, 2, text), "float32[B,2,L + P,6]");
    b.attrs[0].u.i = 0;
    T_EQ(op_infer(&b), LAMINA_E_INVALID);
    op_end(&b);
}

/* Lengths that do not fit the cache must not be believed. */
static void test_gqa_lengths(t_env *env)
{
    op_bench b;
    begin(&b, env, "GroupQueryAttention", 3);
    (void)op_in(&b, LAMINA_F32, 3, (int64_t[]){1, 1, 16}, NULL);
    (void)op_in(&b, LAMINA_F32, 3, (int64_t[]){1, 1, 8}, NULL);
    (void)op_in(&b, LAMINA_F32, 3, (int64_t[]){1, 1, 8}, NULL);
    (void)op_in(&b, LAMINA_F32, 4, (int64_t[]){1, 1, 3, 8}, NULL);
    (void)op_in(&b, LAMINA_F32, 4, (int64_t[]){1, 1, 3, 8}, NULL);
    const double fits = 3, beyond = 9, total = 4;
    lamina_tensor *len = op_in(&b, LAMINA_I32, 1, (int64_t[]){1}, &fits);
    lamina_tensor *sum = op_in(&b, LAMINA_I32, 1, (int64_t[]){1}, &total);
    op_attr_i(&b, "num_heads", 2);
    op_attr_i(&b, "kv_num_heads", 1);
    T_REQUIRE(len && sum);
    for (int32_t i = 0; i < 5; i++) memset(b.in[i]->data, 0, b.in[i]->data_bytes);
    T_OK_ERR(op_eval(&b), &b.err);
    lmn_set_f64(len, 0, beyond);
    T_EQ(op_eval(&b), LAMINA_E_RANGE);
    lmn_set_f64(sum, 0, beyond + 1);
    T_EQ(op_eval(&b), LAMINA_E_SHAPE); /* nine past keys, three given */
    lmn_set_f64(len, 0, -5);
    T_EQ(op_eval(&b), LAMINA_E_RANGE);
    op_end(&b);
}

static void test_inverse(t_env *env)
{
    op_bench b;
    const double singular[4] = {1, 2, 2, 4};
    begin(&b, env, "Inverse", 1);
    (void)op_in(&b, LAMINA_F64, 2, (int64_t[]){2, 2}, singular);
    T_EQ(op_eval(&b), LAMINA_E_INVALID);
    op_end(&b);
}

T_MAIN(T_TEST(test_nbits), T_TEST(test_nbits_short), T_TEST(test_attention),
       T_TEST(test_gqa_lengths), T_TEST(test_inverse))
