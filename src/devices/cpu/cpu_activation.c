/*
 * Activations that are a few elementwise kernels one after the other: Elu, Selu, Celu, Mish,
 * Softplus, Softsign and ThresholdedRelu. A chunk goes block by block, so that what stands between
 * the kernels stays in L1. The forms lose no digits where the result is small: e^x - 1 comes from
 * tanh(x / 2), log(1 + u) from the rounded sum and what it lost.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/elementwise/elementwise.h"

#include <math.h>

enum { CHUNK = 16 << 10, BLOCK = 512 };

typedef struct act {
    const lmn_elementwise_row *row;
    float p0, p1; /* of the operator */
} act;

/* y = f(x) for n <= BLOCK elements; y may be x. */
typedef void act_fn(const act *a, const float *x, float *y, int64_t n);

typedef struct act_job {
    act a;
    act_fn *fn;
    const float *x;
    float *y;
    int64_t n;
} act_job;

/* ---- steps -------------------------------------------------------------------------------------
 */

static void un(const act *a, lmn_unary_kind kind, const float *x, float *y, int64_t n)
{
    a->row->unary(&(lmn_unary_block){.kind = kind, .x = x, .y = y, .n = n});
}
static void bin(const act *a, lmn_binary_kind kind, const float *x, const float *z, float *y,
                int64_t n)
{
    a->row->binary(&(lmn_binary_block){.kind = kind, .a = x, .b = z, .y = y, .n = n});
}
/* y = x op v, or v op x. */
static void bin_right(const act *a, lmn_binary_kind kind, const float *x, float v, float *y,
                      int64_t n)
{
    a->row->binary(
        &(lmn_binary_block){.kind = kind, .a = x, .b = &v, .b_one = true, .y = y, .n = n});
}
static void bin_left(const act *a, lmn_binary_kind kind, float v, const float *x, float *y,
                     int64_t n)
{
    a->row->binary(
        &(lmn_binary_block){.kind = kind, .a = &v, .a_one = true, .b = x, .y = y, .n = n});
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(16), aligned(4), may_alias));

/* y = test op limit ? some : other */
#define CHOOSE(name, op)                                                                    \
    static void name(const float *test, float limit, const float *some, const float *other, \
                     float *y, int64_t n)                                                   \
    {                                                                                       \
        int64_t i = 0;                                                                      \
        for (; i + 4 <= n; i += 4) {                                                        \
            const bits m = *(const four *)(test + i) op limit;                              \
            *(bits *)(y + i) =                                                              \
                (m & *(const bits *)(some + i)) | (~m & *(const bits *)(other + i));        \
        }                                                                                   \
        for (; i < n; i++) y[i] = test[i] op limit ? some[i] : other[i];                    \
    }
CHOOSE(where_below, <)
CHOOSE(where_above, >)
CHOOSE(where_equal, ==)

/* y = e^x - 1 = 2 t / (1 - t) with t = tanh(x / 2), for x <= 0. */
static void expm1_block(const act *a, const float *x, float *y, int64_t n)
{
    float rest[BLOCK];
    bin_right(a, LMN_BIN_MUL, x, 0.5f, y, n);
    un(a, LMN_UN_TANH, y, y, n);
    bin_left(a, LMN_BIN_SUB, 1.0f, y, rest, n);
    bin(a, LMN_BIN_ADD, y, y, y, n);
    bin(a, LMN_BIN_DIV, y, rest, y, n);
}

/* ---- the functions -----------------------------------------------------------------------------
 */

/* p0 (e^x - 1) below 0, p1 x above. */
static void elu_block(const act *a, const float *x, float *y, int64_t n)
{
    float low[BLOCK], high[BLOCK];
    expm1_block(a, x, low, n);
    bin_right(a, LMN_BIN_MUL, low, a->p0, low, n);
    if (a->p1 != 1.0f) bin_right(a, LMN_BIN_MUL, x, a->p1, high, n);
    where_below(x, 0.0f, low, a->p1 != 1.0f ? high : x, y, n);
}

/* p0 (e^(x / p0) - 1) below 0 */
static void celu_block(const act *a, const float *x, float *y, int64_t n)
{
    float low[BLOCK];
    bin_right(a, LMN_BIN_DIV, x, a->p0, low, n);
    expm1_block(a, low, low, n);
    bin_right(a, LMN_BIN_MUL, low, a->p0, low, n);
    where_below(x, 0.0f, low, x, y, n);
}

/* x n / (n + 2) with n = e^x (e^x + 2); from 20 on that is x. */
static void mish_block(const act *a, const float *x, float *y, int64_t n)
{
    float e[BLOCK], t[BLOCK];
    bin_right(a, LMN_BIN_MIN, x, 20.0f, e, n);
    un(a, LMN_UN_EXP, e, e, n);
    bin_right(a, LMN_BIN_ADD, e, 2.0f, t, n);
    bin(a, LMN_BIN_MUL, e, t, e, n);
    bin_right(a, LMN_BIN_ADD, e, 2.0f, t, n);
    bin(a, LMN_BIN_DIV, e, t, e, n);
    bin(a, LMN_BIN_MUL, x, e, y, n);
}

