/*
 * The public products of 8-bit integers (lamina/gemm.h) against sums of int64: every pair of types,
 * every form of C, zero points, batches, paddings, packed or not, by single calls and plans, on one
 * thread and on four: equal to the last bit, and nothing beside C written. Wrong arguments and
 * missing memory change nothing.
 */
#include "t.h"

#include "lamina/gemm.h"

#include <math.h>

enum { MOST = 1 << 18, PATTERN = 0x5a, COLS = 512 };

static struct {
    uint8_t a[MOST], b[MOST];
    _Alignas(8) uint8_t c[4 * MOST], want[4 * MOST];
    int32_t b_zps[COLS], bias[COLS];
    float scales[COLS], bias_f32[COLS];
} buf;

static const lamina_dtype BYTES[] = {LAMINA_U8, LAMINA_I8};
static const lamina_dtype FORMS[] = {LAMINA_I32, LAMINA_F32, LAMINA_U8, LAMINA_I8};
static const int64_t DIMS[][4] = {{1, 1, 1, 1},     {1, 300, 77, 1},   {5, 49, 33, 3},
                                  {37, 64, 128, 2}, {64, 100, 401, 1}, {130, 33, 16, 1},
                                  {3, 5, 0, 2},     {0, 5, 7, 1},      {7, 9, 4, 0}};

typedef struct problem {
    lamina_gemm_int8_shape s;
    lamina_gemm_int8_args x;
} problem;

static lamina_gemm *make(t_env *env, uint32_t threads)
{
    lamina_gemm *g = NULL;
    const lamina_gemm_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = threads};
    return T_OK(lamina_gemm_create(&o, &g)) ? g : NULL;
}

static int32_t value(lamina_dtype t, uint8_t v)
{
    return t == LAMINA_I8 ? (int8_t)v : v;
}
static int32_t any_of(t_env *env, lamina_dtype t)
{
    return value(t, (uint8_t)t_rand_int(env, 0, 255));
}
static size_t c_bytes(const problem *p)
{
    return p->s.c == LAMINA_I32 || p->s.c == LAMINA_F32 ? 4 : 1;
}

/* types: of A, B and C; `many`: values a column. */
static problem setup(t_env *env, const int64_t dims[4], const lamina_dtype types[3], uint32_t flags,
                     bool many, int64_t pad)
{
    problem p = {
        .s = {sizeof p.s, types[0], types[1], types[2], flags, dims[0], dims[1], dims[2], dims[3]}};
    const int64_t b_rows = flags ? p.s.n : p.s.k, b_cols = flags ? p.s.k : p.s.n;
    p.x = (lamina_gemm_int8_args){.size = sizeof p.x, .a = buf.a, .b = buf.b, .c = buf.c};
    p.x.lda = p.s.k + pad, p.x.ldb = b_cols + pad, p.x.ldc = p.s.n + pad;
    p.x.a_batch = p.s.m * p.x.lda + pad, p.x.b_batch = b_rows * p.x.ldb;
    p.x.c_batch = p.s.m * p.x.ldc + pad;
    lmn_assert(p.s.n_batch * p.x.c_batch < MOST && p.s.n_batch * p.x.a_batch < MOST);
    lmn_assert(p.s.n_batch * p.x.b_batch < MOST && p.s.n <= COLS);
    for (int64_t i = 0; i < p.s.n_batch * p.x.a_batch; i++)
        buf.a[i] = (uint8_t)t_rand_int(env, 0, 255);
    for (int64_t i = 0; i < p.s.n_batch * p.x.b_batch; i++)
        buf.b[i] = (uint8_t)t_rand_int(env, 0, 255);
    p.x.a_zp = any_of(env, types[0]);
    p.x.b_zp = many ? 0 : any_of(env, types[1]);
    p.x.c_zp = c_bytes(&p) == 1 ? any_of(env, types[2]) : 0;
    p.x.scale = (float)t_rand_real(env, 1e-5, 1e-2);
    for (int64_t j = 0; j < p.s.n; j++) {
        buf.b_zps[j] = any_of(env, types[1]), buf.bias[j] = (int32_t)t_rand_int(env, -9999, 9999);
        buf.scales[j] = (float)t_rand_real(env, 1e-5, 1e-2);
        buf.bias_f32[j] = (float)t_rand_real(env, -50, 50);
    }
    if (many) p.x.b_zps = buf.b_zps, p.x.bias = buf.bias;
    if (many && types[2] != LAMINA_I32) p.x.scales = buf.scales;
    if (many && types[2] == LAMINA_F32) p.x.bias_f32 = buf.bias_f32;
    memset(buf.c, PATTERN, sizeof buf.c);
    return p;
}

