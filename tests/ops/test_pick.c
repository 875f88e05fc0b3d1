/*
 * test_pick.c - what works along lines of f32 and chooses among elements, against its definition:
 * ArgMax, ArgMin and TopK with ties, zeros of both signs and NaN; CumSum down an axis; Where,
 * comparisons and PRelu with every broadcast.
 */
#include "op_bench.h"

/* Few different values, so that ties are met; now and then a zero, an infinity or a NaN. */
static float draw(t_env *env, bool odd)
{
    static const float ODD[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f};
    if (odd && t_rand_int(env, 0, 30) == 0) return ODD[t_rand_int(env, 0, 4)];
    return (float)t_rand_int(env, -9, 9) / 4;
}

static lamina_tensor *floats(op_bench *b, t_env *env, int32_t rank, const int64_t *dims, bool odd)
{
    lamina_tensor *t = op_in(b, LAMINA_F32, rank, dims, NULL);
    for (int64_t i = 0; t && i < lmn_count(t); i++) ((float *)t->data)[i] = draw(env, odd);
    return t;
}

/* Does element i stand before j among the largest, or the smallest? A NaN is larger than all. */
static bool before(const float *x, int64_t step, int64_t i, int64_t j, bool largest)
{
    const float a = x[i * step], b = x[j * step];
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b) ? i < j : isnan(a) == largest;
    if (a == b) return i < j;
    return largest ? a > b : a < b;
}

static void draw_dims(t_env *env, int64_t dims[3])
{
    dims[0] = t_rand_int(env, 1, 4), dims[2] = t_rand_int(env, 1, 3);
    dims[1] = t_rand_int(env, 0, 5) ? t_rand_int(env, 1, 70) : t_rand_int(env, 300, 900);
    if (t_rand_int(env, 0, 3) == 0) dims[2] = t_rand_int(env, 250, 270);
}

static void check_arg(t_env *env, bool max)
{
    int64_t dims[3];
    draw_dims(env, dims);
    const bool last = t_rand_int(env, 0, 1);
    op_bench b;
    op_begin(&b, env, max ? "ArgMax" : "ArgMin", 1);
    const lamina_tensor *x = floats(&b, env, 3, dims, t_rand_int(env, 0, 1));
    T_REQUIRE(x);
    op_attr_i(&b, "axis", 1);
    op_attr_i(&b, "select_last_index", last);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        int64_t bad = 0;
        for (int64_t i = 0; i < dims[0] * dims[2]; i++) {
            const float *v = (const float *)x->data + i / dims[2] * dims[1] * dims[2] + i % dims[2];
            int64_t best = 0;
            for (int64_t k = 1; k < dims[1] && !isnan(v[best * dims[2]]); k++) {
                const float a = v[k * dims[2]], t = v[best * dims[2]];
                if (isnan(a) || (max ? a > t : a < t) || (last && a == t)) best = k;
            }
            bad += lmn_get_i64(b.out[0], i) != best;
        }
        T_EQ(bad, 0);
    }
    op_end(&b);
}

static void test_arg(t_env *env)
{
    for (int32_t i = 0; i < 300; i++) check_arg(env, i % 2 == 0);
}

static void check_topk(t_env *env)
{
    int64_t dims[3];
    draw_dims(env, dims);
    if (dims[2] > 3) dims[2] = 1;
    const int64_t len = dims[1], step = dims[2];
    const int64_t k = t_rand_int(env, 0, 2) ? t_rand_int(env, 0, len) : lmn_min_i64(len, 5);
    const bool largest = t_rand_int(env, 0, 1);
    op_bench b;
    op_begin(&b, env, "TopK", 2);
    const lamina_tensor *x = floats(&b, env, 3, dims, t_rand_int(env, 0, 1));
    const int64_t one = 1;
    const double number = (double)k;
    (void)op_in(&b, LAMINA_I64, 1, &one, &number);
    T_REQUIRE(x);
    op_attr_i(&b, "axis", 1);
    op_attr_i(&b, "largest", largest);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        int64_t bad = 0;
        for (int64_t i = 0; i < dims[0] * step; i++) {
            const float *v = (const float *)x->data + i / step * len * step + i % step;
            const int64_t at = i / step * k * step + i % step;
            for (int64_t r = 0; r < k; r++) {
                const int64_t me = lmn_get_i64(b.out[1], at + r * step);
                int64_t rank = 0;
                for (int64_t o = 0; o < len; o++)
                    rank += o != me && before(v, step, o, me, largest);
                bad += rank != r;
                bad += memcmp(&v[me * step], (float *)b.out[0]->data + at + r * step, 4) != 0;
            }
        }
        T_EQ(bad, 0);
    }
    op_end(&b);
}

static void test_topk(t_env *env)
{
    for (int32_t i = 0; i < 200; i++) check_topk(env);
}

