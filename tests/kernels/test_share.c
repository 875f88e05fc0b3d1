/*
 * test_share.c - what plans for two threads give each of them: of few chunks not three, so that
 * nobody idles for as long as one takes; and the bits of one thread's plan.
 */
#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/qgemm/qgemm_plan.h"

#include "t.h"

static float *values(t_env *env, int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; x && i < n; i++) x[i] = (float)(t_rand(env) % 2001) * 1e-3f - 1;
    return x;
}

static void run_gemm(const lmn_gemm_plan *p, lmn_gemm_args args, float *c)
{
    void *scratch = malloc(p->scratch_bytes + 1);
    args.c = c;
    for (int64_t i = p->n_chunks; i > 0; i--) lmn_gemm_f32_chunk(p, &args, i - 1, scratch);
    free(scratch);
}

/* Columns of the widest chunk, times the chunks of the thread that has most, beside all. */
static double share_of(const lmn_gemm_plan *p)
{
    const int64_t most = lmn_ceil_div_i64(p->n_chunks, 2) * p->mc * p->nc;
    return (double)most / (double)(p->m * p->n);
}

/* Weights that few rows stream, and weights that 128 rows pass, which are not packed twice. */
static void test_products(t_env *env)
{
    static const int64_t SHAPES[][3] = {{1, 768, 768},  {1, 2304, 768}, {1, 3072, 768},
                                        {1, 768, 3072}, {3, 3072, 768}, {2, 5000, 300},
                                        {128, 768, 768}};
    lmn_kset set;
    T_REQUIRE(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (size_t i = 0; i < T_COUNT(SHAPES); i++) {
        const int64_t m = SHAPES[i][0], n = SHAPES[i][1], k = SHAPES[i][2];
        const lmn_gemm_shape one = {m, n, k, 1, 0, 1}, two = {m, n, k, 1, 0, 2};
        lmn_gemm_plan p[2];
        lmn_gemm_f32_plan(set.gemm_f32, &one, &p[0]);
        lmn_gemm_f32_plan(set.gemm_f32, &two, &p[1]);
        T_CHECK(p[1].n_chunks > 1 && share_of(&p[1]) < 0.56);
        if (m == 128 && set.gemm_f32->head.isa) T_EQ(p[1].m_blocks, 1);
        float *a = values(env, m * k), *b = values(env, k * n);
        float *c[2] = {malloc((size_t)(m * n) * 4), malloc((size_t)(m * n) * 4)};
        T_REQUIRE(a && b && c[0] && c[1]);
        const lmn_gemm_args args = {.a = a, .b = b, .lda = k, .ldb = n, .ldc = n};
        for (int t = 0; t < 2; t++) run_gemm(&p[t], args, c[t]);
        T_CHECK(memcmp(c[0], c[1], (size_t)(m * n) * 4) == 0);
        free(a), free(b), free(c[0]), free(c[1]);
    }
}

/* Of squares whose last columns are few the first half of the chunks is half of the work. */
static void test_squares(t_env *env)
{
    static const int64_t SIDES[] = {192, 200, 224, 256, 288, 320, 384, 448};
    lmn_kset set;
    T_REQUIRE(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (size_t i = 0; i < T_COUNT(SIDES); i++) {
        const int64_t n = SIDES[i];
        const lmn_gemm_shape two = {n, n, n, 1, 0, 2};
        lmn_gemm_plan p;
        lmn_gemm_f32_plan(set.gemm_f32, &two, &p);
        float *a = values(env, n * n), *b = values(env, n * n), *c = malloc((size_t)(n * n) * 4);
        T_REQUIRE(a && b && c);
        memset(c, 0xff, (size_t)(n * n) * 4);
        lmn_gemm_plan half = p;
        half.n_chunks = p.n_chunks / 2;
        run_gemm(&half, (lmn_gemm_args){.a = a, .b = b, .lda = n, .ldb = n, .ldc = n}, c);
        int64_t done = 0;
        for (int64_t k = 0; k < n * n; k++) done += c[k] == c[k];
        T_CHECK(p.n_chunks > 1 && done * 100 >= n * n * 46 && done * 100 <= n * n * 54);
        free(a), free(b), free(c);
    }
}

/* So are squares of 16 and of 8 bits, whose tiles may be as high as 32 rows. */
static void test_narrow_squares(t_env *env)
{
    static const int64_t SIDES[] = {192, 256, 304, 320, 384, 448, 500};
    lmn_kset set;
    T_REQUIRE(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (size_t side = 0; side < T_COUNT(SIDES); side++) {
        const int64_t n = SIDES[side];
        const lmn_hgemm_shape h = {n, n, n, 1, LMN_HGEMM_C_F32, 0, 2};
        const lmn_qgemm_shape q = {.m = n, .n = n, .k = n, .n_batch = 1, .threads = 2};
        lmn_hgemm_plan hp;
        lmn_qgemm_plan qp;
        lmn_hgemm_plan_make(set.hgemm_bf16, &h, &hp);
        lmn_qgemm_plan_make(set.qgemm_i8, &q, &qp);
        T_CHECK(hp.n_chunks % 2 == 0 && qp.n_chunks % 2 == 0);
        uint16_t *a = calloc((size_t)(2 * n * n), sizeof *a);
        void *scratch = aligned_alloc(64, lmn_align_up(hp.scratch_bytes + qp.scratch_bytes, 64));
        int32_t *c[2] = {malloc((size_t)(n * n) * 4), malloc((size_t)(n * n) * 4)};
        T_REQUIRE(a && scratch && c[0] && c[1]);
        for (int i = 0; i < 2; i++) memset(c[i], 0xff, (size_t)(n * n) * 4);
        const lmn_hgemm_args ha = {.a = a, .b = a + n * n, .c = c[0], .lda = n, .ldb = n, .ldc = n};
        const lmn_qgemm_args qa = {.a = (const uint8_t *)a,
                                   .b = (const uint8_t *)(a + n * n),
                                   .c = c[1],
                                   .lda = n,
                                   .ldb = n,
                                   .ldc = n,
                                   .out = LMN_QGEMM_I32};
        for (int64_t i = 0; i < hp.n_chunks / 2; i++) lmn_hgemm_chunk(&hp, &ha, i, scratch);
        for (int64_t i = 0; i < qp.n_chunks / 2; i++) lmn_qgemm_chunk(&qp, &qa, i, scratch);
        for (int i = 0; i < 2; i++) {
            int64_t done = 0;
            for (int64_t k = 0; k < n * n; k++) done += c[i][k] != -1;
            T_CHECK(done * 100 >= n * n * 46 && done * 100 <= n * n * 54);
        }
        free(a), free(scratch), free(c[0]), free(c[1]);
    }
}

/* One row by many columns keeps few sums in scratch, however short k is. */
static void test_lines(t_env *env)
{
    static const int64_t DEPTHS[] = {1, 16, 64, 512, 4096};
    (void)env;
    for (int32_t r = 0; r < lmn_hgemm_bf16_n_rows; r++)
        for (size_t d = 0; d < T_COUNT(DEPTHS) && lmn_hgemm_bf16_rows[r].elem == 2; d++) {
            const lmn_hgemm_shape s = {1, 1 << 20, DEPTHS[d], 1, LMN_HGEMM_PACKED, 0, 1};
            lmn_hgemm_plan p;
            lmn_hgemm_plan_make(&lmn_hgemm_bf16_rows[r], &s, &p);
            T_CHECK(p.n_chunks > 0 && p.scratch_bytes <= (size_t)4 << 20);
        }
}

static void run_conv(const lmn_conv_plan *p, lmn_conv_args args, float *y)
{
    void *scratch = malloc(p->scratch_bytes + 1), *shared = malloc(p->shared_bytes + 1);
    args.y = y, args.shared = shared;
    for (int64_t i = p->n_prepare; i > 0; i--) lmn_conv_f32_prepare(p, &args, i - 1);
    for (int64_t i = p->n_chunks; i > 0; i--) lmn_conv_f32_chunk(p, &args, i - 1, scratch);
    free(scratch), free(shared);
}

/* Square, `kernel` wide, of one image. */
static lmn_conv_geom square(int64_t c_in, int64_t c_out, int64_t groups, int64_t side, int kernel)
{
    lmn_conv_geom g = {.n = 1, .groups = groups, .c_in = c_in, .c_out = c_out};
    for (int d = 0; d < 3; d++) {
        g.in[d] = g.out[d] = d ? side : 1, g.kernel[d] = d ? kernel : 1;
        g.stride[d] = g.dilation[d] = 1, g.pad[d] = d > 0 ? kernel / 2 : 0;
    }
    return g;
}

/* Winograd's way by tile rows: as many blocks as the caches want, made even. */
static void test_tiles(t_env *env)
{
    static const int64_t SHAPES[][2] = {{64, 48}, {96, 40}, {128, 40}, {80, 80}, {64, 12}};
    lmn_kset set;
    T_REQUIRE(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (size_t i = 0; i < T_COUNT(SHAPES); i++) {
        const int64_t c = SHAPES[i][0], side = SHAPES[i][1], n_y = c * side * side;
        lmn_conv_geom g = square(c, c, 1, side, 3);
        lmn_conv_plan p[2];
        for (int t = 0; t < 2; t++) {
            g.threads = t + 1;
            lmn_conv_f32_plan(&set, &g, &p[t]);
        }
        if (p[1].tiles && !p[1].v_first) T_CHECK(p[1].n_chunks % 2 == 0 || p[1].n_chunks > 16);
        float *x = values(env, n_y), *w = values(env, c * c * 9);
        float *y[2] = {malloc((size_t)n_y * 4), malloc((size_t)n_y * 4)};
        T_REQUIRE(x && w && y[0] && y[1]);
        for (int t = 0; t < 2; t++) run_conv(&p[t], (lmn_conv_args){.x = x, .w = w}, y[t]);
        T_CHECK(memcmp(y[0], y[1], (size_t)n_y * 4) == 0);
        free(x), free(w), free(y[0]), free(y[1]);
    }
}

/* Many channels out of few and the depthwise convolution after them: of either each of two threads
   has the same half of the channels. */
static void test_channels(t_env *env)
{
    static const int64_t SHAPES[][3] = {{64, 384, 14}, {96, 576, 14}, {32, 192, 28}, {160, 960, 7}};
    lmn_kset set;
    T_REQUIRE(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (size_t i = 0; i < 2 * T_COUNT(SHAPES); i++) {
        const int64_t c_in = SHAPES[i / 2][0], c = SHAPES[i / 2][1], side = SHAPES[i / 2][2];
        lmn_conv_geom g = i % 2 ? square(c, c, c, side, 3) : square(c_in, c, 1, side, 1);
        lmn_conv_plan p[2];
        for (int t = 0; t < 2; t++) {
            g.threads = t + 1;
            lmn_conv_f32_plan(&set, &g, &p[t]);
        }
        T_CHECK(p[1].n_chunks % 2 == 0 && (i % 2 || p[1].rows_first));
        T_EQ(p[1].m_blocks % 2, 0);
        const int64_t n_x = g.c_in * side * side, n_y = c * side * side;
        const int64_t n_w = i % 2 ? 9 * c : c_in * c;
        float *x = values(env, n_x), *w = values(env, n_w);
        float *y[2] = {malloc((size_t)n_y * 4), malloc((size_t)n_y * 4)};
        T_REQUIRE(x && w && y[0] && y[1]);
        for (int t = 0; t < 2; t++) run_conv(&p[t], (lmn_conv_args){.x = x, .w = w}, y[t]);
        T_CHECK(memcmp(y[0], y[1], (size_t)n_y * 4) == 0);
        free(x), free(w), free(y[0]), free(y[1]);
    }
}

/* The images of a batch go the way that one goes, so that they may be taken some at a time. */
static void test_batches(t_env *env)
{
    lmn_kset set;
    T_REQUIRE(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (int64_t side = 1; side < 60; side++)
        for (int64_t c = 16; c <= 1024; c *= 2) {
            lmn_conv_geom g = {.n = 1, .c_in = c, .c_out = 512, .groups = 1, .threads = 1};
            g.in[0] = g.out[0] = g.kernel[0] = 1;
            g.stride[0] = g.stride[1] = g.stride[2] = 1;
            g.dilation[0] = g.dilation[1] = g.dilation[2] = 1;
            g.in[1] = g.in[2] = g.out[1] = g.out[2] = side;
            g.kernel[1] = g.kernel[2] = 3, g.pad[1] = g.pad[2] = 1;
            lmn_conv_plan one, some;
            lmn_conv_f32_plan(&set, &g, &one);
            for (g.n = 2; g.n < 40; g.n += 3) {
                lmn_conv_f32_plan(&set, &g, &some);
                T_CHECK(some.path == one.path && some.thin == one.thin);
            }
        }
}

T_MAIN(T_TEST(test_products), T_TEST(test_squares), T_TEST(test_narrow_squares), T_TEST(test_lines),
       T_TEST(test_tiles), T_TEST(test_channels), T_TEST(test_batches))
