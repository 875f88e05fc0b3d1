/*
 * test_dim.c - the dim algebra: what must simplify, what must not, and random expressions held
 * against direct arithmetic on random values of the symbols.
 */
#include "t.h"
#include "tensor/dim.h"

static lmn_dim_pool *new_pool(t_env *env, size_t max)
{
    lmn_dim_pool *p = NULL;
    T_OK(lmn_dim_pool_create(&env->alloc, max, &p));
    return p;
}

static void test_constants(t_env *env)
{
    (void)env;
    const lmn_dim c7 = lmn_dim_c(7), cm2 = lmn_dim_c(-2), zero = lmn_dim_c(0);
    T_EQ(lmn_dim_add(NULL, c7, cm2), lmn_dim_c(5));
    T_EQ(lmn_dim_sub(NULL, c7, cm2), lmn_dim_c(9));
    T_EQ(lmn_dim_mul(NULL, c7, cm2), lmn_dim_c(-14));
    T_EQ(lmn_dim_floordiv(NULL, c7, cm2), lmn_dim_c(-4));
    T_EQ(lmn_dim_ceildiv(NULL, c7, cm2), lmn_dim_c(-3));
    T_EQ(lmn_dim_ceildiv(NULL, c7, lmn_dim_c(2)), lmn_dim_c(4));
    T_EQ(lmn_dim_floordiv(NULL, lmn_dim_c(-7), lmn_dim_c(2)), lmn_dim_c(-4));
    T_EQ(lmn_dim_ceildiv(NULL, lmn_dim_c(-7), lmn_dim_c(2)), lmn_dim_c(-3));
    T_EQ(lmn_dim_min(NULL, c7, cm2), cm2);
    T_EQ(lmn_dim_max(NULL, c7, cm2), c7);
    T_EQ(lmn_dim_floordiv(NULL, c7, zero), LMN_DIM_UNKNOWN);
    T_EQ(lmn_dim_ceildiv(NULL, c7, zero), LMN_DIM_UNKNOWN);
    T_EQ(lmn_dim_mul(NULL, zero, LMN_DIM_UNKNOWN), zero);
    T_EQ(lmn_dim_add(NULL, c7, LMN_DIM_UNKNOWN), LMN_DIM_UNKNOWN);
    T_EQ(lmn_dim_value(lmn_dim_c(INT64_MAX)), LMN_DIM_MAX_CONST);
    T_EQ(lmn_dim_value(lmn_dim_c(INT64_MIN)), -LMN_DIM_MAX_CONST);
    T_EQ(lmn_dim_add(NULL, lmn_dim_c(INT64_MAX), cm2), LMN_DIM_UNKNOWN);
    T_EQ(lmn_dim_mul(NULL, lmn_dim_c(1ll << 60), lmn_dim_c(1ll << 60)), LMN_DIM_UNKNOWN);
    T_EQ(lmn_dim_min(NULL, c7, lmn_dim_c(INT64_MAX)), c7);
    T_EQ(lmn_dim_sym(NULL, "N"), LMN_DIM_UNKNOWN);
}