static int32_t sum_at(const problem *p, int64_t t, int64_t i, int64_t j)
{
    const int32_t zb = p->x.b_zps ? p->x.b_zps[j] : p->x.b_zp;
    int64_t sum = p->x.bias ? p->x.bias[j] : 0;
    for (int64_t q = 0; q < p->s.k; q++) {
        const uint8_t a = buf.a[t * p->x.a_batch + i * p->x.lda + q];
        const int64_t at = p->s.flags ? j * p->x.ldb + q : q * p->x.ldb + j;
        sum += (int64_t)(value(p->s.a, a) - p->x.a_zp) *
               (value(p->s.b, buf.b[t * p->x.b_batch + at]) - zb);
    }
    return (int32_t)(uint32_t)(uint64_t)sum;
}

/* What C, and all around it, should hold. */
static void expect(const problem *p)
{
    memset(buf.want, PATTERN, sizeof buf.want);
    const int32_t lo = p->s.c == LAMINA_I8 ? -128 : 0, hi = p->s.c == LAMINA_I8 ? 127 : 255;
    for (int64_t t = 0; t < p->s.n_batch; t++)
        for (int64_t i = 0; i < p->s.m; i++)
            for (int64_t j = 0; j < p->s.n; j++) {
                const int64_t at = t * p->x.c_batch + i * p->x.ldc + j;
                const int32_t sum = sum_at(p, t, i, j);
                const float mul = p->x.scales ? p->x.scales[j] : p->x.scale;
                volatile float f = (float)sum * mul; /* rounded before a bias */
                if (p->x.bias_f32) f = f + p->x.bias_f32[j];
                const float g = f;
                const double r = rint((double)g) + p->x.c_zp;
                if (p->s.c == LAMINA_I32)
                    memcpy(buf.want + at * 4, &sum, 4);
                else if (p->s.c == LAMINA_F32)
                    memcpy(buf.want + at * 4, &g, 4);
                else
                    buf.want[at] = (uint8_t)(int32_t)(r < lo ? lo : r > hi ? hi : r);
            }
}

static void check_all(t_env *env, lamina_gemm *const g[2], problem *p)
{
    expect(p);
    T_OK(lamina_gemm_int8_once(g[0], &p->s, &p->x));
    T_MEM_EQ(buf.c, buf.want, sizeof buf.c);
    lamina_gemm_plan *plan = NULL;
    lamina_gemm_packed *packed = NULL;
    lamina_gemm_int8_shape w = p->s;
    w.m = 0, w.n_batch = 1, w.c = LAMINA_I32;
    T_REQUIRE(T_OK(lamina_gemm_int8_plan_create(g[1], &p->s, &plan)));
    T_REQUIRE(T_OK(lamina_gemm_int8_pack(g[1], &w, buf.b, p->x.ldb, &packed)));
    memset(buf.c, PATTERN, sizeof buf.c);
    T_OK(lamina_gemm_int8_run(plan, &p->x));
    T_MEM_EQ(buf.c, buf.want, sizeof buf.c);
    p->x.b_batch = 0; /* packed weights are shared */
    expect(p);
    p->x.packed = packed, p->x.b = NULL, p->x.ldb = -1;
    memset(buf.c, PATTERN, sizeof buf.c);
    T_OK(lamina_gemm_int8_run(plan, &p->x));
    T_MEM_EQ(buf.c, buf.want, sizeof buf.c);
    lamina_gemm_plan_destroy(plan);
    lamina_gemm_packed_destroy(packed);
    (void)env;
}

static void test_forms(t_env *env)
{
    lamina_gemm *g[2] = {make(env, 1), make(env, 4)};
    T_REQUIRE(g[0] && g[1]);
    for (size_t d = 0; d < T_COUNT(DIMS); d++)
        for (int form = 0; form < 4 * 2 * 2 * 2 * 2; form++) {
            const lamina_dtype types[3] = {BYTES[form & 1], BYTES[form >> 1 & 1], FORMS[form >> 4]};
            problem p = setup(env, DIMS[d], types, form & 4 ? LAMINA_GEMM_TRANS_B : 0, form & 8,
                              (int64_t)(d % 3) * 3);
            check_all(env, g, &p);
        }
    lamina_gemm_destroy(g[0]);
    lamina_gemm_destroy(g[1]);
    T_NOTHING_HELD(env);
}

