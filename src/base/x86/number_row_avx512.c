/*
 * Eight floats at a time to their shortest decimals: the arithmetic of number_write.c (Schubfach),
 * a lane each. A product with a power of ten is 64 by 32 bits here, since a shifted float of four
 * times its fraction fits 32 bits. Powers of two, whose interval is lopsided, and texts that are
 * neither "0.000ddd" nor have their point within nine digits are left to the caller.
 */
#include "base/number_layout.h"

#include "base/pow10.h"

#include <immintrin.h>

#define SET1(x) _mm512_set1_epi64((long long)(x))

/* Bits 64 and up of g * c, c < 2^32; odd when bits 33 to 63 are not all 0. */
static inline __m512i odd32(__m512i g_low, __m512i g_high, __m512i c)
{
    const __m512i low = _mm512_mul_epu32(g_low, c), high = _mm512_mul_epu32(g_high, c);
    const __m512i sum = _mm512_add_epi64(high, _mm512_srli_epi64(low, 32));
    const __mmask8 rest = _mm512_test_epi64_mask(sum, SET1(0xfffffffe));
    const __m512i x = _mm512_srli_epi64(sum, 32);
    return _mm512_mask_or_epi64(x, rest, x, SET1(1));
}

/* x / 10, x < 2^32. */
static inline __m512i tenth(__m512i x)
{
    return _mm512_srli_epi64(_mm512_mul_epu32(x, SET1(0xcccccccd)), 35);
}

/* Which of the decimals around vb / 4; adds 1 to *k where it is the shorter one. */
static inline __m512i choose(__m512i lower, __m512i vb, __m512i upper, __m512i *k)
{
    const __m512i one = SET1(1), s = _mm512_srli_epi64(vb, 2), tens = tenth(s);
    const __m512i forty = _mm512_mul_epu32(tens, SET1(40)), four = _mm512_slli_epi64(s, 2);
    const __m512i middle = _mm512_add_epi64(four, SET1(2));
    const __mmask8 down10 = _mm512_cmple_epu64_mask(lower, forty);
    const __mmask8 up10 = _mm512_cmple_epu64_mask(_mm512_add_epi64(forty, SET1(40)), upper);
    const __mmask8 shorter = _mm512_cmpge_epu64_mask(s, SET1(10)) & (__mmask8)(down10 ^ up10);
    const __mmask8 down = _mm512_cmple_epu64_mask(lower, four);
    const __mmask8 up = _mm512_cmple_epu64_mask(_mm512_add_epi64(four, SET1(4)), upper);
    const __mmask8 nearest = _mm512_cmpgt_epu64_mask(vb, middle) |
                             (_mm512_cmpeq_epu64_mask(vb, middle) & _mm512_test_epi64_mask(s, one));
    const __mmask8 differ = (__mmask8)(down ^ up);
    const __mmask8 above = (__mmask8)((differ & up) | (~differ & nearest));
    const __m512i near = _mm512_mask_add_epi64(s, above, s, one);
    const __m512i far = _mm512_mask_add_epi64(tens, up10, tens, one);
    *k = _mm512_mask_add_epi64(*k, shorter, *k, one);
    return _mm512_mask_blend_epi64(shorter, near, far);
}

/* Eight digits of x < 10^8 as bytes 0..9, the first in the low byte. */
static inline __m512i bcd8(__m512i x)
{
    const __m512i high = _mm512_srli_epi64(_mm512_mul_epu32(x, SET1(109951163)), 40);
    const __m512i low = _mm512_sub_epi64(x, _mm512_mul_epu32(high, SET1(10000)));
    const __m512i four = _mm512_or_si512(high, _mm512_slli_epi64(low, 32));
    __m512i t = _mm512_srli_epi32(_mm512_mullo_epi32(four, _mm512_set1_epi32(10486)), 20);
    const __m512i r = _mm512_sub_epi32(four, _mm512_mullo_epi16(t, _mm512_set1_epi32(100)));
    const __m512i two = _mm512_or_si512(t, _mm512_slli_epi32(r, 16));
    t = _mm512_srli_epi16(_mm512_mullo_epi16(two, _mm512_set1_epi16(103)), 10);
    const __m512i ones = _mm512_sub_epi16(two, _mm512_mullo_epi16(t, _mm512_set1_epi16(10)));
    return _mm512_or_si512(t, _mm512_slli_epi16(ones, 8));
}

/* Decimals w * 10^k of fractions c, exponents q; biased exponents e. */
static inline __m512i shortest(__m512i c, __m512i e, __m512i q, __m512i *k)
{
    const long long *table = (const long long *)(const void *)lmn_pow10_single;
    const __m512i at = _mm512_slli_epi64(e, 1), two = SET1(2);
    const __m512i g = _mm512_i64gather_epi64(at, table, 8);
    const __m512i kh = _mm512_i64gather_epi64(at, table + 1, 8);
    const __m512i h = _mm512_srli_epi64(kh, 32), g_high = _mm512_srli_epi64(g, 32);
    const __m512i odd = _mm512_and_si512(c, SET1(1)), c4 = _mm512_slli_epi64(c, 2);
    const __m512i below = _mm512_sllv_epi64(_mm512_sub_epi64(c4, two), h);
    const __m512i above = _mm512_sllv_epi64(_mm512_add_epi64(c4, two), h);
    const __m512i lower = _mm512_add_epi64(odd32(g, g_high, below), odd);
    const __m512i upper = _mm512_sub_epi64(odd32(g, g_high, above), odd);
    *k = _mm512_srai_epi64(_mm512_slli_epi64(kh, 32), 32);
    __m512i w = choose(lower, odd32(g, g_high, _mm512_sllv_epi64(c4, h)), upper, k);
    /* whole numbers, zero among them */
    const __m512i shift = _mm512_sub_epi64(_mm512_setzero_si512(), q);
    const __m512i bits = _mm512_sub_epi64(_mm512_sllv_epi64(SET1(1), shift), SET1(1));
    const __mmask8 whole =
        (_mm512_cmplt_epu64_mask(shift, SET1(24)) & _mm512_testn_epi64_mask(c, bits)) |
        _mm512_testn_epi64_mask(c, c);
    w = _mm512_mask_srlv_epi64(w, whole, c, shift);
    *k = _mm512_mask_mov_epi64(*k, whole, _mm512_setzero_si512());
    return w;
}

