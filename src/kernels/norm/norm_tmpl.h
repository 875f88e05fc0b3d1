/*
 * Row operations on the vf_* words (include simd_<isa>.h first). Tails are masked; lanes past the
 * end count as 0 in sums.
 */
#ifndef LMN_KERNELS_NORM_TMPL_H
#define LMN_KERNELS_NORM_TMPL_H

#include "kernels/norm/norm.h"
#include "kernels/simd/simd_wide.h"

/* NaN is left out: it comes back with the exponentials. */
static float row_max(const float *x, int64_t n)
{
    const vf low = vf_set1(-__builtin_inff());
    vf a0 = low, a1 = low;
    int64_t i = 0;
    for (; i + 2 * VF_LANES <= n; i += 2 * VF_LANES) {
        a0 = vf_max(vf_load(x + i), a0);
        a1 = vf_max(vf_load(x + i + VF_LANES), a1);
    }
    for (; i < n; i += VF_LANES) {
        const vm mask = vm_first(n - i);
        a0 = vf_max(vf_select(mask, vf_loadm(x + i, mask), low), a0);
    }
    return vf_hmax(vf_max(a0, a1));
}

static void softmax_run(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        float *y = b->y + r * b->n;
        const vf scale = vf_set1(1.0f / vw_row_exp(x, y, b->n, row_max(x, b->n)));
        int64_t i = 0;
        for (; i + VF_LANES <= b->n; i += VF_LANES) vf_store(y + i, vf_mul(vf_load(y + i), scale));
        if (i < b->n) {
            const vm mask = vm_first(b->n - i);
            vf_storem(y + i, mask, vf_mul(vf_loadm(y + i, mask), scale));
        }
    }
}

static void softmax_down_run(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r += VF_LANES) {
        const vm mask = vm_first(b->rows - r);
        const float *x = b->x + r;
        float *y = b->y + r;
        vf max = vf_set1(-__builtin_inff()), sum = vf_zero();
        for (int64_t i = 0; i < b->n; i++) max = vf_max(vf_loadm(x + i * b->step, mask), max);
        for (int64_t i = 0; i < b->n; i++) {
            const vf e = vf_exp(vf_sub(vf_loadm(x + i * b->step, mask), max));
            vf_storem(y + i * b->step, mask, e);
            sum = vf_add(sum, e);
        }
        const vf scale = vf_div(vf_set1(1.0f), sum);
        for (int64_t i = 0; i < b->n; i++)
            vf_storem(y + i * b->step, mask, vf_mul(vf_loadm(y + i * b->step, mask), scale));
    }
}

/* Elements as folds take them: those of MIN negated, so that all look for the largest. */
VF_INLINE vf fold_sign(const lmn_norm_fold fold)
{
    return fold == LMN_FOLD_MIN ? vf_set1(-0.0f) : vf_zero();
}

/* Largest of x ^ sign; whether NaN was met is noted beside, as maxima lose it. */
static float row_most(const float *x, int64_t n, vf sign)
{
    const vf low = vf_set1(-__builtin_inff());
    vf a0 = low, a1 = low, a2 = low, a3 = low;
    vm nan = vm_first(0);
    int64_t i = 0;
#define MOST(k)                                                   \
    {                                                             \
        const vf v = vf_xor(vf_load(x + i + (k)*VF_LANES), sign); \
        nan = vm_or(nan, vf_unord(v, v));                         \
        a##k = vf_max(v, a##k);                                   \
    }
    for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
        MOST(0)
        MOST(1)
        MOST(2)
        MOST(3)
    }
#undef MOST
    for (; i < n; i += VF_LANES) {
        const vm mask = vm_first(n - i);
        const vf v = vf_select(mask, vf_xor(vf_loadm(x + i, mask), sign), low);
        nan = vm_or(nan, vf_unord(v, v));
        a0 = vf_max(v, a0);
    }
    return vm_any(nan) ? __builtin_nanf("") : vf_hmax(vf_max(vf_max(a0, a1), vf_max(a2, a3)));
}

static void folds_run(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        if (b->fold == LMN_FOLD_MAX)
            b->y[r] = row_most(x, b->n, vf_zero());
        else if (b->fold == LMN_FOLD_MIN)
            b->y[r] = -row_most(x, b->n, fold_sign(LMN_FOLD_MIN));
        else
            b->y[r] =
                b->fold == LMN_FOLD_MEAN ? vw_row_sum(x, b->n) / (float)b->n : vw_row_sum(x, b->n);
    }
}

