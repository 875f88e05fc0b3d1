/*
 * The public products (lamina/gemm.h) against sums in f64: every flag, alpha, beta, batch and
 * padding; what must not be read holds NaN, what must not be written a pattern. Plans, single calls
 * and any number of threads agree bit for bit; wrong arguments and missing memory change nothing.
 */
#include <fenv.h>

#include "t.h"

#include "lamina/gemm.h"

enum { PAD = 3, MOST = 1 << 19 };
static const float pattern = -77.25f;

static struct {
    float a[MOST], b[MOST], c[MOST], was[MOST], other[MOST];
} buf;

typedef struct problem {
    lamina_gemm_shape s;
    lamina_gemm_args a;
    int64_t a_rows, a_cols, b_rows, b_cols;
} problem;

static lamina_gemm *make(t_env *env, uint32_t threads)
{
    lamina_gemm *g = NULL;
    const lamina_gemm_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = threads};
    return T_OK(lamina_gemm_create(&o, &g)) ? g : NULL;
}

static problem setup(t_env *env, const int64_t dims[4], uint32_t flags, int64_t pad)
{
    problem p = {.s = {sizeof p.s, LAMINA_F32, flags, dims[0], dims[1], dims[2], dims[3]}};
    const bool ta = flags & LAMINA_GEMM_TRANS_A, tb = flags & LAMINA_GEMM_TRANS_B;
    p.a_rows = ta ? p.s.k : p.s.m, p.a_cols = ta ? p.s.m : p.s.k;
    p.b_rows = tb ? p.s.n : p.s.k, p.b_cols = tb ? p.s.k : p.s.n;
    p.a = (lamina_gemm_args){.size = sizeof p.a, .a = buf.a, .b = buf.b, .c = buf.c, .alpha = 1};
    p.a.lda = p.a_cols + pad, p.a.ldb = p.b_cols + pad, p.a.ldc = p.s.n + pad;
    p.a.a_batch = p.a_rows * p.a.lda + pad, p.a.b_batch = p.b_rows * p.a.ldb;
    p.a.c_batch = p.s.m * p.a.ldc + pad;
    const int64_t last = p.s.n_batch - 1;
    lmn_assert(last * p.a.c_batch + p.s.m * p.a.ldc < MOST);
    for (int64_t i = 0; i <= last * p.a.a_batch + p.a_rows * p.a.lda && i < MOST; i++)
        buf.a[i] = (float)t_rand_real(env, -1, 1);
    for (int64_t i = 0; i <= last * p.a.b_batch + p.b_rows * p.a.ldb && i < MOST; i++)
        buf.b[i] = (float)t_rand_real(env, -1, 1);
    for (int64_t i = 0; i <= last * p.a.c_batch + p.s.m * p.a.ldc + pad; i++)
        buf.was[i] = buf.c[i] = pattern;
    return p;
}

/* C, inside the matrices alone, before the product. */
static void fill_c(t_env *env, const problem *p, bool nan)
{
    for (int64_t t = 0; t < p->s.n_batch; t++)
        for (int64_t i = 0; i < p->s.m; i++)
            for (int64_t j = 0; j < p->s.n; j++) {
                const int64_t at = t * p->a.c_batch + i * p->a.ldc + j;
                buf.was[at] = buf.c[at] = nan ? NAN : (float)t_rand_real(env, -1, 1);
            }
}

static double a_at(const problem *p, int64_t t, int64_t i, int64_t q)
{
    const bool ta = p->s.flags & LAMINA_GEMM_TRANS_A;
    return (double)buf.a[t * p->a.a_batch + (ta ? q * p->a.lda + i : i * p->a.lda + q)];
}
static double b_at(const problem *p, int64_t t, int64_t q, int64_t j)
{
    const bool tb = p->s.flags & LAMINA_GEMM_TRANS_B;
    return (double)buf.b[t * p->a.b_batch + (tb ? j * p->a.ldb + q : q * p->a.ldb + j)];
}

/* The whole of C: every element within its bound (times `slack`), everything between them as it
   was. */
