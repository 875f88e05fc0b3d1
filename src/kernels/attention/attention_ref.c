/*
 * The portable attention row: exponentials and sums of a block in f64, each rounded once.
 */
#include <math.h>

#include "kernels/attention/attention.h"

lmn_attention_soften_fn lmn_attention_f32_soften_ref;
lmn_attention_merge_fn lmn_attention_f32_merge_ref;
lmn_attention_finish_fn lmn_attention_f32_finish_ref;

static void soften_row(const lmn_attention_soft *b, int64_t i)
{
    const int64_t lo = lmn_min_i64(b->n, lmn_max_i64(0, b->lo[i] - b->key)),
                  hi = lmn_min_i64(b->n, lmn_max_i64(lo, b->hi[i] - b->key));
    float *s = b->s + i * b->ld, *o = b->o + i * b->dv, top = b->top[i];
    double sum = 0;
    for (int64_t j = lo; j < hi; j++) top = s[j] > top ? s[j] : top;
    const float shift = top == -INFINITY ? 0.0f : top;
    for (int64_t j = 0; j < b->n; j++) {
        const double e = j < lo || j >= hi ? 0.0 : exp((double)s[j] - (double)shift);
        s[j] = (float)e;
        sum += e;
    }
    if (b->top[i] != top && b->top[i] != -INFINITY) {
        const double less = exp((double)b->top[i] - (double)top);
        b->sum[i] = (float)(b->sum[i] * less);
        for (int64_t c = 0; c < b->dv; c++) o[c] = (float)(o[c] * less);
    }
    b->top[i] = top;
    b->sum[i] = (float)(b->sum[i] + sum);
}

void lmn_attention_f32_soften_ref(const lmn_attention_soft *b)
{
    for (int64_t i = 0; i < b->m; i++) soften_row(b, i);
}

void lmn_attention_f32_merge_ref(const lmn_attention_merge *b)
{
    for (int64_t i = 0; i < b->m; i++) {
        float top = -INFINITY;
        double sum = 0;
        for (int64_t p = 0; p < b->parts; p++)
            top = b->top[p * b->step + i] > top ? b->top[p * b->step + i] : top;
        for (int64_t c = 0; c < b->dv; c++) b->to_o[i * b->dv + c] = 0.0f;
        for (int64_t p = 0; p < b->parts; p++) {
            const float own = b->top[p * b->step + i];
            const double w = own == top ? 1 : exp((double)own - (double)top);
            sum += w * b->sum[p * b->step + i];
            for (int64_t c = 0; c < b->dv; c++) {
                float *to = b->to_o + i * b->dv + c;
                *to = (float)(*to + w * b->o[p * b->o_step + i * b->dv + c]);
            }
        }
        b->to_top[i] = top;
        b->to_sum[i] = (float)sum;
    }
}

void lmn_attention_f32_finish_ref(const lmn_attention_finish *b)
{
    for (int64_t i = 0; i < b->m; i++) {
        const float sum = b->sum[i];
        const bool zero = sum == 0 ? b->zero_empty : sum != sum && b->zero_nan;
        for (int64_t c = 0; c < b->dv; c++) {
            float *y = b->y + i * b->ldy + c;
            *y = zero ? 0.0f : sum == 0 ? NAN : (float)(b->o[i * b->dv + c] / (double)sum);
        }
    }
}
