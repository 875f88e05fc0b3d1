/*
 * Kernels of the CPU device against the reference evaluation: recurrent layers and folds within
 * what f32 loses, Einsum bit for bit; few rows by much of B, cut along k; and the same bits when
 * chunks are shared by workers and come from the back.
 */
#include "t.h"

#include <math.h>

#include "devices/device_list.h"
#include "ops/node.h"
#include "ops/op_bench.h"

/* Chunks from the back, dealt to three workers. */
static void run_backwards(void *ctx, int64_t n, lmn_par_fn *fn, void *arg)
{
    (void)ctx;
    for (int64_t i = n - 1; i >= 0; i--) fn(arg, i, (int32_t)(i % 3));
}
static const lmn_par BACKWARDS = {NULL, 3, run_backwards};

/* The outputs of the device's kernel in `got`. */
static void run_kernel(op_bench *b, const lmn_par *par, lamina_tensor *got)
{
    const lmn_fact *facts[OP_MAX] = {0};
    const lamina_tensor *none[OP_MAX] = {0};
    lamina_tensor *slot[OP_MAX];
    for (int32_t i = 0; i < b->node.n_in; i++) facts[i] = b->has_fact[i] ? &b->facts[i] : NULL;
    for (int32_t i = 0; i < b->node.n_out; i++) {
        got[i] = (lamina_tensor){.kind = LAMINA_KIND_NONE, .engine = b->env->engine};
        slot[i] = b->out[i] ? &got[i] : NULL;
    }
    const lamina_node node = {.op = &b->node, .in = facts, .in_const = none, .out = b->out_facts};
    void *self = NULL;
    lamina_kernel *k = NULL;
    if (!T_OK(lmn_device_cpu.open(b->env->engine, NULL, &self))) return;
    if (T_OK_ERR(lmn_device_cpu.compile(self, &node, &k, &b->err), &b->err)) {
        lmn_eval ec = {.node = &b->node,
                       .engine = b->env->engine,
                       .n_in = b->node.n_in,
                       .n_out = b->node.n_out,
                       .in = b->in,
                       .out = slot,
                       .par = par,
                       .err = &b->err};
        T_OK_ERR(lmn_device_cpu.execute(self, k, lmn_eval_call(&ec)), &b->err);
        lmn_scratch_release(&ec);
        lmn_device_cpu.kernel_free(self, k);
    }
    lmn_device_cpu.close(self);
}

/* Kernel alone, kernel shared, reference; ends the bench. */
static void compare(op_bench *b, double bound)
{
    lamina_tensor alone[OP_MAX], shared[OP_MAX];
    run_kernel(b, NULL, alone);
    run_kernel(b, &BACKWARDS, shared);
    T_OK_ERR(op_eval(b), &b->err);
    for (int32_t o = 0; o < b->node.n_out; o++) {
        if (!b->out[o]) continue;
        const lamina_tensor *want = b->out[o];
        double worst = 0;
        T_CHECK(lmn_dims_equal(want->rank, want->dims, alone[o].rank, alone[o].dims));
        T_EQ(memcmp(alone[o].data, shared[o].data, alone[o].data_bytes), 0);
        for (int64_t i = 0; i < lmn_count(want); i++)
            worst = fmax(worst, fabs(lmn_get_f64(want, i) - lmn_get_f64(&alone[o], i)));
        T_CHECK(worst <= bound);
        lmn_slot_clear(&alone[o]);
        lmn_slot_clear(&shared[o]);
    }
    op_end(b);
}

static void floats(op_bench *b, t_env *env, int32_t rank, const int64_t *dims, double size)
{
    const lamina_tensor *t = op_in(b, LAMINA_F32, rank, dims, NULL);
    for (int64_t i = 0; t && i < lmn_count(t); i++)
        ((float *)t->data)[i] = (float)t_rand_real(env, -size, size);
}

static void check_layer(t_env *env, const char *op, int64_t gates, bool large)
{
    static char BOTH[] = "bidirectional", BACK[] = "reverse";
    const int64_t way = t_rand_int(env, 0, 2), dirs = way == 2 ? 2 : 1;
    const int64_t seq = t_rand_int(env, 1, 7), batch = t_rand_int(env, 1, large ? 40 : 6),
                  in = t_rand_int(env, 1, 40),
                  n = large ? t_rand_int(env, 90, 140) : t_rand_int(env, 28, 60);
    const bool cell = gates == 4, bias = t_rand_int(env, 0, 3) != 0, states = t_rand_int(env, 0, 1);
    op_bench b;
    op_begin(&b, env, op, cell ? 3 : 2);
    floats(&b, env, 3, (int64_t[]){seq, batch, in}, 1);
    floats(&b, env, 3, (int64_t[]){dirs, gates * n, in}, 1 / sqrt((double)in));
    floats(&b, env, 3, (int64_t[]){dirs, gates * n, n}, 1 / sqrt((double)n));
    if (bias)
        floats(&b, env, 2, (int64_t[]){dirs, 2 * gates * n}, 0.5);
    else
        op_absent(&b);
    if (t_rand_int(env, 0, 1)) {
        lamina_tensor *lens = op_in(&b, LAMINA_I32, 1, &batch, NULL);
        T_REQUIRE(lens);
        for (int64_t i = 0; i < batch; i++) lmn_set_i64(lens, i, seq);
        if (t_rand_int(env, 0, 3) == 0) lmn_set_i64(lens, 0, seq - 1); /* the reference's */
    } else {
        op_absent(&b);
    }
    if (states) floats(&b, env, 3, (int64_t[]){dirs, batch, n}, 1);
    if (states && cell) floats(&b, env, 3, (int64_t[]){dirs, batch, n}, 1);
    if (way) op_attr_s(&b, "direction", way == 2 ? BOTH : BACK);
    op_attr_i(&b, "hidden_size", n);
    if (gates == 3) op_attr_i(&b, "linear_before_reset", t_rand_int(env, 0, 1));
    const int64_t drop = t_rand_int(env, 0, 3);
    if (drop < b.node.n_out) b.out[drop] = NULL;
    compare(&b, 1e-5);
}