static void check_within(const problem *p, double slack)
{
    int64_t bad = 0, touched = 0, at = 0;
    for (int64_t t = 0; t < p->s.n_batch; t++)
        for (int64_t i = 0; i < p->s.m; i++) {
            const int64_t row = t * p->a.c_batch + i * p->a.ldc;
            for (; at < row; at++) touched += buf.c[at] != pattern;
            for (int64_t j = 0; j < p->s.n; j++, at++) {
                double sum = 0, size = 0;
                for (int64_t q = 0; q < p->s.k && p->a.alpha != 0; q++) {
                    const double x = a_at(p, t, i, q) * b_at(p, t, q, j);
                    sum += x, size += fabs(x);
                }
                const double c = p->a.beta == 0 ? 0 : p->a.beta * (double)buf.was[at];
                const double want = p->a.alpha * sum + c;
                const double bound =
                    (fabs(p->a.alpha) * size + fabs(c)) * 0x1p-24 * (double)(p->s.k + 4) * slack;
                bad += !(fabs((double)buf.c[at] - want) <= bound);
            }
        }
    T_EQ(bad, 0);
    T_EQ(touched, 0);
}

static void check(const problem *p)
{
    check_within(p, 1);
}

static void test_forms(t_env *env)
{
    static const int64_t dims[][4] = {{1, 1, 1, 1},    {4, 4, 4, 1},     {1, 33, 70, 1},
                                      {33, 1, 70, 1},  {7, 13, 17, 3},   {50, 60, 40, 1},
                                      {6, 100, 9, 2},  {33, 50, 401, 1}, {40, 300, 20, 1},
                                      {30, 20, 10, 4}, {3, 5, 0, 2}};
    static const double scalars[] = {0, 1, -1, 0.37};
    lamina_gemm *g = make(env, 1);
    T_REQUIRE(g);
    for (size_t d = 0; d < T_COUNT(dims); d++)
        for (uint32_t flags = 0; flags < 4; flags++)
            for (size_t s = 0; s < 16; s++) {
                problem p = setup(env, dims[d], flags, s % 2 ? PAD : 0);
                p.a.alpha = scalars[s / 4], p.a.beta = scalars[s % 4];
                fill_c(env, &p, p.a.beta == 0);
                if (p.a.alpha == 0) buf.a[0] = NAN, buf.b[0] = INFINITY;
                T_OK(lamina_gemm_once(g, &p.s, &p.a));
                check(&p);
            }
    lamina_gemm_destroy(g);
    T_NOTHING_HELD(env);
}

static void test_shared_operands(t_env *env)
{
    lamina_gemm *g = make(env, 1);
    T_REQUIRE(g);
    problem p = setup(env, (int64_t[4]){9, 20, 31, 5}, LAMINA_GEMM_TRANS_B, PAD);
    p.a.b_batch = 0;
    T_OK(lamina_gemm_once(g, &p.s, &p.a));
    check(&p);
    p.a.a_batch = 0;
    T_OK(lamina_gemm_once(g, &p.s, &p.a));
    check(&p);
    p.a.c_batch = 0;
    T_EQ(lamina_gemm_once(g, &p.s, &p.a), LAMINA_E_INVALID);
    lamina_gemm_destroy(g);
}

/* The same bits from plans, from single calls, with one thread and with four. */
static void test_same_bits(t_env *env)
{
    static const int64_t dims[][4] = {{300, 200, 500, 1}, {5, 600, 800, 1}, {64, 64, 64, 9}};
    lamina_gemm *one = make(env, 1), *four = make(env, 4);
    T_REQUIRE(one && four);
    for (size_t d = 0; d < T_COUNT(dims); d++)
        for (uint32_t flags = 0; flags < 4; flags++) {
            problem p = setup(env, dims[d], flags, 0);
            p.a.alpha = 0.75, p.a.beta = flags;
            fill_c(env, &p, false);
            lamina_gemm_plan *plan = NULL;
            T_OK(lamina_gemm_plan_create(four, &p.s, &plan));
            T_REQUIRE(plan);
            T_OK(lamina_gemm_run(plan, &p.a));
            check(&p);
            const size_t bytes = (size_t)(p.s.n_batch * p.s.m * p.s.n) * sizeof(float);
            memcpy(buf.other, buf.c, bytes);
            memcpy(buf.c, buf.was, bytes);
            T_OK(lamina_gemm_once(one, &p.s, &p.a));
            T_MEM_EQ(buf.c, buf.other, bytes);
            lamina_gemm_plan_destroy(plan);
        }
    lamina_gemm_destroy(one);
    lamina_gemm_destroy(four);
}

