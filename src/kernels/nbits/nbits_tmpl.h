/*
 * The loops of the nbits rows on the words of simd_*.h: sixteen columns of one block at a time.
 * The file that includes it brings bytes16 and store16: sixteen bytes of values to f32, minus zp,
 * times scale.
 */
#define GROUP 16

#if defined(__aarch64__)
static inline bytes16 load16(const uint8_t *q)
{
    return vld1q_u8(q);
}
static inline bytes16 load16_4(const uint8_t *q)
{
    const uint8x8_t two = vld1_u8(q), lo = vand_u8(two, vdup_n_u8(15)), hi = vshr_n_u8(two, 4);
    return vcombine_u8(vzip1_u8(lo, hi), vzip2_u8(lo, hi));
}
#else
static inline bytes16 load16(const uint8_t *q)
{
    return _mm_loadu_si128((const __m128i *)(const void *)q);
}
static inline bytes16 load16_4(const uint8_t *q)
{
    const __m128i low = _mm_set1_epi8(15), two = _mm_loadl_epi64((const __m128i *)(const void *)q);
    return _mm_unpacklo_epi8(_mm_and_si128(two, low), _mm_and_si128(_mm_srli_epi16(two, 4), low));
}
#endif

static inline void expand4_run(float *dst, const uint8_t *q, int64_t n, int64_t block,
                               const float *scale, const float *zp)
{
    int64_t i = 0;
    for (int64_t b = 0; i + GROUP <= n; b++) {
        const int64_t end = i + block < n ? i + block : n;
        const vf s = vf_set1(scale[b]), z = vf_set1(zp[b]);
        for (; i + GROUP <= end; i += GROUP) store16(dst + i, load16_4(q + i / 2), s, z);
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
        for (; i + GROUP <= end; i += GROUP) store16(dst + i, load16(q + i), s, z);
    }
    lmn_nbits_tail8(dst, q, i, n, block, scale, zp);
}
