/*
 * Choices of plans: whatever is chosen, the bits are the rule's; between Winograd and the direct
 * form they are near. Choices are those offered and random ones, most of them impossible; what a
 * plan refuses leaves the rule's plan.
 */
#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/qgemm/qconv_plan.h"

#include "t.h"

static int64_t below(t_env *env, int64_t n)
{
    return (int64_t)(t_rand(env) % (uint64_t)n);
}

static float *values(t_env *env, int64_t n)
{
    float *x = malloc((size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(below(env, 2001) - 1000) * 1e-3f;
    return x;
}

/* Offered in turn, then at random: sensible blocks, and nonsense. */
static lmn_choice pick(t_env *env, const lmn_choices *offers, int i, const int32_t *unit)
{
    if (i < offers->n) return offers->at[i];
    lmn_choice c = {(int32_t)below(env, LMN_CHOICE_COUNT + 1), 0, 0, 0};
    int32_t *const at[] = {&c.mc, &c.nc, &c.kc};
    for (int k = 0; k < 3; k++) {
        const int64_t kind = below(env, 4);
        if (kind == 1) *at[k] = unit[k] * (int32_t)(1 + below(env, 12));
        if (kind == 2) *at[k] = (int32_t)below(env, 3000);
        if (kind == 3 && below(env, 8) == 0) *at[k] = below(env, 2) ? INT32_MAX : INT32_MIN;
    }
    return c;
}

typedef struct product {
    lmn_gemm_args args;
    lmn_gemm_shape s;
    float *c[2];
    int64_t n_c;
} product;

static void run_gemm(const lmn_gemm_plan *p, lmn_gemm_args args, float *c)
{
    void *scratch = malloc(p->scratch_bytes + 1);
    args.c = c;
    for (int64_t i = p->n_chunks - 1; i >= 0; i--)
        lmn_gemm_f32_chunk(p, &args, i, p->scratch_bytes ? scratch : NULL);
    free(scratch);
}

static void try_product(t_env *env, const lmn_gemm_row *row, const product *x, int n_random)
{
    lmn_gemm_plan rule, p;
    lmn_choices offers;
    const int32_t unit[] = {row->mr, row->nr, 16};
    lmn_gemm_f32_plan(row, &x->s, &rule);
    lmn_gemm_f32_choices(row, &x->s, &offers);
    run_gemm(&rule, x->args, x->c[0]);
    for (int i = 0; i < offers.n + n_random; i++) {
        const lmn_choice c = pick(env, &offers, i, unit);
        const bool taken = lmn_gemm_f32_plan_as(row, &x->s, &c, &p);
        T_CHECK(taken || i >= offers.n);
        T_CHECK(taken || (p.path == rule.path && p.mc == rule.mc && p.nc == rule.nc));
        if (!taken) continue;
        T_CHECK(p.scratch_bytes <= LMN_CHOICE_SCRATCH_MAX || p.scratch_bytes <= rule.scratch_bytes);
        memset(x->c[1], 0xff, (size_t)x->n_c * sizeof(float));
        run_gemm(&p, x->args, x->c[1]);
        T_CHECK(memcmp(x->c[0], x->c[1], (size_t)x->n_c * sizeof(float)) == 0);
    }
}

static void one_product(t_env *env, const lmn_gemm_row *row, int64_t m, int64_t n, int64_t k)
{
    product x = {.s = {.m = m, .n = n, .k = k}};
    x.s.n_batch = 1 + below(env, 2), x.s.flags = (int32_t)below(env, 4);
    x.s.threads = (int32_t)below(env, 5);
    if (below(env, 4) == 0) x.s.flags |= LMN_GEMM_CHAIN;
    x.n_c = m * n * x.s.n_batch;
    float *a = values(env, m * k * x.s.n_batch), *b = values(env, k * n * x.s.n_batch);
    float *col = values(env, n);
    const lmn_epi epi = {
        .n_ops = 2,
        .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL, .x = col}, {.kind = LMN_EPI_GELU}}};
    for (int i = 0; i < 2; i++) x.c[i] = malloc((size_t)x.n_c * sizeof(float));
    x.args = (lmn_gemm_args){.a = a, .b = b, .ldc = n, .a_batch = m * k, .b_batch = k * n};
    x.args.lda = x.s.flags & LMN_GEMM_TRANS_A ? m : k;
    x.args.ldb = x.s.flags & LMN_GEMM_TRANS_B ? k : n;
    x.args.c_batch = m * n, x.args.epi = below(env, 2) ? &epi : NULL;
    try_product(env, row, &x, 6);
    for (int i = 0; i < 2; i++) free(x.c[i]);
    free(a), free(b), free(col);
}