/* One by packed weights, planned and not, to the bits of `plain` (NULL: to the bound). */
static void tiny_packed(lamina_gemm *g, lamina_gemm_plan *plan, const problem *p,
                        const float *plain)
{
    lamina_gemm_packed *packed = NULL;
    T_OK(lamina_gemm_pack(g, &p->s, p->a.b, p->a.ldb, &packed));
    T_REQUIRE(packed);
    const size_t bytes = (size_t)(p->s.m * p->a.ldc) * sizeof(float);
    lamina_gemm_args a = p->a;
    a.packed = packed, a.b = NULL, a.ldb = 0;
    for (int planned = 0; planned < 2; planned++) {
        memcpy(buf.c, buf.was, sizeof buf.c);
        T_EQ(fesetround(FE_UPWARD), 0);
        T_OK(planned ? lamina_gemm_run(plan, &a) : lamina_gemm_once(g, &p->s, &a));
        T_EQ(fesetround(FE_TONEAREST), 0);
        check(p);
        if (plain) T_MEM_EQ(buf.c, plain, bytes);
    }
    a.ldc = p->s.n - 1;
    T_EQ(lamina_gemm_run(plan, &a), LAMINA_E_INVALID);
    a.ldc = p->s.n, a.size = offsetof(lamina_gemm_args, packed);
    a.packed = (const lamina_gemm_packed *)(uintptr_t)64; /* behind what is handed over */
    T_EQ(lamina_gemm_once(g, &p->s, &a), LAMINA_E_INVALID);
    lamina_gemm_packed_destroy(packed);
}

/* Small ones are looked at in one go: right for every call, whatever the caller rounds by. */
static void test_tiny(t_env *env)
{
    static const int64_t dims[][4] = {{4, 4, 4, 1},   {1, 1, 1, 1},    {7, 13, 17, 1},
                                      {17, 33, 9, 1}, {40, 3, 200, 1}, {20, 130, 60, 1}};
    lamina_gemm *g = make(env, 1);
    T_REQUIRE(g);
    for (size_t d = 0; d < T_COUNT(dims) * 8; d++) {
        problem p = setup(env, dims[d / 8], d & 1 ? LAMINA_GEMM_TRANS_B : 0, d & 2 ? 3 : 0);
        p.a.beta = d & 4 ? 1 : 0;
        fill_c(env, &p, !(d & 4));
        lamina_gemm_plan *plan = NULL;
        T_OK(lamina_gemm_plan_create(g, &p.s, &plan));
        T_REQUIRE(plan);
        T_OK(lamina_gemm_run(plan, &p.a));
        check(&p);
        const size_t bytes = (size_t)(p.s.m * p.a.ldc) * sizeof(float);
        memcpy(buf.other, buf.c, bytes);
        memcpy(buf.c, buf.was, bytes);
        T_EQ(fesetround(FE_UPWARD), 0);
        T_OK(lamina_gemm_once(g, &p.s, &p.a));
        T_EQ(fegetround(), FE_UPWARD);
        T_EQ(fesetround(FE_TONEAREST), 0);
        T_MEM_EQ(buf.c, buf.other, bytes);
        tiny_packed(g, plan, &p, d & 1 ? NULL : buf.other);
        memcpy(buf.c, buf.other, bytes);
        p.a.ldc = p.s.n - 1;
        T_EQ(lamina_gemm_run(plan, &p.a), LAMINA_E_INVALID);
        p.a.ldc = p.s.n, p.a.b = NULL;
        T_EQ(lamina_gemm_once(g, &p.s, &p.a), LAMINA_E_INVALID);
        T_MEM_EQ(buf.c, buf.other, bytes);
        lamina_gemm_plan_destroy(plan);
    }
    lamina_gemm_destroy(g);
}