static void test_recurrent(t_env *env)
{
    static const char *const OPS[] = {"RNN", "LSTM", "GRU"};
    static const int64_t GATES[] = {1, 4, 3};
    for (int32_t i = 0; i < 150; i++) check_layer(env, OPS[i % 3], GATES[i % 3], i % 10 == 9);
}

static void begin_einsum(op_bench *b, t_env *env, char *equation)
{
    op_begin(b, env, "Einsum", 1);
    op_attr_s(b, "equation", equation);
}

/* The same bits: the products of the kernel are those of the reference. */
static void test_einsum(t_env *env)
{
    static char PLAIN[] = "bij,bjk->bik", TURNED[] = "bhid,bhjd->bhij", MIXED[] = "bihd,bjhd->bhij",
                DOTS[] = "...ij,jk->...ki", THREE[] = "ab,bc,cd->da", SUMMED[] = "abc,cd->db";
    for (int32_t i = 0; i < 40; i++) {
        const int64_t n = t_rand_int(env, 1, 70), m = t_rand_int(env, 1, 40),
                      k = t_rand_int(env, 1, 50);
        op_bench b;
        begin_einsum(&b, env, PLAIN);
        floats(&b, env, 3, (int64_t[]){3, m, k}, 1);
        floats(&b, env, 3, (int64_t[]){3, k, n}, 1);
        compare(&b, 0);
        begin_einsum(&b, env, TURNED);
        floats(&b, env, 4, (int64_t[]){2, 3, m, k}, 1);
        floats(&b, env, 4, (int64_t[]){2, 3, n, k}, 1);
        compare(&b, 0);
        begin_einsum(&b, env, MIXED);
        floats(&b, env, 4, (int64_t[]){2, m, 3, k}, 1);
        floats(&b, env, 4, (int64_t[]){2, n, 3, k}, 1);
        compare(&b, 0);
        begin_einsum(&b, env, DOTS);
        floats(&b, env, 4, (int64_t[]){2, 1, m, k}, 1);
        floats(&b, env, 2, (int64_t[]){k, n}, 1);
        compare(&b, 0);
        begin_einsum(&b, env, THREE);
        floats(&b, env, 2, (int64_t[]){m, k}, 1);
        floats(&b, env, 2, (int64_t[]){k, n}, 1);
        floats(&b, env, 2, (int64_t[]){n, m}, 1);
        compare(&b, 0);
        begin_einsum(&b, env, SUMMED);
        floats(&b, env, 3, (int64_t[]){3, m, k}, 1);
        floats(&b, env, 2, (int64_t[]){k, n}, 1);
        compare(&b, 0);
    }
}

/* Any axes; sums of a few hundred numbers of at most 1. */
static void test_folds(t_env *env)
{
    static const char *const OPS[] = {"ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean"};
    for (int32_t i = 0; i < 160; i++) {
        int64_t dims[4], n_axes = 0;
        double axes[4];
        op_bench b;
        op_begin(&b, env, OPS[i % 4], 1);
        for (int32_t k = 0; k < 4; k++) {
            dims[k] = t_rand_int(env, 1, 9);
            if (t_rand_int(env, 0, 1)) axes[n_axes++] = k;
        }
        floats(&b, env, 4, dims, 1);
        (void)op_in(&b, LAMINA_I64, 1, &n_axes, axes);
        op_attr_i(&b, "keepdims", t_rand_int(env, 0, 1));
        compare(&b, i % 4 < 2 ? 0 : 1e-3);
    }
}

/* Few rows by [k][n] weights around where sums are cut into parts: 1 MiB of B, k in four. */
static void test_long_sums(t_env *env)
{
    static const int64_t NK[][2] = {{768, 768},  {640, 2048}, {512, 512},  {333, 1024},
                                    {300, 1021}, {17000, 64}, {1, 262144}, {511, 512}};
    for (int32_t i = 0; i < 32; i++) {
        const int64_t n = NK[i / 4][0], k = NK[i / 4][1], m = i % 4 + 1;
        op_bench b;
        op_begin(&b, env, i % 2 ? "Gemm" : "MatMul", 1);
        floats(&b, env, 2, (int64_t[]){m, k}, 1);
        floats(&b, env, 2, (int64_t[]){k, n}, 1);
        if (i % 2) floats(&b, env, 1, &n, 1);
        compare(&b, 2e-6 * (double)k);
    }
}

T_MAIN(T_TEST(test_recurrent), T_TEST(test_einsum), T_TEST(test_folds), T_TEST(test_long_sums))