static void test_products(t_env *env)
{
    for (int32_t r = 0; r < lmn_gemm_f32_n_rows; r++) {
        const lmn_gemm_row *row = &lmn_gemm_f32_rows[r];
        if ((row->head.isa & env->engine->cpu.isa) != row->head.isa) continue;
        T_CASE(row->head.variant);
        for (int i = 0; i < 60; i++)
            one_product(env, row, 1 + below(env, 40), 1 + below(env, 120), below(env, 90));
        for (int i = 0; i < 12 && row->head.isa; i++)
            one_product(env, row, 1 + below(env, 260), 1 + below(env, 420), 1 + below(env, 500));
    }
}

static void run_conv(const lmn_conv_plan *p, lmn_conv_args args, float *y)
{
    void *scratch = malloc(p->scratch_bytes + 1);
    args.shared = p->shared_bytes ? malloc(p->shared_bytes) : NULL;
    args.y = y;
    for (int64_t i = p->n_prepare - 1; i >= 0; i--) lmn_conv_f32_prepare(p, &args, i);
    for (int64_t i = p->n_chunks - 1; i >= 0; i--)
        lmn_conv_f32_chunk(p, &args, i, p->scratch_bytes ? scratch : NULL);
    free(args.shared);
    free(scratch);
}

/* How far apart two forms of one sum of `terms` products below 1 may be: the class of wino.h. */
static bool near(const float *a, const float *b, int64_t n, int64_t terms)
{
    const float bound = (float)terms * 2e-5f + 1e-4f;
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= bound)) return false;
    return true;
}

static void try_conv(t_env *env, const lmn_kset *set, const lmn_conv_geom *g, lmn_conv_args args)
{
    lmn_conv_plan rule, p;
    lmn_choices offers;
    const int32_t unit[] = {set->gemm_f32->mr, set->gemm_f32->nr, 1};
    const int64_t n_y = g->n * g->c_out * lmn_conv_volume(g->out);
    float *y[2] = {malloc((size_t)n_y * sizeof(float)), malloc((size_t)n_y * sizeof(float))};
    lmn_conv_f32_plan(set, g, &rule);
    lmn_conv_f32_choices(set, g, &offers);
    run_conv(&rule, args, y[0]);
    for (int i = 0; i < offers.n + 8; i++) {
        const lmn_choice c = pick(env, &offers, i, unit);
        const bool taken = lmn_conv_f32_plan_as(set, g, &c, &p);
        T_CHECK(taken || i >= offers.n);
        if (!taken) continue;
        memset(y[1], 0xff, (size_t)n_y * sizeof(float));
        run_conv(&p, args, y[1]);
        const bool same = (p.tiles > 0) == (rule.tiles > 0);
        if (i < offers.n) T_CHECK(same == !offers.other_bits[i]);
        T_CHECK(set->wino_f32 || same);
        if (same)
            T_CHECK(memcmp(y[0], y[1], (size_t)n_y * sizeof(float)) == 0);
        else
            T_CHECK(near(y[0], y[1], n_y, g->c_in * 9));
    }
    free(y[0]), free(y[1]);
}