/* Operations in order, operands of every kind, also after alpha and beta. */
static void test_ops(t_env *env)
{
    static float row[64], col[64], full[2 * 64 * 64];
    lamina_gemm *g = make(env, 2);
    T_REQUIRE(g);
    for (int i = 0; i < 64; i++) row[i] = (float)i / 8, col[i] = 3 - (float)i / 4;
    for (int i = 0; i < 2 * 64 * 64; i++) full[i] = (float)(i % 29) - 14;
    const lamina_gemm_op ops[] = {
        {.kind = LAMINA_GEMM_ADD, .bcast = LAMINA_GEMM_COL, .x = col},
        {.kind = LAMINA_GEMM_MUL, .bcast = LAMINA_GEMM_ROW, .x = row},
        {.bcast = LAMINA_GEMM_FULL, .x = full, .ld = 64, .batch = 64 * 64},
        {.kind = LAMINA_GEMM_CLIP, .p0 = -9, .p1 = 21.5f},
    };
    for (int beta = 0; beta < 3; beta++) {
        problem p = setup(env, (int64_t[4]){37, 50, 20, 2}, 0, PAD);
        fill_c(env, &p, beta == 0);
        p.a.alpha = 2, p.a.beta = beta;
        T_OK(lamina_gemm_once(g, &p.s, &p.a));
        memcpy(buf.other, buf.c, sizeof buf.c);
        memcpy(buf.c, buf.was, sizeof buf.c);
        p.a.ops = ops, p.a.n_ops = 4;
        T_OK(lamina_gemm_once(g, &p.s, &p.a));
        int bad = 0;
        for (int64_t t = 0; t < 2; t++)
            for (int64_t i = 0; i < p.s.m; i++)
                for (int64_t j = 0; j < p.s.n; j++) {
                    const int64_t at = t * p.a.c_batch + i * p.a.ldc + j;
                    float v = buf.other[at] + col[j];
                    v *= row[i];
                    v += full[t * 64 * 64 + i * 64 + j];
                    v = fminf(21.5f, fmaxf(-9, v));
                    bad += v != buf.c[at];
                }
        T_EQ(bad, 0);
    }
    lamina_gemm_destroy(g);
}

