/*
 * f32 im2col row for AVX512: the loops of im2col_tmpl.h on sixteen lanes.
 */
#include "kernels/simd/simd_avx512.h"

#define IM2COL_DEALS
/* Three taps of stride 2 from 33 columns of a line, of which `first` holds the first one. */
VF_INLINE void deal_three(vf first, vf low, vf high, vf x[3])
{
    const __m512i evens =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
    x[1] = _mm512_permutex2var_ps(low, evens, high), x[2] = _mm512_permutex2var_ps(low, odds, high);
    x[0] = _mm512_castsi512_ps(
        _mm512_alignr_epi32(_mm512_castps_si512(x[2]), _mm512_castps_si512(first), 15));
}

#include "kernels/conv/im2col_tmpl.h"

lmn_im2col_fn lmn_im2col_f32_avx512;

void lmn_im2col_f32_avx512(const lmn_im2col_block *b)
{
    im2col_run(b);
}
