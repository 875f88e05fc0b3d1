/*
 * Words that the rows of nbpanel on vectors of 512 bits share.
 */
#ifndef LMN_KERNELS_NBPANEL_AVX512_TMPL_H
#define LMN_KERNELS_NBPANEL_AVX512_TMPL_H

#include "kernels/nbits/nbpanel_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

/* The dword at p in every lane. */
ALWAYS __m512i every(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

/* Zero points of half a strip, nothing in their high words. */
ALWAYS __m512i zero_points(const uint8_t *zp)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)zp));
}

/* Behind the last strip the address is of nothing, which a prefetch minds not. */
ALWAYS void fetch(const uint8_t *p, int64_t ahead)
{
    _mm_prefetch((const char *)((uintptr_t)p + (uintptr_t)ahead), _MM_HINT_T1);
}

#endif
