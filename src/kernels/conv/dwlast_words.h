/*
 * What the bf16 dwlast rows of AVX-512 share: 32 channels as two vectors of f32. Include it only in
 * files whose suffix has AVX-512 with bf16.
 */
#ifndef LMN_KERNELS_DWLAST_WORDS_H
#define LMN_KERNELS_DWLAST_WORDS_H

#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hgemm_bf16_avx512.h"

enum { BLOCK = LMN_DWLAST_BLOCK, SIDE = 3 };

/* A block of channels of an output: the even and the odd ones, or of every eight the first and the
   last four, as unpacking leaves them. */
typedef struct both {
    vf low, high;
} both;

/* The even and the odd of 32 channels. */
VF_INLINE both widen(__m512i x)
{
    const __m512i mask = _mm512_set1_epi32((int32_t)0xffff0000u);
    return (both){_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                  _mm512_castsi512_ps(_mm512_and_si512(x, mask))};
}

/* Bias of n channels; none is -0, which adding does not see. pairs: in the order of unpacking. */
VF_INLINE both bias_of(const float *bias, int64_t n, bool pairs)
{
    const vf none = vf_set1(-0.0f);
    if (!bias) return (both){none, none};
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i fours =
        _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    const __m512i low = pairs ? fours : even;
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(pairs ? 4 : 1));
    const vf first = vf_loadm(bias, vm_first(n)),
             second = vf_loadm(bias + VF_LANES, vm_first(n - VF_LANES));
    return (both){_mm512_permutex2var_ps(first, low, second),
                  _mm512_permutex2var_ps(first, high, second)};
}

/* Where the words of channels stand that `both` holds. */
VF_INLINE __m512i deal_of(bool pairs)
{
    if (pairs) { /* fours of words */
        static const uint16_t at[BLOCK] = {0,  1,  2,  3,  16, 17, 18, 19, 4,  5,  6,
                                           7,  20, 21, 22, 23, 8,  9,  10, 11, 24, 25,
                                           26, 27, 12, 13, 14, 15, 28, 29, 30, 31};
        return _mm512_loadu_si512(at);
    }
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_or_si512(
        lanes, _mm512_slli_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(VF_LANES)), 16));
}

/* Is it a window of 3 x 3 pixels, neighbours of each other, a step of one or two apart? */
static inline bool is_square(const lmn_conv_geom *g)
{
    return g->kernel[1] == SIDE && g->kernel[2] == SIDE && g->stride[2] <= 2 &&
           g->dilation[1] == 1 && g->dilation[2] == 1;
}

#endif