/* Running sums down an axis, in f64, rounded once. */
static void check_cumsum(t_env *env)
{
    int64_t dims[3];
    draw_dims(env, dims);
    const bool exclusive = t_rand_int(env, 0, 1), reverse = t_rand_int(env, 0, 1);
    op_bench b;
    op_begin(&b, env, "CumSum", 1);
    const lamina_tensor *x = floats(&b, env, 3, dims, false);
    op_in1(&b, LAMINA_I64, 1);
    T_REQUIRE(x);
    op_attr_i(&b, "exclusive", exclusive);
    op_attr_i(&b, "reverse", reverse);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        const float *v = x->data, *y = b.out[0]->data;
        int64_t bad = 0;
        for (int64_t i = 0; i < dims[0] * dims[2]; i++) {
            double sum = 0;
            for (int64_t k = 0; k < dims[1]; k++) {
                const int64_t row = reverse ? dims[1] - 1 - k : k;
                const int64_t at = (i / dims[2] * dims[1] + row) * dims[2] + i % dims[2];
                if (exclusive) bad += y[at] != (float)sum;
                sum += (double)v[at];
                if (!exclusive) bad += y[at] != (float)sum;
            }
        }
        T_EQ(bad, 0);
    }
    op_end(&b);
}

static void test_cumsum(t_env *env)
{
    for (int32_t i = 0; i < 60; i++) check_cumsum(env);
}

static bool compared(const char *op, float a, float b)
{
    if (strcmp(op, "Less") == 0) return a < b;
    if (strcmp(op, "LessOrEqual") == 0) return a <= b;
    if (strcmp(op, "Greater") == 0) return a > b;
    return strcmp(op, "Equal") == 0 ? a == b : a >= b;
}

/* Extents of an operand: of the whole, or 1 here and there, or fewer axes. */
static int32_t operand(t_env *env, const int64_t whole[3], int64_t dims[3])
{
    const int32_t drop = t_rand_int(env, 0, 3) ? 0 : (int32_t)t_rand_int(env, 0, 3);
    for (int32_t k = drop; k < 3; k++) dims[k - drop] = t_rand_int(env, 0, 2) ? whole[k] : 1;
    return 3 - drop;
}

/* Element of an operand for place i of the whole. */
static int64_t place(const lamina_tensor *t, const int64_t whole[3], int64_t i)
{
    int64_t at = 0, step = 1;
    for (int32_t k = 2, a = t->rank - 1; k >= 0; i /= whole[k], k--, a--) {
        if (a < 0) continue;
        if (t->dims[a] > 1) at += i % whole[k] * step;
        step *= t->dims[a];
    }
    return at;
}

static void check_elements(t_env *env, const char *op)
{
    int64_t whole[3], dims[3];
    for (int32_t k = 0; k < 3; k++) whole[k] = t_rand_int(env, 1, k == 2 ? 400 : 9);
    const bool where = strcmp(op, "Where") == 0, slope = strcmp(op, "PRelu") == 0;
    const bool logic = strcmp(op, "And") == 0 || strcmp(op, "Or") == 0 || strcmp(op, "Xor") == 0;
    op_bench b;
    op_begin(&b, env, op, 1);
    for (int32_t i = 0; i < (where ? 3 : 2); i++) {
        const int32_t rank = slope && i == 0 ? 3 : operand(env, whole, dims);
        if (slope && i == 0) memcpy(dims, whole, sizeof dims);
        if (logic || (where && i == 0)) {
            lamina_tensor *t = op_in(&b, LAMINA_BOOL, rank, dims, NULL);
            for (int64_t e = 0; e < lmn_count(t); e++) lmn_set_i64(t, e, t_rand_int(env, 0, 1));
        } else {
            (void)floats(&b, env, rank, dims, true);
        }
    }
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        const lamina_tensor *y = b.out[0];
        int64_t out[3] = {1, 1, 1}, bad = 0;
        for (int32_t k = 0; k < y->rank; k++) out[3 - y->rank + k] = y->dims[k];
        for (int64_t i = 0; i < lmn_count(y); i++) {
            const int64_t p = place(b.in[0], out, i), q = place(b.in[1], out, i);
            if (logic) {
                const int64_t u = lmn_get_i64(b.in[0], p), v = lmn_get_i64(b.in[1], q);
                bad += lmn_get_i64(y, i) != (op[0] == 'A' ? u & v : op[0] == 'O' ? u | v : u ^ v);
            } else if (where) {
                const int64_t r = place(b.in[2], out, i);
                const float *from = lmn_get_i64(b.in[0], p) ? (float *)b.in[1]->data + q
                                                            : (float *)b.in[2]->data + r;
                bad += memcmp(from, (float *)y->data + i, 4) != 0;
            } else {
                const float u = ((float *)b.in[0]->data)[p], v = ((float *)b.in[1]->data)[q];
                const float want = u < 0 ? u * v : u, got = slope ? ((float *)y->data)[i] : want;
                bad += got != want && !(isnan(got) && isnan(want));
                bad += !slope && ((uint8_t *)y->data)[i] != compared(op, u, v);
            }
        }
        T_EQ(bad, 0);
    }
    op_end(&b);
}

static void test_elements(t_env *env)
{
    static const char *const OPS[] = {"Where", "Less",  "LessOrEqual", "Greater", "GreaterOrEqual",
                                      "Equal", "PRelu", "And",         "Or",      "Xor"};
    for (int32_t i = 0; i < 400; i++) check_elements(env, OPS[i % 10]);
}

T_MAIN(T_TEST(test_arg), T_TEST(test_topk), T_TEST(test_cumsum), T_TEST(test_elements))