/* Weights packed once, for any number of rows, with everything else a product may have. */
static void test_packed(t_env *env)
{
    static const int64_t dims[][4] = {{1, 70, 900, 1},   {5, 49, 33, 3}, {32, 200, 500, 1},
                                      {300, 97, 401, 1}, {40, 48, 1, 2}, {20, 7, 300, 2},
                                      {50, 1, 600, 1},   {3, 5, 0, 1},   {6, 70, 2100, 1}};
    lamina_gemm *one = make(env, 1), *four = make(env, 4);
    T_REQUIRE(one && four);
    for (size_t d = 0; d < T_COUNT(dims); d++)
        for (uint32_t flags = 0; flags < 3; flags += LAMINA_GEMM_TRANS_B)
            for (int beta = 0; beta < 3; beta++) {
                problem p = setup(env, dims[d], flags, PAD);
                lamina_gemm_shape w = p.s;
                lamina_gemm_packed *packed = NULL;
                w.m = 0, w.n_batch = 1;
                p.a.b_batch = 0;
                T_OK(lamina_gemm_pack(one, &w, buf.b, p.a.ldb, &packed));
                T_REQUIRE(packed);
                fill_c(env, &p, beta == 0);
                lamina_gemm_args a = p.a;
                a.packed = packed, a.b = NULL, a.ldb = 0;
                p.a.beta = a.beta = beta, p.a.alpha = a.alpha = d % 2 ? 1 : 0.625;
                T_OK(lamina_gemm_once(one, &p.s, &a));
                check(&p);
                const size_t bytes = (size_t)(p.s.n_batch * p.a.c_batch) * sizeof(float);
                memcpy(buf.other, buf.c, bytes);
                memcpy(buf.c, buf.was, bytes);
                T_OK(lamina_gemm_once(four, &p.s, &a));
                T_MEM_EQ(buf.c, buf.other, bytes);
                p.s.n++;
                a.ldc++, a.c_batch += p.s.m;
                T_EQ(lamina_gemm_once(one, &p.s, &a), LAMINA_E_SHAPE);
                p.s.n--, p.s.flags |= LAMINA_GEMM_TRANS_A, a.lda = p.s.m;
                T_EQ(lamina_gemm_once(one, &p.s, &a), LAMINA_E_UNSUPPORTED);
                lamina_gemm_packed_destroy(packed);
            }
    lamina_gemm_packed *packed = NULL;
    lamina_gemm_shape w = {sizeof w, LAMINA_F32, 0, 0, 50, 60, 1};
    T_EQ(lamina_gemm_pack(one, &w, buf.b, 49, &packed), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_pack(one, &w, NULL, 50, &packed), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_pack(one, &w, buf.b, 50, NULL), LAMINA_E_INVALID);
    for (int nth = 1; nth <= 2; nth++) {
        t_fail_alloc(env, nth);
        T_EQ(lamina_gemm_pack(one, &w, buf.b, 50, &packed), LAMINA_E_NOMEM);
    }
    t_fail_alloc(env, 0);
    w.n_batch = 2;
    T_EQ(lamina_gemm_pack(one, &w, buf.b, 50, &packed), LAMINA_E_INVALID);
    lamina_gemm_packed_destroy(NULL);
    lamina_gemm_destroy(one);
    lamina_gemm_destroy(four);
    T_NOTHING_HELD(env);
}

/* bf16 operands: the f32 ones of the problem cut, and their upper halves. */
static void test_bf16(t_env *env)
{
    static uint16_t a[MOST], b[MOST];
    static const int64_t dims[][4] = {
        {1, 300, 77, 1}, {5, 49, 33, 3}, {64, 100, 401, 1}, {3, 5, 0, 1}};
    lamina_gemm *g = make(env, 2);
    T_REQUIRE(g);
    for (size_t d = 0; d < T_COUNT(dims); d++)
        for (uint32_t flags = 0; flags < 4; flags++)
            for (int beta = 0; beta < 3; beta++) {
                problem p = setup(env, dims[d], flags, beta == 2 ? PAD : 0);
                p.s.dtype = LAMINA_BF16;
                p.a.a = a, p.a.b = b;
                for (int64_t i = 0; i < 1 << 16; i++) { /* as far as the largest reaches */
                    uint32_t x, y;
                    memcpy(&x, &buf.a[i], 4), memcpy(&y, &buf.b[i], 4);
                    a[i] = (uint16_t)(x >> 16), b[i] = (uint16_t)(y >> 16);
                    x &= 0xffff0000u, y &= 0xffff0000u;
                    memcpy(&buf.a[i], &x, 4), memcpy(&buf.b[i], &y, 4);
                }
                fill_c(env, &p, beta == 0);
                p.a.alpha = flags == 3 ? 0.5 : 1, p.a.beta = beta;
                T_OK(lamina_gemm_once(g, &p.s, &p.a));
                check_within(&p, 2);
            }
    lamina_gemm_destroy(g);
}

