/*
 * The portable elementwise row: each operation in f64, rounded once. The judge of the vector rows.
 */
#include <math.h>

#include "kernels/elementwise/elementwise.h"

lmn_unary_fn lmn_elementwise_f32_unary_ref;
lmn_binary_fn lmn_elementwise_f32_binary_ref;

static double clip(double v, double lo, double hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

static double unary_at(const lmn_unary_block *b, double v)
{
    const double low = v < -3e38 ? -3e38 : v; /* -inf times 0 is -0 here */
    switch (b->kind) {
    case LMN_UN_RELU: return v < 0 ? 0 : v;
    case LMN_UN_CLIP: return clip(v, b->p0, b->p1);
    case LMN_UN_LEAKYRELU: return v < 0 ? b->p0 * v : v;
    case LMN_UN_HARDSIGMOID: return clip((double)b->p0 * v + b->p1, 0, 1);
    case LMN_UN_HARDSWISH: return low * clip(v / 6 + 0.5, 0, 1);
    case LMN_UN_SIGMOID: return 1 / (1 + exp(-v));
    case LMN_UN_SILU: return low / (1 + exp(-v));
    case LMN_UN_TANH: return tanh(v);
    case LMN_UN_ERF: return erf(v);
    case LMN_UN_GELU: return 0.5 * low * erfc(-v * 0.70710678118654752440);
    case LMN_UN_GELU_TANH:
        return 0.5 * low * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v)));
    case LMN_UN_EXP: return exp(v);
    case LMN_UN_SQRT: return sqrt(v);
    case LMN_UN_NEG: return -v;
    case LMN_UN_ABS: return fabs(v);
    case LMN_UN_RECIPROCAL: return 1 / v;
    case LMN_UN_FLOOR: return floor(v);
    case LMN_UN_CEIL: return ceil(v);
    case LMN_UN_RINT: return nearbyint(v);
    case LMN_UN_SQUARE: return v * v;
    case LMN_UN_CUBE: return v * v * v;
    case LMN_UN_LOG: return log(v);
    case LMN_UN_SIN: return sin(v);
    case LMN_UN_COS: return cos(v);
    default: lmn_assert(!"unary kind"); return v;
    }
}

void lmn_elementwise_f32_unary_ref(const lmn_unary_block *b)
{
    for (int64_t i = 0; i < b->n; i++) b->y[i] = (float)unary_at(b, b->x[i]);
}

static double binary_at(lmn_binary_kind kind, double a, double b)
{
    switch (kind) {
    case LMN_BIN_ADD: return a + b;
    case LMN_BIN_SUB: return a - b;
    case LMN_BIN_MUL: return a * b;
    case LMN_BIN_DIV: return a / b;
    case LMN_BIN_MAX: return a != a || a > b ? a : b;
    case LMN_BIN_MIN: return a != a || a < b ? a : b;
    default: lmn_assert(!"binary kind"); return a;
    }
}

void lmn_elementwise_f32_binary_ref(const lmn_binary_block *b)
{
    const float a0 = b->n ? b->a[0] : 0, b0 = b->n ? b->b[0] : 0;
    for (int64_t i = 0; i < b->n; i++)
        b->y[i] = (float)binary_at(b->kind, b->a_one ? a0 : b->a[i], b->b_one ? b0 : b->b[i]);
}