static inline void store_bytes(uint8_t *out, __m512i x)
{
    _mm_storel_epi64((__m128i *)(void *)out, _mm512_cvtepi64_epi8(x));
}

/* The text of w * 10^k; lanes that it cannot be made of. */
static inline __mmask8 lay_out(lmn_number_row *out, __m512i w, __m512i k, __mmask8 minus)
{
    const __m512i zero = _mm512_setzero_si512(), one = SET1(1), low = SET1(0xff);
    const __m512i tens = _mm512_setr_epi64(1, 10, 100, 1000, 10000, 100000, 1000000, 10000000);
    const __m512i more = _mm512_setr_epi64(100000000, 1000000000, 0, 0, 0, 0, 0, 0);
    const __m512i len = _mm512_sub_epi64(SET1(64), _mm512_lzcnt_epi64(w));
    __m512i n = _mm512_srli_epi64(_mm512_mul_epu32(len, SET1(1233)), 12);
    const __m512i least = _mm512_permutex2var_epi64(tens, n, more);
    n = _mm512_mask_add_epi64(n, _mm512_cmpge_epu64_mask(w, least), n, one);
    n = _mm512_max_epu64(n, one); /* of zero */
    const __m512i e = _mm512_sub_epi64(_mm512_add_epi64(k, n), one);
    w = _mm512_mul_epu32(w, _mm512_permutex2var_epi64(tens, _mm512_sub_epi64(SET1(9), n), more));
    const __m512i first = _mm512_srli_epi64(_mm512_mul_epu32(w, SET1(1441151881)), 57);
    const __m512i eight = bcd8(_mm512_sub_epi64(w, _mm512_mul_epu32(first, SET1(100000000))));
    const __m512i free = _mm512_srli_epi64(_mm512_lzcnt_epi64(eight), 3);
    n = _mm512_sub_epi64(SET1(9), free); /* without zeros at the end */
    const __m512i a = _mm512_or_si512(eight, SET1(0x3030303030303030));
    const __mmask8 below = _mm512_cmplt_epi64_mask(e, zero);
    const __mmask8 odd = _mm512_cmplt_epi64_mask(e, SET1(-5)) | _mm512_cmpge_epi64_mask(e, SET1(8));
    const __m512i zeros = _mm512_maskz_sub_epi64(below, one, e);
    const __m512i bits = _mm512_mask_mov_epi64(_mm512_slli_epi64(e, 3), below, SET1(56));
    const __m512i whole = _mm512_sub_epi64(_mm512_sllv_epi64(one, bits), one);
    const __m512i last = _mm512_srli_epi64(a, 56);
    __m512i point = _mm512_or_si512(_mm512_sllv_epi64(SET1('.'), bits),
                                    _mm512_slli_epi64(_mm512_andnot_si512(whole, a), 8));
    point = _mm512_mask_slli_epi64(point, below, last, 56);
    const __m512i word = _mm512_or_si512(_mm512_and_si512(a, whole), point);
    /* n > e + 1 ? n + 1 : e + 1; below: zeros + n */
    const __m512i e1 = _mm512_add_epi64(e, one);
    __m512i used = _mm512_mask_add_epi64(e1, _mm512_cmpgt_epi64_mask(n, e1), n, one);
    used = _mm512_mask_add_epi64(used, below, zeros, n);
    used = _mm512_mask_add_epi64(used, minus, used, one);
    _mm512_storeu_si512(out->word, word);
    store_bytes(out->first, _mm512_add_epi64(first, SET1('0')));
    store_bytes(out->last, _mm512_and_si512(last, low));
    store_bytes(out->zeros, zeros);
    store_bytes(out->used, used);
    return odd;
}

bool lmn_number_row_avx512(lmn_number_row *out, const float *v)
{
    const __m512i x = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)v));
    const __m512i fraction = _mm512_and_si512(x, SET1(0x7fffff));
    const __m512i e = _mm512_and_si512(_mm512_srli_epi64(x, 23), SET1(0xff));
    if (_mm512_cmpeq_epi64_mask(e, SET1(0xff))) return false;
    const __m512i one = SET1(1);
    const __mmask8 normal = _mm512_test_epi64_mask(e, e);
    const __m512i c = _mm512_mask_or_epi64(fraction, normal, fraction, SET1(1 << 23));
    const __m512i q = _mm512_sub_epi64(_mm512_max_epi64(e, one), SET1(150));
    const __mmask8 minus = _mm512_test_epi64_mask(x, SET1(0x80000000));
    __m512i k;
    const __m512i w = shortest(c, e, q, &k);
    /* a power of two: fine where it is a whole number, for which k is 0 and w as it is */
    const __mmask8 power = _mm512_testn_epi64_mask(fraction, fraction) & normal &
                           _mm512_cmplt_epi64_mask(e, SET1(127));
    const __mmask8 large = _mm512_cmpgt_epi64_mask(q, _mm512_setzero_si512()); /* 2^24 and up */
    out->minus = minus;
    out->odd = (uint8_t)(lay_out(out, w, k, minus) | power | large);
    return true;
}