/* Mostly 3 x 3, which may go any way; pointwise, strided, grouped and depthwise ones between. */
static lmn_conv_geom random_geom(t_env *env)
{
    const int64_t kind = below(env, 6), c = 1 + below(env, 20);
    lmn_conv_geom g = {.n = 1 + below(env, 2), .groups = 1, .c_in = c, .c_out = 1 + below(env, 40)};
    const int64_t side = kind == 1 ? 1 : 3, stride = kind == 2 ? 2 : 1;
    if (kind >= 4) g.c_in += 16, g.c_out += 8 * below(env, 30);
    if (kind == 0) g.groups = g.c_out = c;
    if (kind == 3) g.groups = 2, g.c_in *= 2, g.c_out *= 2;
    const int64_t h[3] = {1, 1 + below(env, 30), 1 + below(env, 30)};
    g.threads = (int32_t)below(env, 5);
    for (int i = 0; i < 3; i++) {
        g.in[i] = h[i], g.kernel[i] = i ? side : 1, g.dilation[i] = 1;
        g.stride[i] = i ? stride : 1, g.pad[i] = i ? side / 2 : 0;
        g.out[i] = (h[i] + 2 * g.pad[i] - g.kernel[i]) / g.stride[i] + 1;
    }
    return g;
}

static void test_convolutions(t_env *env)
{
    static const lmn_isa LEVELS[] = {LMN_ISA_AVX2, ~0u};
    for (int l = 0; l < 2; l++) {
        lmn_cpu cpu = env->engine->cpu;
        cpu.isa &= LEVELS[l];
        lmn_kset set;
        T_CHECK(lmn_kset_choose(&cpu, NULL, &set));
        T_CASE(set.gemm_f32->head.variant);
        for (int i = 0; i < 90; i++) {
            const lmn_conv_geom g = random_geom(env);
            lmn_kset use = set;
            if (i % 5 == 0) use.wino_f32 = NULL;
            const int64_t kvol = lmn_conv_volume(g.kernel);
            float *x = values(env, g.n * g.c_in * lmn_conv_volume(g.in));
            float *w = values(env, g.c_out * (g.c_in / g.groups) * kvol);
            float *bias = values(env, g.c_out);
            const lmn_epi epi = {.n_ops = 2,
                                 .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias},
                                        {.kind = LMN_EPI_SILU}}};
            try_conv(env, &use, &g, (lmn_conv_args){.x = x, .w = w, .epi = &epi});
            free(x), free(w), free(bias);
        }
    }
}

/* ---- 8-bit integers ----------------------------------------------------------------------------
 */

static uint8_t *bytes(t_env *env, int64_t n)
{
    uint8_t *x = malloc((size_t)n + 64);
    for (int64_t i = 0; i < n; i++) x[i] = (uint8_t)t_rand(env);
    return x;
}

static void *scratch_of(size_t n)
{
    return aligned_alloc(64, (n + 64) / 64 * 64);
}

static void run_qgemm(const lmn_qgemm_plan *p, lmn_qgemm_args args, int32_t *c)
{
    void *scratch = scratch_of(p->scratch_bytes);
    args.c = c;
    for (int64_t i = p->n_chunks - 1; i >= 0; i--) lmn_qgemm_chunk(p, &args, i, scratch);
    free(scratch);
}