/* Sums beyond 31 bits wrap, and a NaN counts as 0. */
static void test_ends(t_env *env)
{
    static uint8_t a[70000], b[70000];
    static const float nan_scale[1] = {NAN};
    lamina_gemm *g = make(env, 1);
    T_REQUIRE(g);
    memset(a, 255, sizeof a), memset(b, 255, sizeof b);
    int32_t c = 0;
    uint8_t byte = 0;
    lamina_gemm_int8_shape s = {sizeof s, LAMINA_U8, LAMINA_U8, LAMINA_I32, 0, 1, 1, sizeof a, 1};
    lamina_gemm_int8_args x = {
        .size = sizeof x, .a = a, .b = b, .c = &c, .lda = sizeof a, .ldb = 1, .ldc = 1};
    T_OK(lamina_gemm_int8_once(g, &s, &x));
    T_EQ(c, (int32_t)(uint32_t)(UINT64_C(65025) * sizeof a));
    s.c = LAMINA_U8, x.c = &byte, x.c_zp = 77, x.scales = nan_scale;
    T_OK(lamina_gemm_int8_once(g, &s, &x));
    T_EQ(byte, 77);
    lamina_gemm_destroy(g);
}

static void test_wrong(t_env *env)
{
    lamina_gemm *g = make(env, 1);
    T_REQUIRE(g);
    const lamina_dtype types[3] = {LAMINA_U8, LAMINA_I8, LAMINA_U8};
    const problem good = setup(env, (int64_t[4]){5, 6, 7, 2}, types, 0, true, 0);
    problem p;
    lamina_gemm_plan *plan = NULL, *floats = NULL;
    lamina_gemm_packed *packed = NULL;
#define WRONG(status, ...)                                  \
    {                                                       \
        p = good;                                           \
        __VA_ARGS__;                                        \
        T_EQ(lamina_gemm_int8_once(g, &p.s, &p.x), status); \
    }
    T_EQ(lamina_gemm_int8_once(NULL, &good.s, &good.x), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_int8_once(g, NULL, &good.x), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_int8_once(g, &good.s, NULL), LAMINA_E_INVALID);
    WRONG(LAMINA_E_INVALID, p.s.size = 0)
    WRONG(LAMINA_E_INVALID, p.x.size--)
    WRONG(LAMINA_E_INVALID, p.x.reserved = 1)
    WRONG(LAMINA_E_INVALID, p.s.flags = 8)
    WRONG(LAMINA_E_UNSUPPORTED, p.s.flags = LAMINA_GEMM_TRANS_A)
    WRONG(LAMINA_E_UNSUPPORTED, p.s.a = LAMINA_F32)
    WRONG(LAMINA_E_UNSUPPORTED, p.s.b = LAMINA_I32)
    WRONG(LAMINA_E_UNSUPPORTED, p.s.c = LAMINA_F64)
    WRONG(LAMINA_E_INVALID, p.s.k = -1)
    WRONG(LAMINA_E_RANGE, p.s.m = (int64_t)1 << 31)
    WRONG(LAMINA_E_RANGE, p.x.a_batch = INT64_MAX)
    WRONG(LAMINA_E_INVALID, p.x.a = NULL)
    WRONG(LAMINA_E_INVALID, p.x.b = NULL)
    WRONG(LAMINA_E_INVALID, p.x.c = NULL)
    WRONG(LAMINA_E_INVALID, p.x.lda = 6)
    WRONG(LAMINA_E_INVALID, p.x.c_batch = 0)
    WRONG(LAMINA_E_INVALID, p.s.c = LAMINA_I32, p.x.c_zp = 0) /* with scales */
    WRONG(LAMINA_E_INVALID, p.s.c = LAMINA_I32, p.x.scales = NULL, p.x.c_zp = 1)
    WRONG(LAMINA_E_INVALID, p.x.bias_f32 = buf.bias_f32)
    WRONG(LAMINA_E_INVALID, p.x.bias = (const int32_t *)(const void *)(buf.c + 1))
    WRONG(LAMINA_E_RANGE, p.x.a_zp = -1)
    WRONG(LAMINA_E_RANGE, p.x.b_zps = NULL, p.x.b_zp = 128)
    WRONG(LAMINA_E_RANGE, p.x.c_zp = 256)
    buf.b_zps[5] = -129;
    WRONG(LAMINA_E_RANGE, )
    buf.b_zps[5] = 0;
    lamina_gemm_int8_shape w = good.s;
    T_EQ(lamina_gemm_int8_pack(g, &w, buf.b, 6, &packed), LAMINA_E_INVALID); /* a batch */
    w.n_batch = 1;
    T_EQ(lamina_gemm_int8_pack(g, &w, buf.b, 5, &packed), LAMINA_E_INVALID);
    T_REQUIRE(T_OK(lamina_gemm_int8_pack(g, &w, buf.b, 6, &packed)));
    WRONG(LAMINA_E_SHAPE, p.x.packed = packed, p.s.k = 6)
    WRONG(LAMINA_E_INVALID, p.x.packed = packed, p.s.b = LAMINA_U8, p.x.b_zps = NULL)
    memset(buf.want, PATTERN, sizeof buf.want);
    T_MEM_EQ(buf.c, buf.want, sizeof buf.c);

    /* Plans and weights of the other kind. */
    const lamina_gemm_shape f = {sizeof f, LAMINA_F32, 0, 5, 6, 7, 1};
    lamina_gemm_args fa = {.size = sizeof fa, .a = buf.scales, .b = buf.scales, .c = buf.c};
    fa.lda = 7, fa.ldb = 6, fa.ldc = 6, fa.alpha = 1;
    T_REQUIRE(T_OK(lamina_gemm_plan_create(g, &f, &floats)));
    T_REQUIRE(T_OK(lamina_gemm_int8_plan_create(g, &good.s, &plan)));
    T_EQ(lamina_gemm_int8_run(NULL, &good.x), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_int8_run(floats, &good.x), LAMINA_E_INVALID);
    T_EQ(lamina_gemm_run(plan, &fa), LAMINA_E_INVALID);
    fa.packed = packed;
    T_EQ(lamina_gemm_once(g, &f, &fa), LAMINA_E_INVALID);
    lamina_gemm_plan_destroy(plan);
    lamina_gemm_plan_destroy(floats);
    lamina_gemm_packed_destroy(packed);
    lamina_gemm_destroy(g);
    T_NOTHING_HELD(env);
}

