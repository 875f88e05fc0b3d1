/*
 * What an element gives does not depend on the lane it falls in: the same number (NaN, a signed
 * zero, a tie, a denormal among them) at every position of rows of 1 to 65 elements has the same
 * bits, in every row of the kernel tables that this CPU can run. A NaN is a NaN: of two operands
 * that are one, hardware takes the sign of either.
 */
#include "t.h"

#include "base/cpu.h"
#include "kernels/conv/dwconv.h"
#include "kernels/conv/pool.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/norm/norm.h"

#include <math.h>

#define LONGEST 65

static const float VALUES[] = {
    NAN,        -NAN,        INFINITY,   -INFINITY,       0.0f,   -0.0f,   0.5f,
    -0.5f,      1.5f,        2.5f,       -2.5f,           1e30f,  -1e30f,  0x1p-149f,
    -0x1p-140f, 0x1p-126f,   0.7f,       -0.7f,           88.7f,  -88.8f,  3.0f,
    -3.0f,      16777215.5f, 8388608.5f, 0x1.fffffep127f, 1e-20f, -1e-20f, 0.927734375f};

static bool usable(const lmn_krow *head)
{
    lmn_cpu cpu;
    (void)lmn_cpu_detect(&cpu, NULL);
    return (head->isa & ~cpu.isa) == 0;
}

