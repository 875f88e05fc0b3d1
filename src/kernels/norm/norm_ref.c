/*
 * The portable norm row: sums in f64, one rounding to f32 at the end (softmax: of each exponential
 * too).
 */
#include <math.h>

#include "kernels/norm/norm.h"

lmn_norm_fn lmn_norm_f32_softmax_ref, lmn_norm_f32_softmax_down_ref, lmn_norm_f32_log_softmax_ref,
    lmn_norm_f32_layer_ref, lmn_norm_f32_rms_ref, lmn_norm_f32_planes_ref, lmn_norm_f32_folds_ref,
    lmn_norm_f32_folds_down_ref;

void lmn_norm_f32_softmax_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        float *y = b->y + r * b->n;
        double max = x[0], sum = 0;
        for (int64_t i = 1; i < b->n; i++) max = x[i] > max ? x[i] : max;
        for (int64_t i = 0; i < b->n; i++) sum += exp(x[i] - max);
        for (int64_t i = 0; i < b->n; i++) y[i] = (float)(exp(x[i] - max) / sum);
    }
}

void lmn_norm_f32_softmax_down_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r;
        float *y = b->y + r;
        double max = x[0], sum = 0;
        for (int64_t i = 1; i < b->n; i++) max = x[i * b->step] > max ? x[i * b->step] : max;
        for (int64_t i = 0; i < b->n; i++) sum += exp(x[i * b->step] - max);
        for (int64_t i = 0; i < b->n; i++)
            y[i * b->step] = (float)(exp(x[i * b->step] - max) / sum);
    }
}

static double row_sum(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

void lmn_norm_f32_layer_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        float *y = b->y + r * b->n;
        double mean = row_sum(x, b->n) / (double)b->n, square = 0;
        for (int64_t i = 0; i < b->n; i++) square += (x[i] - mean) * (x[i] - mean);
        const double inv = 1 / sqrt(square / (double)b->n + b->eps);
        for (int64_t i = 0; i < b->n; i++)
            y[i] = (float)((x[i] - mean) * inv * b->scale[i] + (b->bias ? b->bias[i] : 0));
    }
}

void lmn_norm_f32_rms_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        float *y = b->y + r * b->n;
        double square = 0;
        for (int64_t i = 0; i < b->n; i++) square += (double)x[i] * x[i];
        const double inv = 1 / sqrt(square / (double)b->n + b->eps);
        for (int64_t i = 0; i < b->n; i++) y[i] = (float)(x[i] * inv * b->scale[i]);
    }
}

void lmn_norm_f32_log_softmax_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const float *x = b->x + r * b->n;
        double max = x[0], sum = 0;
        for (int64_t i = 1; i < b->n; i++) max = x[i] > max ? x[i] : max;
        for (int64_t i = 0; i < b->n; i++) sum += exp(x[i] - max);
        for (int64_t i = 0; i < b->n; i++) b->y[r * b->n + i] = (float)(x[i] - max - log(sum));
    }
}

void lmn_norm_f32_planes_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t c = (b->row + r) % b->channels;
        const float *x = b->x + r * b->n;
        double mean = b->center ? b->center[c] : row_sum(x, b->n) / (double)b->n, square = 0;
        for (int64_t i = 0; i < b->n; i++) square += (x[i] - mean) * (x[i] - mean);
        const double inv = b->center ? 1 : 1 / sqrt(square / (double)b->n + b->eps);
        for (int64_t i = 0; i < b->n; i++)
            b->y[r * b->n + i] = (float)((x[i] - mean) * inv * b->scale[c] + b->bias[c]);
    }
}

/* n elements, `step` apart. */
static float fold(const lmn_norm_block *b, const float *x, int64_t step)
{
    const bool sums = b->fold == LMN_FOLD_SUM || b->fold == LMN_FOLD_MEAN;
    double acc = sums ? 0 : x[0];
    for (int64_t i = sums ? 0 : 1; i < b->n; i++) {
        const double v = x[i * step];
        if (sums)
            acc += v;
        else if (acc == acc && (v != v || (b->fold == LMN_FOLD_MAX ? v > acc : v < acc)))
            acc = v;
    }
    return (float)(b->fold == LMN_FOLD_MEAN ? acc / (double)b->n : acc);
}

void lmn_norm_f32_folds_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) b->y[r] = fold(b, b->x + r * b->n, 1);
}

void lmn_norm_f32_folds_down_ref(const lmn_norm_block *b)
{
    for (int64_t r = 0; r < b->rows; r++) b->y[r] = fold(b, b->x + r, b->step);
}