/* max(x, 0) + log(1 + u) with u = e^-|x|: for w = 1 + u rounded, log(w) u / (w - 1); u if w is 1.
 */
static void softplus_block(const act *a, const float *x, float *y, int64_t n)
{
    float u[BLOCK], w[BLOCK], t[BLOCK];
    un(a, LMN_UN_ABS, x, u, n);
    un(a, LMN_UN_NEG, u, u, n);
    un(a, LMN_UN_EXP, u, u, n);
    bin_right(a, LMN_BIN_ADD, u, 1.0f, w, n);
    un(a, LMN_UN_LOG, w, t, n);
    bin(a, LMN_BIN_MUL, t, u, t, n);
    bin_right(a, LMN_BIN_SUB, w, 1.0f, w, n);
    bin(a, LMN_BIN_DIV, t, w, t, n);
    where_equal(w, 0.0f, u, t, t, n);
    bin_right(a, LMN_BIN_MAX, x, 0.0f, w, n);
    bin(a, LMN_BIN_ADD, w, t, y, n);
}

static void softsign_block(const act *a, const float *x, float *y, int64_t n)
{
    float t[BLOCK];
    un(a, LMN_UN_ABS, x, t, n);
    bin_right(a, LMN_BIN_ADD, t, 1.0f, t, n);
    bin(a, LMN_BIN_DIV, x, t, y, n);
}

static void threshold_block(const act *a, const float *x, float *y, int64_t n)
{
    static const float ZERO[BLOCK];
    where_above(x, a->p0, x, ZERO, y, n);
}

/* ---- the bindings ------------------------------------------------------------------------------
 */

static void act_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const act_job *j = arg;
    const int64_t end = lmn_min_i64(j->n, (chunk + 1) * CHUNK);
    (void)worker;
    for (int64_t i = chunk * CHUNK; i < end; i += BLOCK)
        j->fn(&j->a, j->x + i, j->y + i, lmn_min_i64(BLOCK, end - i));
}

static lamina_status run_act(const lamina_kernel *k, lmn_eval *ec, act_fn *fn, float p0, float p1)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    if (!lmn_cpu_is_f32(x) || !isfinite(p0) || !isfinite(p1)) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    act_job j = {.a = {k->dev->kset.elementwise_f32, p0, p1}, .fn = fn, .n = lmn_count(x)};
    j.x = x->data, j.y = y->data;
    lmn_par_for(ec->par, (j.n + CHUNK - 1) / CHUNK, act_chunk, &j);
    return LAMINA_OK;
}

static bool supports_act(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.elementwise_f32->head, text, cap);
}

#define ACTIVATION(symbol, Op, fn, P0, P1)                                   \
    static lamina_status run_##symbol(const lamina_kernel *k, lmn_eval *ec)  \
    {                                                                        \
        return run_act(k, ec, fn, P0, P1);                                   \
    }                                                                        \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = "",                  \
                                              .op = Op,                      \
                                              .families = "elementwise.f32", \
                                              .supports = supports_act,      \
                                              .run = run_##symbol};
#define ATTR(name, def) lmn_attr_f(ec->node, name, def)
ACTIVATION(elu, "Elu", elu_block, ATTR("alpha", 1.0f), 1.0f)
ACTIVATION(mish, "Mish", mish_block, 0, 0)
ACTIVATION(softplus, "Softplus", softplus_block, 0, 0)
ACTIVATION(softsign, "Softsign", softsign_block, 0, 0)
ACTIVATION(thresholded_relu, "ThresholdedRelu", threshold_block, ATTR("alpha", 1.0f), 0)

/* gamma alpha (e^x - 1) below 0, gamma x above. */
static lamina_status run_selu(const lamina_kernel *k, lmn_eval *ec)
{
    const float gamma = ATTR("gamma", 1.05070102214813232421875f);
    return run_act(k, ec, elu_block, ATTR("alpha", 1.67326319217681884765625f) * gamma, gamma);
}
const lmn_cpu_binding lmn_cpu_selu = {.domain = "",
                                      .op = "Selu",
                                      .families = "elementwise.f32",
                                      .supports = supports_act,
                                      .run = run_selu};

static lamina_status run_celu(const lamina_kernel *k, lmn_eval *ec)
{
    const float alpha = ATTR("alpha", 1.0f);
    return alpha > 0 ? run_act(k, ec, celu_block, alpha, 0) : lmn_cpu_reference(ec);
}
const lmn_cpu_binding lmn_cpu_celu = {.domain = "",
                                      .op = "Celu",
                                      .families = "elementwise.f32",
                                      .supports = supports_act,
                                      .run = run_celu};