static void one_integer_product(t_env *env, const lmn_qgemm_row *row, int64_t m, int64_t n,
                                int64_t k)
{
    const lmn_qgemm_shape s = {.m = m, .n = n, .k = k, .n_batch = 1 + below(env, 2)};
    const int64_t n_c = m * n * s.n_batch;
    const int32_t unit[] = {row->mr, row->nr, 64};
    uint8_t *a = bytes(env, m * k * s.n_batch), *b = bytes(env, k * n * s.n_batch);
    const size_t size = (size_t)n_c * sizeof(int32_t);
    int32_t *c[2] = {malloc(size), malloc(size)};
    const lmn_qgemm_args args = {.a = a,
                                 .b = b,
                                 .a_signed = below(env, 2),
                                 .b_signed = below(env, 2),
                                 .lda = k,
                                 .ldb = n,
                                 .a_batch = m * k,
                                 .b_batch = k * n,
                                 .a_zp = (int32_t)below(env, 100),
                                 .b_zp = (int32_t)below(env, 100),
                                 .out = LMN_QGEMM_I32,
                                 .ldc = n,
                                 .c_batch = m * n};
    lmn_qgemm_plan rule, p;
    lmn_choices offers;
    lmn_qgemm_plan_make(row, &s, &rule);
    lmn_qgemm_choices(row, &s, &offers);
    run_qgemm(&rule, args, c[0]);
    for (int i = 0; i < offers.n + 6; i++) {
        const lmn_choice choice = pick(env, &offers, i, unit);
        const bool taken = lmn_qgemm_plan_as(row, &s, &choice, &p);
        T_CHECK(taken || i >= offers.n);
        T_CHECK(taken || (p.mc == rule.mc && p.nc == rule.nc && p.kc == rule.kc));
        if (!taken) continue;
        memset(c[1], 0xff, size);
        run_qgemm(&p, args, c[1]);
        T_CHECK(memcmp(c[0], c[1], size) == 0);
    }
    free(a), free(b), free(c[0]), free(c[1]);
}

static void test_integers(t_env *env)
{
    for (int32_t r = 0; r < lmn_qgemm_i8_n_rows; r++) {
        const lmn_qgemm_row *row = &lmn_qgemm_i8_rows[r];
        if ((row->head.isa & env->engine->cpu.isa) != row->head.isa) continue;
        T_CASE(row->head.variant);
        for (int i = 0; i < 40; i++)
            one_integer_product(env, row, 1 + below(env, 40), 1 + below(env, 260),
                                1 + below(env, 300));
        for (int i = 0; i < 6 && row->head.isa; i++)
            one_integer_product(env, row, 1 + below(env, 300), 1 + below(env, 900),
                                1 + below(env, 700));
    }
}

/* Through the windows of a convolution. */
static void test_integer_windows(t_env *env)
{
    lmn_kset set;
    T_CHECK(lmn_kset_choose(&env->engine->cpu, NULL, &set));
    for (int i = 0; i < 25; i++) {
        const lmn_conv_geom g = random_geom(env);
        const int64_t n_y = g.n * g.c_out * lmn_conv_volume(g.out);
        uint8_t *x = bytes(env, g.n * g.c_in * lmn_conv_volume(g.in));
        uint8_t *w = bytes(env, g.c_out * (g.c_in / g.groups) * lmn_conv_volume(g.kernel));
        int32_t *y[2] = {calloc((size_t)n_y, 4), calloc((size_t)n_y, 4)};
        lmn_qconv_args args = {.x = x, .w = w, .x_zp = 7, .w_zp = 3, .y = y[0]};
        lmn_qconv_plan p;
        const int32_t unit[] = {set.qgemm_i8->mr, set.qgemm_i8->nr, 64};
        const lmn_choices none = {.n = 0};
        for (int k = 0; k < 8; k++) {
            lmn_choice c = pick(env, &none, k, unit);
            if (k % 2) c.path = 0;
            if (k == 0)
                lmn_qconv_plan_make(set.qgemm_i8, &g, &p);
            else
                (void)lmn_qconv_plan_as(set.qgemm_i8, &g, &c, &p);
            args.y = y[k > 0];
            void *scratch = scratch_of(p.scratch_bytes);
            for (int64_t at = 0; at < p.n_chunks; at++) lmn_qconv_chunk(&p, &args, at, scratch);
            free(scratch);
            T_CHECK(k == 0 || memcmp(y[0], y[1], (size_t)n_y * 4) == 0);
        }
        free(x), free(w), free(y[0]), free(y[1]);
    }
}

T_MAIN(T_TEST(test_products), T_TEST(test_convolutions), T_TEST(test_integers),
       T_TEST(test_integer_windows))