static void test_canonical(t_env *env)
{
    lmn_dim_pool *p = new_pool(env, 0);
    T_REQUIRE(p);
    const lmn_dim n = lmn_dim_sym(p, "N"), m = lmn_dim_sym(p, "M"), h = lmn_dim_sym(p, "H");
#define C(v) lmn_dim_c(v)
#define ADD(a, b) lmn_dim_add(p, a, b)
#define SUB(a, b) lmn_dim_sub(p, a, b)
#define MUL(a, b) lmn_dim_mul(p, a, b)
#define FLOOR(a, b) lmn_dim_floordiv(p, a, b)
#define CEIL(a, b) lmn_dim_ceildiv(p, a, b)
#define MIN(a, b) lmn_dim_min(p, a, b)
#define MAX(a, b) lmn_dim_max(p, a, b)
    T_EQ(lmn_dim_sym(p, "N"), n);
    T_CHECK(n != m && lmn_dim_sym(p, NULL) != lmn_dim_sym(p, NULL));
    T_EQ(SUB(ADD(n, C(1)), C(1)), n);
    T_EQ(SUB(n, n), C(0));
    T_EQ(MUL(n, C(0)), C(0));
    T_EQ(ADD(n, m), ADD(m, n));
    T_EQ(MUL(n, m), MUL(m, n));
    T_EQ(MUL(MUL(n, m), h), MUL(n, MUL(h, m)));
    T_EQ(MUL(ADD(n, C(1)), SUB(n, C(1))), SUB(MUL(n, n), C(1)));
    T_EQ(FLOOR(MUL(n, C(2)), C(2)), n);
    T_EQ(FLOOR(ADD(MUL(n, C(2)), C(1)), C(2)), n);
    T_EQ(FLOOR(ADD(MUL(n, C(2)), C(1)), C(4)), FLOOR(n, C(2)));
    T_EQ(CEIL(MUL(n, C(4)), C(2)), MUL(n, C(2)));
    T_EQ(ADD(FLOOR(SUB(h, C(1)), C(2)), C(1)), FLOOR(ADD(h, C(1)), C(2)));
    T_EQ(CEIL(h, C(2)), FLOOR(ADD(h, C(1)), C(2)));
    T_EQ(FLOOR(FLOOR(h, C(2)), C(3)), FLOOR(h, C(6)));
    T_EQ(FLOOR(n, C(-2)), FLOOR(SUB(C(0), n), C(2)));
    T_EQ(FLOOR(n, n), C(1));
    T_EQ(FLOOR(MUL(n, m), n), m);
    T_EQ(FLOOR(MUL(MUL(n, m), C(12)), MUL(n, C(4))), MUL(m, C(3)));
    T_EQ(FLOOR(MUL(n, ADD(m, C(3))), ADD(m, C(3))), n);
    T_EQ(FLOOR(MUL(ADD(n, C(1)), ADD(m, C(2))), ADD(n, C(1))), ADD(m, C(2)));
    T_EQ(FLOOR(ADD(MUL(n, C(6)), m), C(6)), ADD(n, FLOOR(m, C(6))));
    T_EQ(FLOOR(n, ADD(n, C(1))), C(0));
    T_EQ(FLOOR(MIN(n, C(1)), C(2)), C(0));
    T_EQ(MIN(n, ADD(n, C(1))), n);
    T_EQ(MAX(n, ADD(n, C(1))), ADD(n, C(1)));
    T_EQ(MAX(n, C(0)), n);
    T_EQ(MAX(n, C(-5)), n);
    T_EQ(MIN(n, C(0)), C(0));
    T_EQ(MIN(n, C(INT64_MAX)), n);
    T_EQ(MIN(MUL(n, m), C(INT64_MAX)), MUL(n, m));
    T_EQ(MIN(MIN(n, m), h), MIN(h, MIN(m, n)));
    T_EQ(MIN(MIN(n, m), n), MIN(n, m));
    T_EQ(MAX(MIN(n, C(5)), C(7)), C(7));
    T_CHECK(lmn_dim_known(MIN(n, m)) && MIN(n, m) != n && MIN(n, m) != MAX(n, m));
    T_EQ(FLOOR(n, C(0)), LMN_DIM_UNKNOWN);
    lmn_dim_pool_destroy(p);
}

