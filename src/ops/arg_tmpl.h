/*
 * Template of ArgMax and ArgMin: the index of the extreme element along an axis. Before inclusion
 * define ARG_NAME (ArgMax) and ARG_BETTER (> or <). The first NaN wins, as in numpy;
 * select_last_index takes the last of equals. Include once per file.
 */
#include "ops/arg.h"

#define ARG_LINE(fname, T)                                                                    \
    static void fname(const void *x, int64_t len, void *const *y, void *tmp, const void *arg) \
    {                                                                                         \
        (void)tmp;                                                                            \
        const T *a = x;                                                                       \
        const bool take_last = *(const bool *)arg;                                            \
        int64_t best = 0;                                                                     \
        for (int64_t i = 1; i < len && a[best] == a[best]; i++)                               \
            if (a[i] ARG_BETTER a[best] || a[i] != a[i] || (take_last && a[i] == a[best]))    \
                best = i;                                                                     \
        *(int64_t *)y[0] = best;                                                              \
    }
ARG_LINE(line_f64, double)
ARG_LINE(line_i64, int64_t)
ARG_LINE(line_u64, uint64_t)

typedef float arg_four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t arg_bits __attribute__((vector_size(16), aligned(4), may_alias));
#define ARG_AT(p) (*(const arg_four *)(p))
#define ARG_PICK(m, a, b) ((arg_four)(((m) & (arg_bits)(a)) | (~(m) & (arg_bits)(b))))

/* The extreme of n elements without NaN, n >= 16. *odd: there was one. */
static float extreme(const float *x, int64_t n, bool *odd)
{
    arg_four best[4] = {ARG_AT(x), ARG_AT(x + 4), ARG_AT(x + 8), ARG_AT(x + 12)};
    arg_bits nan = {0};
    for (int64_t i = 0; i < n; i += 16) {
        const float *p = x + lmn_min_i64(i, n - 16); /* the last ones once more */
        for (int q = 0; q < 4; q++) {
            const arg_four v = ARG_AT(p + 4 * q);
            best[q] = ARG_PICK(v ARG_BETTER best[q], v, best[q]);
            nan |= v != v;
        }
    }
    *odd = (nan[0] | nan[1] | nan[2] | nan[3]) != 0;
    float top = best[0][0];
    for (int q = 0; q < 4; q++)
        for (int i = 0; i < 4; i++) top = best[q][i] ARG_BETTER top ? best[q][i] : top;
    return top;
}

/* A row: its extreme first, then where that stands. */
static void line_f32(const void *data, int64_t len, void *const *y, void *tmp, const void *arg)
{
    const float *x = data;
    const bool take_last = *(const bool *)arg;
    int64_t at = 0;
    bool odd = false;
    (void)tmp;
    const float top = len >= 16 ? extreme(x, len, &odd) : 0;
    if (len < 16 || odd) {
        for (int64_t i = 1; i < len && x[at] == x[at]; i++)
            if (x[i] ARG_BETTER x[at] || x[i] != x[i] || (take_last && x[i] == x[at])) at = i;
    } else if (take_last) {
        for (at = len - 1; x[at] != top;) at--;
    } else {
        for (; at + 16 <= len; at += 16) {
            const float *p = x + at;
            const arg_bits m = (ARG_AT(p) == top) | (ARG_AT(p + 4) == top) |
                               (ARG_AT(p + 8) == top) | (ARG_AT(p + 12) == top);
            if (m[0] | m[1] | m[2] | m[3]) break;
        }
        while (x[at] != top) at++;
    }
    *(int64_t *)y[0] = at;
}

/* Down the rows, the best of every column and its place in two buffers. */
static void columns_f32(const float *x, int64_t len, int64_t step, int64_t n, bool take_last,
                        int64_t *out)
{
    _Alignas(16) float best[LMN_ARG_STRIP];
    _Alignas(16) int32_t place[LMN_ARG_STRIP] = {0};
    const arg_bits equal = take_last ? (arg_bits){-1, -1, -1, -1} : (arg_bits){0};
    for (int64_t i = 0; i < n; i++) best[i] = x[i];
    for (int64_t k = 1; k < len; k++) {
        const float *row = x + k * step;
        const int32_t at = (int32_t)k;
        int64_t i = 0;
        for (; i + 4 <= n; i += 4) {
            const arg_four v = ARG_AT(row + i), b = ARG_AT(best + i);
            const arg_bits p = *(const arg_bits *)(place + i), ks = {at, at, at, at};
            const arg_bits m = (((v ARG_BETTER b) | (v != v)) & (b == b)) | ((v == b) & equal);
            *(arg_four *)(best + i) = ARG_PICK(m, v, b);
            *(arg_bits *)(place + i) = (m & ks) | (~m & p);
        }
        for (; i < n; i++) {
            const float v = row[i], b = best[i];
            if (b != b || !(v ARG_BETTER b || v != v || (take_last && v == b))) continue;
            best[i] = v, place[i] = at;
        }
    }
    for (int64_t i = 0; i < n; i++) out[i] = place[i];
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_arg_impl IMPL = {line_f32, line_f64, line_i64, line_u64, columns_f32};
    return lmn_arg_eval(ec, &IMPL);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_port OUT[] = {{"reduced", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0},
                                        {"keepdims", LMN_ATTR_INT, 0},
                                        {"select_last_index", LMN_ATTR_INT, 0},
                                        {0}};

#define ARG_DEF_(Name)                                        \
    const lmn_op_def lmn_op_##Name = {.domain = "",           \
                                      .name = #Name,          \
                                      .since = 1,             \
                                      .in = IN,               \
                                      .out = OUT,             \
                                      .attrs = ATTRS,         \
                                      .infer = lmn_arg_infer, \
                                      .eval = eval_op}
#define ARG_DEF(Name) ARG_DEF_(Name)
ARG_DEF(ARG_NAME);