/* Every allocation fails in turn: a status, C as it was, nothing held. */
static void test_no_memory(t_env *env)
{
    const lamina_dtype types[3] = {LAMINA_I8, LAMINA_I8, LAMINA_F32};
    for (int nth = 1; nth < 40; nth++) {
        lamina_gemm *g = NULL;
        lamina_gemm_plan *plan = NULL;
        lamina_gemm_packed *packed = NULL;
        problem p = setup(env, (int64_t[4]){64, 300, 200, 1}, types, LAMINA_GEMM_TRANS_B, true, 0);
        const lamina_gemm_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = 2};
        expect(&p);
        t_fail_alloc(env, nth);
        lamina_status st = lamina_gemm_create(&o, &g);
        if (st == LAMINA_OK) st = lamina_gemm_int8_pack(g, &p.s, buf.b, p.x.ldb, &packed);
        if (st == LAMINA_OK) st = lamina_gemm_int8_plan_create(g, &p.s, &plan);
        p.x.packed = nth % 2 ? packed : NULL;
        if (st == LAMINA_OK) st = lamina_gemm_int8_run(plan, &p.x);
        const bool pending = t_fail_pending(env);
        t_fail_alloc(env, 0);
        if (st != LAMINA_OK) {
            T_EQ(st, LAMINA_E_NOMEM);
            memset(buf.want, PATTERN, sizeof buf.want);
        }
        T_MEM_EQ(buf.c, buf.want, sizeof buf.c);
        lamina_gemm_plan_destroy(plan);
        lamina_gemm_packed_destroy(packed);
        lamina_gemm_destroy(g);
        T_NOTHING_HELD(env);
        if (pending) break;
    }
}

T_MAIN(T_TEST(test_forms), T_TEST(test_ends), T_TEST(test_wrong), T_TEST(test_no_memory))
