/*
 * Blocks of scores on the vf_* words (include simd_<isa>.h first). Tails are masked; the loops over
 * a row are independent from vector to vector but for one sum, so that they overlap.
 */
#ifndef LMN_KERNELS_ATTENTION_TMPL_H
#define LMN_KERNELS_ATTENTION_TMPL_H

#include "kernels/attention/attention.h"
#include "kernels/simd/simd_wide.h"

/* Of n scores and `top`, the greatest ones of each lane; NaN is left out: it comes back with the
   exponentials. */
VF_INLINE vf score_tops(const float *s, int64_t n, vf top)
{
    const vf low = vf_set1(-__builtin_inff());
    vf a0 = top, a1 = low;
    int64_t j = 0;
    for (; j + 2 * VF_LANES <= n; j += 2 * VF_LANES) {
        a0 = vf_max(vf_load(s + j), a0);
        a1 = vf_max(vf_load(s + j + VF_LANES), a1);
    }
    for (; j < n; j += VF_LANES) {
        const vm mask = vm_first(n - j);
        a0 = vf_max(vf_select(mask, vf_loadm(s + j, mask), low), a0);
    }
    return vf_max(a0, a1);
}

VF_INLINE void score_clear(float *s, int64_t n)
{
    for (int64_t j = 0; j < n; j += VF_LANES) vf_storem(s + j, vm_first(n - j), vf_zero());
}

/* y = x w */
VF_INLINE void row_times(float *y, const float *x, int64_t n, vf w)
{
    int64_t c = 0;
    for (; c + VF_LANES <= n; c += VF_LANES) vf_store(y + c, vf_mul(vf_load(x + c), w));
    if (c < n) {
        const vm mask = vm_first(n - c);
        vf_storem(y + c, mask, vf_mul(vf_loadm(x + c, mask), w));
    }
}

/* e^x in every lane, of a scalar */
VF_INLINE vf exp_of(float x)
{
    return vf_exp(vf_set1(x));
}

/* The scores of the block that row i sees. */
VF_INLINE void row_span(const lmn_attention_soft *b, int64_t i, int64_t *lo, int64_t *hi)
{
    *lo = lmn_min_i64(b->n, lmn_max_i64(0, b->lo[i] - b->key));
    *hi = lmn_min_i64(b->n, lmn_max_i64(*lo, b->hi[i] - b->key));
}

/* The greatest score of row i up to this block, with the state brought up to it. */
VF_INLINE float raise_top(const lmn_attention_soft *b, int64_t i, int64_t lo, int64_t hi)
{
    float *o = b->o + i * b->dv;
    const float was = b->top[i],
                top = vf_hmax(score_tops(b->s + i * b->ld + lo, hi - lo, vf_set1(was)));
    if (was != top && was != -__builtin_inff()) {
        const vf less = exp_of(was - top);
        float w[VF_LANES];
        vf_store(w, less);
        b->sum[i] *= w[0];
        row_times(o, o, b->dv, less);
    }
    b->top[i] = top;
    return top;
}

static void soften_run(const lmn_attention_soft *b)
{
    for (int64_t i = 0; i < b->m; i++) {
        int64_t lo, hi;
        float *s = b->s + i * b->ld;
        row_span(b, i, &lo, &hi);
        const float top = raise_top(b, i, lo, hi);
        score_clear(s, lo);
        b->sum[i] += vw_row_exp(s + lo, s + lo, hi - lo, top == -__builtin_inff() ? 0.0f : top);
        score_clear(s + hi, b->n - hi);
    }
}

static void merge_run(const lmn_attention_merge *b)
{
    for (int64_t i = 0; i < b->m; i++) {
        float top = -__builtin_inff(), sum = 0.0f, *to = b->to_o + i * b->dv;
        for (int64_t p = 0; p < b->parts; p++)
            top = b->top[p * b->step + i] > top ? b->top[p * b->step + i] : top;
        for (int64_t p = 0; p < b->parts; p++) {
            const float own = b->top[p * b->step + i], *o = b->o + p * b->o_step + i * b->dv;
            const vf w = own == top ? vf_set1(1.0f) : exp_of(own - top);
            float lane[VF_LANES];
            vf_store(lane, w);
            sum += lane[0] * b->sum[p * b->step + i];
            for (int64_t c = 0; c < b->dv; c += VF_LANES) {
                const vm mask = vm_first(b->dv - c);
                const vf before = p ? vf_loadm(to + c, mask) : vf_zero();
                vf_storem(to + c, mask, vf_fma(w, vf_loadm(o + c, mask), before));
            }
        }
        b->to_top[i] = top;
        b->to_sum[i] = sum;
    }
}

static void finish_run(const lmn_attention_finish *b)
{
    for (int64_t i = 0; i < b->m; i++) {
        const float sum = b->sum[i], *o = b->o + i * b->dv;
        float *y = b->y + i * b->ldy;
        if (sum == 0.0f ? b->zero_empty : sum != sum && b->zero_nan)
            score_clear(y, b->dv);
        else
            row_times(y, o, b->dv,
                      sum == 0.0f ? vf_set1(__builtin_nanf(""))
                                  : vf_div(vf_set1(1.0f), vf_set1(sum)));
    }
}

#endif