static void test_ranges(t_env *env)
{
    lmn_dim_pool *p = new_pool(env, 0);
    T_REQUIRE(p);
    const lmn_dim n = lmn_dim_sym(p, "N"), m = lmn_dim_sym(p, "M");
    int64_t lo, hi;
    lmn_dim_range(p, n, &lo, &hi);
    T_CHECK(lo == 0 && hi == LMN_DIM_MAX_CONST - 1);
    lmn_dim_range(p, ADD(n, C(3)), &lo, &hi);
    T_EQ(lo, 3);
    lmn_dim_range(p, MUL(n, MUL(n, m)), &lo, &hi);
    T_CHECK(lo == 0 && hi == INT64_MAX);
    lmn_dim_range(p, SUB(MUL(n, m), MUL(m, m)), &lo, &hi);
    T_CHECK(lo == INT64_MIN && hi == INT64_MAX);
    lmn_dim_range(p, FLOOR(SUB(n, C(7)), C(2)), &lo, &hi);
    T_EQ(lo, -4);
    lmn_dim_range(p, MIN(n, C(9)), &lo, &hi);
    T_CHECK(lo == 0 && hi == 9);
    lmn_dim_range(p, FLOOR(C(100), ADD(n, C(3))), &lo, &hi);
    T_CHECK(lo == 0 && hi == 33);
    lmn_dim_range(p, LMN_DIM_UNKNOWN, &lo, &hi);
    T_CHECK(lo == INT64_MIN && hi == INT64_MAX);
    lmn_dim_pool_destroy(p);
}

static void test_unify(t_env *env)
{
    lmn_dim_pool *p = new_pool(env, 0);
    T_REQUIRE(p);
    const lmn_dim n = lmn_dim_sym(p, "N"), anon = lmn_dim_sym(p, ""), un = LMN_DIM_UNKNOWN;
    const struct {
        lmn_dim a, b;
        bool ok;
        lmn_dim want;
    } cases[] = {
        {n, n, true, n},
        {n, un, true, n},
        {un, n, true, n},
        {un, un, true, un},
        {n, C(4), true, C(4)},
        {C(4), n, true, C(4)},
        {C(4), C(5), false, 0},
        {n, C(-1), false, 0},
        {n, ADD(n, C(1)), false, 0},
        {anon, n, true, n},
        {ADD(anon, C(1)), n, true, n},
        {anon, ADD(n, C(1)), true, ADD(n, C(1))},
        {MUL(n, C(2)), n, true, n}, /* equal for N = 0 */
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        lmn_dim out = 0;
        T_EQ(lmn_dim_unify(p, cases[i].a, cases[i].b, &out), cases[i].ok);
        if (cases[i].ok) T_EQ(out, cases[i].want);
    }
    lmn_dim_pool_destroy(p);
}

static void test_format(t_env *env)
{
    lmn_dim_pool *p = new_pool(env, 0);
    T_REQUIRE(p);
    const lmn_dim n = lmn_dim_sym(p, "N"), h = lmn_dim_sym(p, "H"), anon = lmn_dim_sym(p, NULL);
    const struct {
        lmn_dim d;
        const char *want;
    } cases[] = {
        {C(-3), "-3"},
        {n, "N"},
        {LMN_DIM_UNKNOWN, "?"},
        {anon, "?2"},
        {ADD(MUL(n, C(2)), C(1)), "2*N + 1"},
        {SUB(C(3), n), "-N + 3"},
        {SUB(n, h), "N - H"},
        {MUL(MUL(n, h), C(3)), "3*N*H"},
        {FLOOR(SUB(h, C(2)), C(3)), "floor((H + 1)/3) - 1"},
        {FLOOR(h, MUL(n, n)), "floor(H/(N*N))"},
        {MIN(n, h), "min(N, H)"},
        {MAX(n, ADD(h, C(1))), "max(N, H + 1)"},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        char buf[64];
        T_CASE(cases[i].want);
        T_EQ(lmn_dim_format(p, cases[i].d, buf, sizeof buf), strlen(cases[i].want));
        T_STR_EQ(buf, cases[i].want);
    }
    char tiny[4];
    T_EQ(lmn_dim_format(p, cases[4].d, tiny, sizeof tiny), 3);
    T_STR_EQ(tiny, "2*N");
    T_EQ(lmn_dim_format(p, n, tiny, 0), 0);
    T_EQ(lmn_dim_sym_count(p), 3);
    T_STR_EQ(lmn_dim_sym_name(p, 1), "H");
    T_STR_EQ(lmn_dim_sym_name(p, 2), "");
    T_EQ(lmn_dim_as_sym(p, h), 1);
    T_EQ(lmn_dim_as_sym(p, MUL(h, n)), -1);
    lmn_dim_pool_destroy(p);
}

