/*
 * f32 attention row for AVX-512 with bf16: that of AVX-512, and weights that leave as bf16 while
 * their exponentials are in registers, which need not be more exact than that.
 */
#include "kernels/hgemm/hgemm_bf16_avx512.h"
#include "kernels/simd/simd_math.h"

#include "kernels/attention/attention_tmpl.h"

lmn_attention_soften_fn lmn_attention_f32_soften_avx512bf16;
lmn_attention_weigh_fn lmn_attention_f32_weigh_avx512bf16;
lmn_attention_merge_fn lmn_attention_f32_merge_avx512bf16;
lmn_attention_finish_fn lmn_attention_f32_finish_avx512bf16;

void lmn_attention_f32_soften_avx512bf16(const lmn_attention_soft *b)
{
    soften_run(b);
}
void lmn_attention_f32_merge_avx512bf16(const lmn_attention_merge *b)
{
    merge_run(b);
}
void lmn_attention_f32_finish_avx512bf16(const lmn_attention_finish *b)
{
    finish_run(b);
}

/* Of sixteen keys from j on, those that are seen. */
VF_INLINE vm seen(int64_t j, int64_t lo, int64_t hi)
{
    return vm_first(hi - j) & (vm)~vm_first(lo - j);
}

/* Weights of keys j .. j + 31, of which those of the masks are seen, added to the sums. */
VF_INLINE __m512i weigh32(const float *s, vf top, vm in0, vm in1, vf sum[2])
{
    const vf e0 = vf_select(in0, bf16_exp(vf_sub(vf_loadm(s, in0), top)), vf_zero());
    const vf e1 = vf_select(in1, bf16_exp(vf_sub(vf_loadm(s + VF_LANES, in1), top)), vf_zero());
    sum[0] = vf_add(sum[0], e0), sum[1] = vf_add(sum[1], e1);
    return (__m512i)_mm512_cvtne2ps_pbh(e1, e0);
}

/* The weights of a row of `whole` columns; their sums lane by lane. */
VF_INLINE vf weigh_row(const float *s, int64_t lo, int64_t hi, vf t, uint16_t *to, int64_t whole)
{
    enum { ALL = 0xffff, STEP = 2 * VF_LANES };
    vf sum[2] = {vf_zero(), vf_zero()};
    int64_t j = 0;
    for (; j + STEP <= lo; j += STEP) _mm512_storeu_si512(to + j, _mm512_setzero_si512());
    for (; j < whole; j += STEP) {
        if (j >= lo && j + STEP <= hi) {
            _mm512_storeu_si512(to + j, weigh32(s + j, t, ALL, ALL, sum));
            continue;
        }
        const __mmask32 in = whole - j >= STEP ? ~(__mmask32)0 : ((__mmask32)1 << (whole - j)) - 1;
        const vm in0 = seen(j, lo, hi), in1 = seen(j + VF_LANES, lo, hi);
        _mm512_mask_storeu_epi16(to + j, in, weigh32(s + j, t, in0, in1, sum));
    }
    return vf_add(sum[0], sum[1]);
}

/* Sixteen rows' state beside the scores of the block, a row a lane: a lane costs less than its row
   would alone. */
enum { GROUP = VF_LANES };

/* The greatest, and the sum, of each of sixteen vectors; they are lost. */
VF_INLINE vf greatest_of(vf r[GROUP])
{
    vf_transpose(r);
    for (int n = GROUP / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) r[i] = vf_max(r[i], r[i + n]);
    return r[0];
}
VF_INLINE vf sums_of(vf r[GROUP])
{
    vf_transpose(r);
    for (int n = GROUP / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) r[i] = vf_add(r[i], r[i + n]);
    return r[0];
}

/* Sums and values of the rows i .. of `in` brought from scores `was` to `top`. */
static void lower(const lmn_attention_soft *b, int64_t i, vm in, vf was, vf top)
{
    const vm same = vm_or(vf_eq(was, top), vf_eq(was, vf_set1(-__builtin_inff())));
    vm grew = in & (vm)~same;
    if (!grew) return;
    float less[GROUP];
    const vf by = vf_select(grew, vf_exp(vf_sub(was, top)), vf_set1(1.0f));
    vf_store(less, by);
    vf_storem(b->sum + i, in, vf_mul(vf_loadm(b->sum + i, in), by));
    for (; grew; grew &= (vm)(grew - 1)) {
        const int r = __builtin_ctz(grew);
        float *o = b->o + (i + r) * b->dv;
        row_times(o, o, b->dv, vf_set1(less[r]));
    }
}

static void weigh_rows(const lmn_attention_weigh *w, int64_t i, int64_t m)
{
    const lmn_attention_soft *b = &w->soft;
    const vm in = vm_first(m);
    const vf low = vf_set1(-__builtin_inff());
    int64_t lo[GROUP], hi[GROUP];
    float shift[GROUP];
    vf r[GROUP];
    for (int q = 0; q < GROUP; q++) {
        r[q] = low;
        if (q >= m) continue;
        row_span(b, i + q, &lo[q], &hi[q]);
        r[q] = score_tops(b->s + (i + q) * b->ld + lo[q], hi[q] - lo[q], low);
    }
    const vf was = vf_loadm(b->top + i, in), top = vf_max(greatest_of(r), was);
    lower(b, i, in, was, top);
    vf_storem(b->top + i, in, top);
    vf_store(shift, vf_select(vf_eq(top, low), vf_zero(), top));
    for (int q = 0; q < GROUP; q++)
        r[q] = q < m ? weigh_row(b->s + (i + q) * b->ld, lo[q], hi[q], vf_set1(shift[q]),
                                 w->to + (i + q) * w->ld, w->whole)
                     : vf_zero();
    vf_storem(b->sum + i, in, vf_add(vf_loadm(b->sum + i, in), sums_of(r)));
}

void lmn_attention_f32_weigh_avx512bf16(const lmn_attention_weigh *w)
{
    for (int64_t i = 0; i < w->soft.m; i += GROUP)
        weigh_rows(w, i, lmn_min_i64(GROUP, w->soft.m - i));
}
