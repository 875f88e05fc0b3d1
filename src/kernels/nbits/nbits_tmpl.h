/*
 * The loops of the nbits rows on the words of simd_*.h: sixteen columns of one block at a time.
 * The file that includes it brings store16: sixteen bytes of values to f32, minus zp, times scale.
 */
#define GROUP 16

static inline void expand4_run(float *dst, const uint8_t *q, int64_t n, int64_t block,
                               const float *scale, const float *zp)
{
    const __m128i low = _mm_set1_epi8(15);
    int64_t i = 0;
    for (int64_t b = 0; i + GROUP <= n; b++) {
        const int64_t end = i + block < n ? i + block : n;
        const vf s = vf_set1(scale[b]), z = vf_set1(zp[b]);
        for (; i + GROUP <= end; i += GROUP) {
            const __m128i two = _mm_loadl_epi64((const __m128i *)(const void *)(q + i / 2));
            const __m128i lo = _mm_and_si128(two, low),
                          hi = _mm_and_si128(_mm_srli_epi16(two, 4), low);
            store16(dst + i, _mm_unpacklo_epi8(lo, hi), s, z);
        }
    }
    lmn_nbits_tail4(dst, q, i, n, block, scale, zp);
}

static inline void expand8_run(float *dst, const uint8_t *q, int64_t n, int64_t block,
                               const float *scale, const float *zp)
{
    int64_t i = 0;
    for (int64_t b = 0; i + GROUP <= n; b++) {
        const int64_t end = i + block < n ? i + block : n;
        const vf s = vf_set1(scale[b]), z = vf_set1(zp[b]);
        for (; i + GROUP <= end; i += GROUP)
            store16(dst + i, _mm_loadu_si128((const __m128i *)(const void *)(q + i)), s, z);
    }
    lmn_nbits_tail8(dst, q, i, n, block, scale, zp);
}