static void test_eval_refuses(t_env *env)
{
    lmn_dim_pool *p = new_pool(env, 0);
    T_REQUIRE(p);
    const lmn_dim n = lmn_dim_sym(p, "N"), m = lmn_dim_sym(p, "M");
    const int64_t values[2] = {0, -1}, big[2] = {1ll << 40, 1ll << 40};
    int64_t out = 77;
    T_CHECK(!lmn_dim_eval(p, m, values, &out));
    T_CHECK(!lmn_dim_eval(p, FLOOR(C(3), n), values, &out));
    T_CHECK(!lmn_dim_eval(p, LMN_DIM_UNKNOWN, values, &out));
    T_CHECK(!lmn_dim_eval(p, MUL(n, m), big, &out));
    T_EQ(out, 77);
    T_CHECK(lmn_dim_eval(p, n, values, &out));
    T_EQ(out, 0);
    lmn_dim_pool_destroy(p);
}

/* ---- random expressions ------------------------------------------------------------------------
 */

enum { N_SYMS = 4, N_VALUES = 12, N_LIVE = 24 };

/* An expression with its true value at each of N_VALUES points; `bad` where it has none. */
typedef struct sample {
    lmn_dim d;
    int64_t v[N_VALUES];
    bool bad[N_VALUES];
} sample;

static int64_t true_floor(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}

static void combine(t_env *env, lmn_dim_pool *p, const sample *a, const sample *b, sample *out)
{
    const int op = (int)t_rand_int(env, 0, 6);
    lmn_dim (*const fn[])(lmn_dim_pool *, lmn_dim,
                          lmn_dim) = {lmn_dim_add,     lmn_dim_sub, lmn_dim_mul, lmn_dim_floordiv,
                                      lmn_dim_ceildiv, lmn_dim_min, lmn_dim_max};
    sample r = {.d = fn[op](p, a->d, b->d)};
    for (int i = 0; i < N_VALUES; i++) {
        const int64_t x = a->v[i], y = b->v[i];
        r.bad[i] = a->bad[i] || b->bad[i] || ((op == 3 || op == 4) && y == 0);
        if (r.bad[i]) continue;
        switch (op) {
        case 0: r.v[i] = x + y; break;
        case 1: r.v[i] = x - y; break;
        case 2: r.v[i] = x * y; break;
        case 3: r.v[i] = true_floor(x, y); break;
        case 4: r.v[i] = -true_floor(-x, y); break;
        case 5: r.v[i] = x < y ? x : y; break;
        default: r.v[i] = x > y ? x : y; break;
        }
        if (llabs(r.v[i]) > 1000000000) r.bad[i] = true; /* keep far from overflow */
    }
    *out = r;
}

/* Where there is a true value, the expression has it too, and it lies in the proven range. */
static void check_sample(const lmn_dim_pool *p, const sample *s, int64_t values[][N_SYMS])
{
    int64_t lo, hi, got;
    char buf[512];
    lmn_dim_range(p, s->d, &lo, &hi);
    (void)lmn_dim_format(p, s->d, buf, sizeof buf);
    for (int i = 0; i < N_VALUES; i++) {
        if (s->bad[i] || !lmn_dim_known(s->d)) continue;
        T_CASE(buf);
        if (lmn_dim_eval(p, s->d, values[i], &got))
            T_EQ(got, s->v[i]);
        else
            T_CHECK(!"a value that exists is found");
        T_CHECK(lo <= s->v[i] && s->v[i] <= hi);
    }
}