/* Doubles: large products whose sums are exact, so that every order of them is right. */
static void test_f64(t_env *env)
{
    static double a[1 << 16], b[1 << 16], c[1 << 16], other[1 << 16];
    static const int64_t dims[][3] = {{1, 200, 300}, {200, 1, 300}, {70, 90, 401}, {130, 120, 64}};
    lamina_gemm *one = make(env, 1), *four = make(env, 4);
    T_REQUIRE(one && four);
    for (int i = 0; i < 1 << 16; i++) {
        a[i] = (double)t_rand_int(env, -4096, 4096) * 0x1p-20;
        b[i] = (double)t_rand_int(env, -4096, 4096);
    }
    for (size_t d = 0; d < T_COUNT(dims); d++)
        for (uint32_t flags = 0; flags < 4; flags++)
            for (int scaled = 0; scaled < 4; scaled++) {
                const int64_t m = dims[d][0], n = dims[d][1], k = dims[d][2];
                const bool ta = flags & LAMINA_GEMM_TRANS_A, tb = flags & LAMINA_GEMM_TRANS_B;
                const lamina_gemm_shape s = {sizeof s, LAMINA_F64, flags, m, n, k, 1};
                lamina_gemm_args x = {.size = sizeof x, .a = a, .b = b, .c = c};
                x.lda = ta ? m : k, x.ldb = tb ? k : n, x.ldc = n;
                x.alpha = scaled & 1 ? -0.5 : 1, x.beta = scaled & 2 ? 2 : 0;
                for (int i = 0; i < 1 << 16; i++) c[i] = other[i] = x.beta == 0 ? (double)NAN : i;
                T_OK(lamina_gemm_once(one, &s, &x));
                x.c = other;
                T_OK(lamina_gemm_once(four, &s, &x));
                int bad = 0;
                for (int64_t i = 0; i < m; i++)
                    for (int64_t j = 0; j < n; j++) {
                        double sum = 0;
                        for (int64_t q = 0; q < k; q++)
                            sum += a[ta ? q * m + i : i * k + q] * b[tb ? j * k + q : q * n + j];
                        const double old = x.beta == 0 ? 0 : x.beta * (double)(i * n + j);
                        bad += c[i * n + j] != x.alpha * sum + old;
                    }
                T_EQ(bad, 0);
                T_MEM_EQ(c, other, (size_t)(m * n) * sizeof *c);
            }
    const lamina_gemm_op op = {.kind = LAMINA_GEMM_RELU};
    const lamina_gemm_shape s = {sizeof s, LAMINA_F64, 0, 2, 2, 2, 1};
    const lamina_gemm_args x = {.size = sizeof x,
                                .a = a,
                                .b = b,
                                .c = c,
                                .lda = 2,
                                .ldb = 2,
                                .ldc = 2,
                                .alpha = 1,
                                .ops = &op,
                                .n_ops = 1};
    T_EQ(lamina_gemm_once(one, &s, &x), LAMINA_E_UNSUPPORTED);
    lamina_gemm_destroy(one);
    lamina_gemm_destroy(four);
}