static uint32_t bits(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static void same(const lmn_krow *row, const char *what, int64_t n, int64_t at, float v, float is,
                 float was)
{
    if (bits(is) == bits(was) || (isnan(is) && isnan(was))) return;
    t_fail(__FILE__, __LINE__, "%s.%s:%s %s: %a at %lld of %lld gives %08x, elsewhere %08x",
           row->family, row->dtype, row->variant, what, (double)v, (long long)at, (long long)n,
           bits(is), bits(was));
}

static float filler(int64_t i)
{
    return (float)((i * 37 + 11) % 101) / 25.0f - 2.0f;
}

/* ---- elementwise ---------------------------------------------------------------------------- */

static void unary_value(const lmn_elementwise_row *row, lmn_unary_kind kind, float v)
{
    float x[LONGEST], y[LONGEST], first = 0;
    for (int64_t n = 1; n <= LONGEST; n += n < 17 ? 1 : 4) { /* all places of the longest */
        for (int64_t at = n - 1; at >= 0; at -= n < 18 || n == LONGEST ? 1 : 5) {
            for (int64_t i = 0; i < n; i++) x[i] = i == at ? v : filler(i);
            const lmn_unary_block b = {
                .kind = kind, .p0 = -1.25f, .p1 = 1.75f, .x = x, .y = y, .n = n};
            row->unary(&b);
            if (n == 1) first = y[0];
            same(&row->head, "unary", n, at, v, y[at], first);
        }
    }
}

static void binary_value(const lmn_elementwise_row *row, lmn_binary_kind kind, float v, float w)
{
    float a[LONGEST], c[LONGEST], y[LONGEST], first = 0;
    for (int64_t n = 1; n <= LONGEST; n += n < 34 ? 1 : 5) {
        const int64_t at = n * 5 / 7;
        for (int form = 0; form < 3; form++) { /* two rows, one element on either side */
            for (int64_t i = 0; i < n; i++) a[i] = i == at ? v : filler(i), c[i] = i == at ? w : 1;
            const float *l = form == 1 ? a + at : a, *r = form == 2 ? c + at : c;
            const lmn_binary_block b = {.kind = kind,
                                        .a = l,
                                        .b = r,
                                        .a_one = form == 1,
                                        .b_one = form == 2,
                                        .y = y,
                                        .n = n};
            row->binary(&b);
            if (n == 1 && form == 0) first = y[0];
            same(&row->head, "binary", n, at, v, y[at], first);
        }
    }
}

static void test_elementwise(t_env *env)
{
    (void)env;
    for (int32_t r = 0; r < lmn_elementwise_f32_n_rows; r++) {
        const lmn_elementwise_row *row = &lmn_elementwise_f32_rows[r];
        if (!usable(&row->head)) continue;
        for (size_t i = 0; i < LMN_COUNT(VALUES); i++) {
            for (int k = 0; k < LMN_UN_KIND_COUNT; k++)
                unary_value(row, (lmn_unary_kind)k, VALUES[i]);
            for (int k = 0; k < LMN_BIN_KIND_COUNT; k++)
                for (size_t j = i % 3; j < LMN_COUNT(VALUES); j += 3)
                    binary_value(row, (lmn_binary_kind)k, VALUES[i], VALUES[j]);
        }
        T_CHECK(true);
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Sums here are exact, so that no order of additions shows. */
static void norm_value(const lmn_norm_row *row, float v)
{
    float x[LONGEST], y[LONGEST], ones[LONGEST];
    for (int64_t n = 1; n <= LONGEST; n += n < 17 ? 1 : 4) {
        float sum = 0, soft = 0, layer = 0;
        for (int64_t at = 0; at < n; at++) {
            lmn_norm_block b = {.x = x, .y = y, .rows = 1, .n = n, .scale = ones, .eps = 1e-5f};
            for (int64_t i = 0; i < n; i++) x[i] = i == at ? v : 0.0f, ones[i] = 1.0f;
            row->folds(&b);
            if (at == 0) sum = y[0];
            same(&row->head, "folds", n, at, v, y[0], sum);
            row->layer(&b);
            if (at == 0) layer = y[0];
            if (isnan(v) || (v == 2 && (n & (n - 1)) == 0)) /* the mean is exact, too */
                same(&row->head, "layer", n, at, v, y[at], layer);
            for (int64_t i = 0; i < n; i++) x[i] = i == at ? v : -INFINITY;
            row->softmax(&b);
            if (at == 0) soft = y[0];
            same(&row->head, "softmax", n, at, v, y[at], soft);
        }
    }
}

/* Columns of softmax_down are neighbours in lanes. */
static void down_value(const lmn_norm_row *row, float v)
{
    float x[3 * LONGEST], y[3 * LONGEST], first[3] = {0};
    for (int64_t cols = 1; cols <= LONGEST; cols++) {
        for (int64_t i = 0; i < 3 * cols; i++) x[i] = i < cols ? v : i < 2 * cols ? 0.5f : -0.25f;
        const lmn_norm_block b = {.x = x, .y = y, .rows = cols, .n = 3, .step = cols};
        row->softmax_down(&b);
        for (int64_t i = 0; i < 3 * cols; i++) {
            if (cols == 1) first[i] = y[i];
            same(&row->head, "softmax_down", cols, i % cols, v, y[i], first[i / cols]);
        }
    }
}

static void test_norm(t_env *env)
{
    (void)env;
    for (int32_t r = 0; r < lmn_norm_f32_n_rows; r++) {
        const lmn_norm_row *row = &lmn_norm_f32_rows[r];
        if (!usable(&row->head)) continue;
        for (size_t i = 0; i < LMN_COUNT(VALUES); i++) {
            norm_value(row, VALUES[i]);
            down_value(row, VALUES[i]);
        }
        norm_value(row, 2.0f);
        T_CHECK(true);
    }
}

/* ---- windows -------------------------------------------------------------------------------- */

static lmn_conv_geom line(int64_t n, int64_t taps, int64_t stride)
{
    lmn_conv_geom g = {.n = 1, .c_in = 1, .c_out = 1, .groups = 1};
    for (int i = 0; i < 3; i++) g.in[i] = g.out[i] = g.kernel[i] = g.stride[i] = g.dilation[i] = 1;
    g.in[2] = n * stride + taps - 1, g.out[2] = n, g.kernel[2] = taps, g.stride[2] = stride;
    return g;
}

/* Every window of a row holds v and w, in either order: all outputs are equal. */
static void pool_value(const lmn_pool_row *row, float v, float w)
{
    float x[4 * LONGEST], y[LONGEST], first[3] = {0};
    for (int64_t n = 1; n <= LONGEST; n += n < 17 ? 1 : 4)
        for (int64_t stride = 1; stride <= 3; stride++)
            for (int kind = 0; kind < 2; kind++) {
                const lmn_conv_geom g = line(n, 2, stride);
                for (int64_t i = 0; i < g.in[2]; i++)
                    x[i] = (stride == 2 ? i / 2 + i : i) % 2 ? v : w;
                if (stride == 3)
                    for (int64_t i = 0; i < g.in[2]; i++) x[i] = i % 3 ? v : w;
                const lmn_pool_block b = {.g = &g,
                                          .kind = kind ? LMN_POOL_AVG : LMN_POOL_MAX,
                                          .x = x,
                                          .y = y,
                                          .n_planes = 1};
                row->run(&b);
                if (n == 1 && stride == 1) first[kind] = y[0];
                for (int64_t i = 0; i < n; i++)
                    if (!isnan(v) || !isnan(w))
                        same(&row->head, "window", n, i, v, y[i], first[kind]);
            }
}

/* A plane as one window: v at every place among what it beats. */
static void pool_global(const lmn_pool_row *row, float v)
{
    float x[LONGEST], y;
    for (int64_t n = 1; n <= LONGEST; n++) {
        lmn_conv_geom g = line(1, n, 1);
        g.in[2] = n;
        for (int64_t at = 0; at < n; at++) {
            for (int64_t i = 0; i < n; i++) x[i] = i == at ? v : v == 0 ? -0.0f : -INFINITY;
            const lmn_pool_block b = {
                .g = &g, .kind = LMN_POOL_MAX, .x = x, .y = &y, .n_planes = 1};
            row->run(&b);
            same(&row->head, "global", n, at, v, y, v);
        }
    }
}

static void test_pool(t_env *env)
{
    (void)env;
    for (int32_t r = 0; r < lmn_pool_f32_n_rows; r++) {
        const lmn_pool_row *row = &lmn_pool_f32_rows[r];
        if (!usable(&row->head)) continue;
        for (size_t i = 0; i < LMN_COUNT(VALUES); i++) {
            pool_global(row, VALUES[i]);
            for (size_t j = 0; j < LMN_COUNT(VALUES); j++) pool_value(row, VALUES[i], VALUES[j]);
        }
        T_CHECK(true);
    }
}

/* Equal inputs: every output that sees no padding is equal, and every row of outputs. */
static void dwconv_value(const lmn_dwconv_row *row, float v, int64_t k, int64_t stride)
{
    static float x[8 * 3 * LONGEST], y[8 * LONGEST];
    float w[49], inside = 0;
    for (int64_t i = 0; i < k * k; i++) w[i] = i % 2 ? 0.75f : -1e-30f;
    for (int64_t n = 1; n <= LONGEST; n++) {
        lmn_conv_geom g = line(n, k, stride);
        g.in[1] = 7, g.kernel[1] = k, g.stride[1] = stride, g.out[1] = (7 - k) / stride + 1;
        for (int64_t i = 0; i < g.in[1] * g.in[2]; i++) x[i] = v;
        const lmn_dwconv_block b = {.g = &g, .x = x, .w = w, .y = y, .n_c = 1};
        row->run(&b);
        if (n == 1) inside = y[0];
        for (int64_t i = 0; i < g.out[1] * n; i++) same(&row->head, "taps", n, i, v, y[i], inside);
    }
}

static void test_dwconv(t_env *env)
{
    (void)env;
    for (int32_t r = 0; r < lmn_dwconv_f32_n_rows; r++) {
        const lmn_dwconv_row *row = &lmn_dwconv_f32_rows[r];
        if (!usable(&row->head)) continue;
        for (size_t i = 0; i < LMN_COUNT(VALUES); i++)
            for (int64_t k = 2; k <= 7; k++)
                for (int64_t stride = 1; stride <= 3; stride++)
                    dwconv_value(row, VALUES[i], k, stride);
        T_CHECK(true);
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* All columns of B and all rows of A are equal: so are all elements of C. */
static void gemm_value(t_env *env, const lmn_gemm_row *row, float v, int64_t m, int32_t flags)
{
    enum { K = 19 };
    static float a[64 * K], b[K * LONGEST], c[64 * LONGEST];
    float first = 0;
    for (int64_t i = 0; i < m * K; i++) {
        const int64_t p = flags & LMN_GEMM_TRANS_A ? i / m : i % K;
        a[i] = p == 3 ? v : filler(p);
    }
    for (int64_t n = 1; n <= LONGEST; n++) {
        for (int64_t i = 0; i < n * K; i++) {
            const int64_t p = flags & LMN_GEMM_TRANS_B ? i % K : i / n;
            b[i] = p == 3 ? -1e-30f : filler(p + 5);
        }
        lmn_gemm_plan plan;
        const lmn_gemm_shape shape = {.m = m, .n = n, .k = K, .n_batch = 1, .flags = flags};
        lmn_gemm_f32_plan(row, &shape, &plan);
        void *scratch = lmn_alloc(&env->alloc, plan.scratch_bytes + 1, 64, "test");
        T_REQUIRE(scratch);
        const lmn_gemm_args args = {.a = a,
                                    .b = b,
                                    .c = c,
                                    .lda = flags & LMN_GEMM_TRANS_A ? m : K,
                                    .ldb = flags & LMN_GEMM_TRANS_B ? K : n,
                                    .ldc = n};
        for (int64_t i = 0; i < plan.n_chunks; i++) lmn_gemm_f32_chunk(&plan, &args, i, scratch);
        lmn_free(&env->alloc, scratch, plan.scratch_bytes + 1, 64, "test");
        first = c[0];
        for (int64_t i = 0; i < m * n; i++) same(&row->head, "product", n, i, v, c[i], first);
    }
}

static void test_gemm(t_env *env)
{
    static const float few[] = {NAN, INFINITY, -0.0f, 0x1p-149f, 0.7f, 1e30f};
    static const int64_t rows[] = {1, 5, 8, 13, 33};
    for (int32_t r = 0; r < lmn_gemm_f32_n_rows; r++) {
        const lmn_gemm_row *row = &lmn_gemm_f32_rows[r];
        if (!usable(&row->head)) continue;
        for (size_t i = 0; i < LMN_COUNT(few); i++)
            for (size_t m = 0; m < LMN_COUNT(rows); m++)
                for (int32_t flags = 0; flags < 4; flags++)
                    gemm_value(env, row, few[i], rows[m], flags);
        T_CHECK(true);
    }
}

T_MAIN(T_TEST(test_elementwise), T_TEST(test_norm), T_TEST(test_pool), T_TEST(test_dwconv),
       T_TEST(test_gemm))