static void random_round(t_env *env)
{
    static const char *const NAMES[N_SYMS] = {"N", "M", "H", "W"};
    lmn_dim_pool *p = new_pool(env, 0);
    T_REQUIRE(p);
    int64_t values[N_VALUES][N_SYMS];
    sample live[N_LIVE] = {0};
    for (int i = 0; i < N_VALUES; i++)
        for (int k = 0; k < N_SYMS; k++) values[i][k] = t_rand_int(env, i == 0 ? 0 : 1, 40);
    for (int k = 0; k < N_LIVE; k++) {
        const int64_t c = t_rand_int(env, -6, 12);
        live[k].d = k < 2 * N_SYMS ? lmn_dim_sym(p, NAMES[k % N_SYMS]) : lmn_dim_c(c);
        for (int i = 0; i < N_VALUES; i++)
            live[k].v[i] = k < 2 * N_SYMS ? values[i][k % N_SYMS] : c;
    }
    for (int step = 0; step < 300; step++) {
        sample *a = &live[t_rand_int(env, 0, N_LIVE - 1)],
               *b = &live[t_rand_int(env, 0, N_LIVE - 1)];
        sample r;
        combine(env, p, a, b, &r);
        check_sample(p, &r, values);
        /* Symbols and constants stay, the rest is replaced; what is unknown tells nothing more. */
        if (lmn_dim_known(r.d)) live[t_rand_int(env, N_SYMS, N_LIVE - 1)] = r;
    }
    lmn_dim_pool_destroy(p);
}

static void test_random(t_env *env)
{
    for (int round = 0; round < 80; round++) random_round(env);
}

static void test_limits(t_env *env)
{
    lmn_dim_pool *p = new_pool(env, 20);
    T_REQUIRE(p);
    lmn_dim last = 0;
    for (int i = 0; i < 40; i++) last = lmn_dim_sym(p, NULL);
    T_EQ(last, LMN_DIM_UNKNOWN);
    T_EQ(lmn_dim_sym_count(p), 20);
    lmn_dim_pool_destroy(p);

    p = new_pool(env, 0);
    T_REQUIRE(p);
    lmn_dim sum = C(0), prod = C(1), tree = lmn_dim_sym(p, "N");
    for (int i = 0; i < 17; i++) sum = ADD(sum, lmn_dim_sym(p, NULL));
    for (int i = 0; i < 9; i++) prod = MUL(prod, lmn_dim_sym(p, "N"));
    T_EQ(sum, LMN_DIM_UNKNOWN);
    T_EQ(prod, LMN_DIM_UNKNOWN);
    for (int i = 0; i < 100; i++) tree = MIN(FLOOR(tree, lmn_dim_sym(p, "M")), SUB(tree, C(3)));
    T_EQ(tree, LMN_DIM_UNKNOWN); /* the tree doubles a step: bounded, not endless */
    lmn_dim_pool_destroy(p);
}

static void test_allocation_failure(t_env *env)
{
    for (int nth = 1;; nth++) {
        lmn_dim_pool *p = NULL;
        t_fail_alloc(env, nth);
        if (lmn_dim_pool_create(&env->alloc, 0, &p) == LAMINA_OK) {
            const lmn_dim n = lmn_dim_sym(p, "N"), m = lmn_dim_sym(p, "M");
            const lmn_dim d = MIN(FLOOR(MUL(n, m), C(3)), ADD(n, C(2)));
            T_CHECK(lmn_dim_known(d) == t_fail_pending(env) || lmn_dim_known(d));
            lmn_dim_pool_destroy(p);
        }
        T_NOTHING_HELD(env);
        if (t_fail_pending(env)) break;
        T_REQUIRE(nth < 200);
    }
}

T_MAIN(T_TEST(test_constants), T_TEST(test_canonical), T_TEST(test_ranges), T_TEST(test_unify),
       T_TEST(test_format), T_TEST(test_eval_refuses), T_TEST(test_random), T_TEST(test_limits),
       T_TEST(test_allocation_failure))