/* Columns c .. c + 4 VF_LANES - 1 at most. */
VF_INLINE void fold_columns(const lmn_norm_block *b, int64_t c, const lmn_norm_fold fold)
{
    const bool sums = fold == LMN_FOLD_SUM;
    const vf sign = fold_sign(fold), start = sums ? vf_zero() : vf_set1(-__builtin_inff());
    const float *x = b->x + c;
    vf a0 = start, a1 = start, a2 = start, a3 = start;
    vm n0 = vm_first(0), n1 = n0, n2 = n0, n3 = n0;
    const int64_t left = b->rows - c;
#define DOWN(k)                                                                    \
    {                                                                              \
        const vf v = vf_xor(vf_loadm(x + i * b->step + (k)*VF_LANES, m##k), sign); \
        if (!sums) n##k = vm_or(n##k, vf_unord(v, v));                             \
        a##k = sums ? vf_add(a##k, v) : vf_max(v, a##k);                           \
    }
#define DONE(k)                                                                  \
    {                                                                            \
        vf v = vf_xor(vf_select(n##k, vf_set1(__builtin_nanf("")), a##k), sign); \
        if (b->fold == LMN_FOLD_MEAN) v = vf_div(v, vf_set1((float)b->n));       \
        vf_storem(b->y + c + (k)*VF_LANES, m##k, v);                             \
    }
    const vm m0 = vm_first(left), m1 = vm_first(left - VF_LANES),
             m2 = vm_first(left - 2 * VF_LANES), m3 = vm_first(left - 3 * VF_LANES);
    if (left > VF_LANES) {
        for (int64_t i = 0; i < b->n; i++) {
            DOWN(0)
            DOWN(1)
            DOWN(2)
            DOWN(3)
        }
        DONE(1)
        DONE(2)
        DONE(3)
    } else {
        for (int64_t i = 0; i < b->n; i++) DOWN(0)
    }
    DONE(0)
#undef DOWN
#undef DONE
}

static void folds_down_run(const lmn_norm_block *b)
{
    for (int64_t c = 0; c < b->rows; c += 4 * VF_LANES) {
        if (b->fold == LMN_FOLD_MAX)
            fold_columns(b, c, LMN_FOLD_MAX);
        else if (b->fold == LMN_FOLD_MIN)
            fold_columns(b, c, LMN_FOLD_MIN);
        else
            fold_columns(b, c, LMN_FOLD_SUM);
    }
}

static void log_softmax_run(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        float *y = b->y + r * b->n;
        const float most = row_max(x, b->n);
        const vf max = vf_set1(most);
        vw sum = vw_set1(0);
        for (int64_t i = 0; i < b->n; i += VW_LANES) {
            const vw e = vw_exp(vw_sub(vw_load_first(x + i, b->n - i), vw_set1(most)));
            sum = vw_add(sum, vw_first(e, b->n - i));
        }
        const vf log_sum = vf_log(vf_set1(vw_hsum(sum)));
        for (int64_t i = 0; i < b->n; i += VF_LANES) {
            const vm mask = vm_first(b->n - i);
            vf_storem(y + i, mask, vf_sub(vf_sub(vf_loadm(x + i, mask), max), log_sum));
        }
    }
}

/* Sum of (x - mean)^2: four partial sums a lane, as an fma takes four cycles. */
static float row_square(const float *x, int64_t n, float mean)
{
    const vw shift = vw_set1(mean);
    vw a0 = vw_set1(0), a1 = a0, a2 = a0, a3 = a0;
    int64_t i = 0;
#define SQUARE(k)                                                  \
    {                                                              \
        const vw d = vw_sub(vw_load(x + i + (k)*VW_LANES), shift); \
        a##k = vw_fma(d, d, a##k);                                 \
    }
    for (; i + 4 * VW_LANES <= n; i += 4 * VW_LANES) {
        SQUARE(0)
        SQUARE(1)
        SQUARE(2)
        SQUARE(3)
    }
#undef SQUARE
    for (; i < n; i += VW_LANES) {
        const vw d = vw_first(vw_sub(vw_load_first(x + i, n - i), shift), n - i);
        a0 = vw_fma(d, d, a0);
    }
    return vw_hsum(vw_add(vw_add(a0, a1), vw_add(a2, a3)));
}

/* y = (x - mean) inv scale + bias; bias NULL = +0 */
static void row_scale(const lmn_norm_block *b, const float *x, float *y, vf mean, vf inv)
{
    const float *scale = b->scale, *bias = b->bias;
    const int64_t n = b->n;
    int64_t i = 0;
    if (bias)
        for (; i + VF_LANES <= n; i += VF_LANES) {
            const vf v = vf_mul(vf_sub(vf_load(x + i), mean), inv);
            vf_store(y + i, vf_fma(v, vf_load(scale + i), vf_load(bias + i)));
        }
    else
        for (; i + VF_LANES <= n; i += VF_LANES) {
            const vf v = vf_mul(vf_sub(vf_load(x + i), mean), inv);
            vf_store(y + i, vf_fma(v, vf_load(scale + i), vf_zero()));
        }
    if (i >= n) return;
    const vm mask = vm_first(n - i);
    const vf v = vf_mul(vf_sub(vf_loadm(x + i, mask), mean), inv);
    const vf add = bias ? vf_loadm(bias + i, mask) : vf_zero();
    vf_storem(y + i, mask, vf_fma(v, vf_loadm(scale + i, mask), add));
}

static void layer_run(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        const float mean = vw_row_sum(x, b->n) / (float)b->n;
        const vf var = vf_set1(row_square(x, b->n, mean) / (float)b->n + b->eps);
        row_scale(b, x, b->y + r * b->n, vf_set1(mean), vf_div(vf_set1(1.0f), vf_sqrt(var)));
    }
}

static void planes_run(const lmn_norm_block *b)
{
    const int64_t n = b->n;
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t c = (b->row + r) % b->channels;
        const float *x = b->x + r * n;
        float *y = b->y + r * n;
        const float center = b->center ? b->center[c] : vw_row_sum(x, n) / (float)n;
        const vf mean = vf_set1(center);
        vf inv = vf_set1(1.0f);
        if (!b->center) {
            const vf var = vf_set1(row_square(x, n, center) / (float)n + b->eps);
            inv = vf_div(inv, vf_sqrt(var));
        }
        const vf scale = vf_set1(b->scale[c]), bias = vf_set1(b->bias[c]);
        for (int64_t i = 0; i < n; i += VF_LANES) {
            const vm mask = vm_first(n - i);
            const vf v = vf_mul(vf_sub(vf_loadm(x + i, mask), mean), inv);
            vf_storem(y + i, mask, vf_fma(v, scale, bias));
        }
    }
}

static void rms_run(const lmn_norm_block *b)
{
    const float *scale = b->scale;
    const int64_t n = b->n;
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * n;
        float *y = b->y + r * n;
        const vf mean = vf_set1(row_square(x, n, 0) / (float)n + b->eps);
        const vf inv = vf_div(vf_set1(1.0f), vf_sqrt(mean));
        int64_t i = 0;
        for (; i + VF_LANES <= n; i += VF_LANES)
            vf_store(y + i, vf_mul(vf_mul(vf_load(x + i), inv), vf_load(scale + i)));
        if (i < n) {
            const vm mask = vm_first(n - i);
            vf_storem(y + i, mask,
                      vf_mul(vf_mul(vf_loadm(x + i, mask), inv), vf_loadm(scale + i, mask)));
        }
    }
}

/* The functions of a row, named after its ISA. */
#define NORM_FUNCTION(what, isa)                              \
    lmn_norm_fn lmn_norm_f32_##what##_##isa;                  \
    void lmn_norm_f32_##what##_##isa(const lmn_norm_block *b) \
    {                                                         \
        what##_run(b);                                        \
    }
#define NORM_DEFINE(isa)             \
    NORM_FUNCTION(softmax, isa)      \
    NORM_FUNCTION(softmax_down, isa) \
    NORM_FUNCTION(log_softmax, isa)  \
    NORM_FUNCTION(layer, isa)        \
    NORM_FUNCTION(rms, isa)          \
    NORM_FUNCTION(planes, isa)       \
    NORM_FUNCTION(folds, isa)        \
    NORM_FUNCTION(folds_down, isa)

#endif