static void test_wrong(t_env *env)
{
    lamina_gemm *g = make(env, 1), *none = NULL;
    T_REQUIRE(g);
    T_EQ(lamina_gemm_create(NULL, NULL), LAMINA_E_INVALID);
    lamina_gemm_opts o = {.size = sizeof o, .reserved = 1};
    T_EQ(lamina_gemm_create(&o, &none), LAMINA_E_INVALID);
    o.reserved = 0, o.n_threads = 1u << 20;
    T_EQ(lamina_gemm_create(&o, &none), LAMINA_E_INVALID);
    lamina_gemm_destroy(NULL);
    lamina_gemm_plan_destroy(NULL);
    const problem good = setup(env, (int64_t[4]){5, 6, 7, 2}, 0, 0);
    const lamina_gemm_op op = {.kind = LAMINA_GEMM_ADD, .bcast = LAMINA_GEMM_COL, .x = buf.b};
    lamina_gemm_op bad_op = op;
    problem p;
#define WRONG(status, ...)                             \
    {                                                  \
        p = good, bad_op = op;                         \
        __VA_ARGS__;                                   \
        T_EQ(lamina_gemm_once(g, &p.s, &p.a), status); \
    }
    T_EQ(lamina_gemm_once(NULL, &good.s, &good.a), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_once(g, NULL, &good.a), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_once(g, &good.s, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_run(NULL, &good.a), LAMINA_E_INVALID);
    WRONG(LAMINA_E_INVALID, p.s.size--)
    WRONG(LAMINA_E_INVALID, p.a.size = 0)
    WRONG(LAMINA_E_INVALID, p.s.flags = 4)
    WRONG(LAMINA_E_INVALID, p.s.m = -1)
    WRONG(LAMINA_E_INVALID, p.s.k = INT64_MIN)
    WRONG(LAMINA_E_RANGE, p.s.n = INT64_MAX)
    WRONG(LAMINA_E_RANGE, p.s.n_batch = (int64_t)1 << 31)
    WRONG(LAMINA_E_RANGE, p.a.lda = INT64_MAX)
    WRONG(LAMINA_E_RANGE, p.a.c_batch = INT64_MAX)
    WRONG(LAMINA_E_UNSUPPORTED, p.s.dtype = LAMINA_I8)
    WRONG(LAMINA_E_INVALID, p.a.a = NULL)
    WRONG(LAMINA_E_INVALID, p.a.c = NULL)
    WRONG(LAMINA_E_INVALID, p.a.b = (const char *)p.a.b + 1)
    WRONG(LAMINA_E_INVALID, p.a.lda = 6)
    WRONG(LAMINA_E_INVALID, p.a.ldb = 5)
    WRONG(LAMINA_E_INVALID, p.a.ldc = -6)
    WRONG(LAMINA_E_INVALID, p.a.a_batch = -1)
    WRONG(LAMINA_E_INVALID, p.a.reserved = 1)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 1)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = -1)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 5, p.a.ops = &op)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 1, p.a.ops = &bad_op, bad_op.kind = 12)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 1, p.a.ops = &bad_op, bad_op.bcast = 4)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 1, p.a.ops = &bad_op, bad_op.x = NULL)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 1, p.a.ops = &bad_op, bad_op.reserved[2] = 1)
    WRONG(LAMINA_E_INVALID, p.a.n_ops = 1, p.a.ops = &bad_op, bad_op.bcast = LAMINA_GEMM_FULL)
    WRONG(LAMINA_OK, p.s.m = 0, p.a.c = NULL, p.a.a = NULL)
    for (int64_t i = 0; i < 60; i++) T_CHECK(buf.c[i] == pattern);
    lamina_gemm_destroy(g);
}

/* Every allocation fails in turn: a status, C as it was, nothing held. */
static void test_no_memory(t_env *env)
{
    for (int nth = 1; nth < 40; nth++) {
        lamina_gemm *g = NULL;
        lamina_gemm_plan *plan = NULL;
        problem p = setup(env, (int64_t[4]){64, 400, 300, 1}, LAMINA_GEMM_TRANS_B, 0);
        fill_c(env, &p, false);
        p.a.alpha = 3, p.a.beta = nth % 2 ? 1 : 0.5;
        const lamina_gemm_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = 2};
        t_fail_alloc(env, nth);
        lamina_status st = lamina_gemm_create(&o, &g);
        if (st == LAMINA_OK) st = lamina_gemm_plan_create(g, &p.s, &plan);
        if (st == LAMINA_OK) st = lamina_gemm_run(plan, &p.a);
        const bool pending = t_fail_pending(env);
        t_fail_alloc(env, 0);
        if (st != LAMINA_OK) {
            T_EQ(st, LAMINA_E_NOMEM);
            T_MEM_EQ(buf.c, buf.was, sizeof(float) * 64 * 400);
        } else {
            check(&p);
        }
        lamina_gemm_plan_destroy(plan);
        lamina_gemm_destroy(g);
        T_NOTHING_HELD(env);
        if (pending) break;
    }
}

T_MAIN(T_TEST(test_forms), T_TEST(test_shared_operands), T_TEST(test_same_bits), T_TEST(test_tiny),
       T_TEST(test_ops), T_TEST(test_packed), T_TEST(test_bf16), T_TEST(test_f64),
       T_TEST(test_wrong), T_TEST(test_no_memory))
