/*
 * nbdot row for AVX2: four rows of weights against one or two packed rows, two groups at a time
 * (see the AVX-512 row). vpmaddubsw cannot saturate: 15 * 127 * 4 and 128 * 127 * 2 fit 16 bits;
 * weights of 8 bits are split into the low seven bits and the highest.
 */
#include "kernels/nbits/nbdot_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_avx2;
lmn_nbdot_run_fn lmn_nbdot_i8_run_avx2;

void lmn_nbdot_i8_pack_avx2(uint8_t *dst, const float *x, int64_t k, int32_t bits)
{
    nbdot_pack(dst, x, k, bits);
}

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}
ALWAYS __m128i load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* Two groups of a row as two halves of u8; `two` false: only the first is there. */
ALWAYS void halves(const uint8_t *q, int bits, bool two, __m256i *first, __m256i *second)
{
    const __m128i zero = _mm_setzero_si128();
    if (bits == 4) {
        const __m256i low = _mm256_set1_epi8(15);
        const __m256i v = two ? load(q) : _mm256_set_m128i(zero, load16(q));
        *first = _mm256_and_si256(v, low);
        *second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        return;
    }
    const __m256i a = load(q), b = two ? load(q + 32) : _mm256_setzero_si256();
    *first = _mm256_permute2x128_si256(a, b, 0x20);
    *second = _mm256_permute2x128_si256(a, b, 0x31);
}

/* Sums of fours, of both halves. */
ALWAYS __m256i products(__m256i f, __m256i s, __m256i x, __m256i y, int bits)
{
    const __m256i one = _mm256_set1_epi16(1);
    if (bits == 4) {
        const __m256i v = _mm256_add_epi16(_mm256_maddubs_epi16(f, x), _mm256_maddubs_epi16(s, y));
        return _mm256_madd_epi16(v, one);
    }
    const __m256i low = _mm256_set1_epi8(127);
    __m256i v = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_and_si256(f, low), x), one);
#define MORE(q, r) v = _mm256_add_epi32(v, _mm256_madd_epi16(_mm256_maddubs_epi16(q, r), one));
    MORE(_mm256_andnot_si256(low, f), x)
    MORE(_mm256_and_si256(s, low), y)
    MORE(_mm256_andnot_si256(low, s), y)
#undef MORE
    return v;
}

ALWAYS __m256i folded(__m256i d0, __m256i d1, __m256i d2, __m256i d3)
{
    const __m256i a =
        _mm256_add_epi32(_mm256_unpacklo_epi32(d0, d1), _mm256_unpackhi_epi32(d0, d1));
    const __m256i b =
        _mm256_add_epi32(_mm256_unpacklo_epi32(d2, d3), _mm256_unpackhi_epi32(d2, d3));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Dword r of lane g: row r's scale of group g. */
ALWAYS __m256 scales_of(const nbdot_strip *t, int64_t g, int32_t shift, bool two)
{
    const int64_t b0 = g >> shift, b1 = (g + 1) >> shift;
#define AT(r, b) t->scale[(r)*t->scale_step + (b)]
    const __m128 first = _mm_setr_ps(AT(0, b0), AT(1, b0), AT(2, b0), AT(3, b0));
    if (!two) return _mm256_set_m128(_mm_setzero_ps(), first);
    if (b0 == b1) return _mm256_set_m128(first, first);
    return _mm256_setr_m128(first, _mm_setr_ps(AT(0, b1), AT(1, b1), AT(2, b1), AT(3, b1)));
#undef AT
}

ALWAYS __m256i zero_points(const nbdot_strip *t, int64_t g, int32_t shift, int bits, bool two)
{
    const int64_t b0 = g >> shift, b1 = two ? (g + 1) >> shift : b0;
#define AT(r, b) lmn_nbdot_zp_at(t->zp + (r)*t->zp_step, bits, b)
    const __m128i first = _mm_setr_epi32(AT(0, b0), AT(1, b0), AT(2, b0), AT(3, b0));
    if (b0 == b1) return _mm256_set_m128i(first, first);
    return _mm256_set_m128i(_mm_setr_epi32(AT(0, b1), AT(1, b1), AT(2, b1), AT(3, b1)), first);
#undef AT
}

/* What a step of two groups needs of the weights. */
typedef struct weights {
    __m256i f0, f1, f2, f3, s0, s1, s2, s3, zp;
    __m256 scale;
} weights;

ALWAYS __m256 chunk(const weights *w, const uint8_t *p, __m256 acc, int bits)
{
    const __m256i x = load(p), y = load(p + 64);
    const __m256i v =
        folded(products(w->f0, w->s0, x, y, bits), products(w->f1, w->s1, x, y, bits),
               products(w->f2, w->s2, x, y, bits), products(w->f3, w->s3, x, y, bits));
    /* zp fits the low 16 bits and the sums of r do: one exact product a dword */
    const __m256i z = _mm256_madd_epi16(w->zp, load(p + 192));
    const __m256 s =
        _mm256_mul_ps(w->scale, _mm256_loadu_ps((const float *)(const void *)(p + 128)));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(v, z)), s, acc);
}

/* Chains 0 and 1 in one register, 2 and 3 in the other. */
static void store(const lmn_nbdot_block *b, const nbdot_strip *t, int64_t i, __m256 c01, __m256 c23)
{
    float out[NBDOT_ROWS];
    const __m256 two = _mm256_add_ps(c01, c23);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)));
    float *y = b->y + i * b->ldy + t->j;
    for (int64_t r = 0; r < t->rows; r++) y[r] = b->bias ? out[r] + b->bias[t->j + r] : out[r];
}

ALWAYS void tile(const lmn_nbdot_block *b, const nbdot_strip *t, int64_t i, const int m,
                 const int bits)
{
    const uint8_t *a = b->a + i * b->a_step;
    const int64_t next = b->a_step, groups = b->groups;
    const int64_t step = t->q_step;
    const int32_t shift = b->w.shift;
    __m256 c00 = _mm256_setzero_ps(), c01 = c00, c10 = c00, c11 = c00;
    weights w = {.zp = _mm256_set1_epi32(1 << (bits - 1))};
    for (int64_t g = 0; g < groups; g += 2) {
        const uint8_t *q = t->q + g * 4 * bits;
        const bool two = groups - g >= 2;
        halves(q, bits, two, &w.f0, &w.s0);
        halves(q + step, bits, two, &w.f1, &w.s1);
        halves(q + 2 * step, bits, two, &w.f2, &w.s2);
        halves(q + 3 * step, bits, two, &w.f3, &w.s3);
        w.scale = scales_of(t, g, shift, two);
        if (t->zp) w.zp = zero_points(t, g, shift, bits, two);
        const uint8_t *p = a + g / 4 * LMN_NBDOT_CHUNK + g % 4 * 16;
        if (g % 4 == 0) {
            c00 = chunk(&w, p, c00, bits);
            if (m > 1) c10 = chunk(&w, p + next, c10, bits);
        } else {
            c01 = chunk(&w, p, c01, bits);
            if (m > 1) c11 = chunk(&w, p + next, c11, bits);
        }
    }
    store(b, t, i, c00, c01);
    if (m > 1) store(b, t, i + 1, c10, c11);
}

#define INSTANCE(m, bits)                                                                    \
    static __attribute__((noinline)) void tile_##m##_##bits(const lmn_nbdot_block *b,        \
                                                            const nbdot_strip *t, int64_t i) \
    {                                                                                        \
        tile(b, t, i, m, bits);                                                              \
    }
INSTANCE(1, 4)
INSTANCE(2, 4)
INSTANCE(1, 8)
INSTANCE(2, 8)

void lmn_nbdot_i8_run_avx2(const lmn_nbdot_block *b)
{
    const bool eight = b->w.bits == 8;
    for (int64_t j = 0; j < b->n;) {
        const nbdot_strip t = nbdot_strip_at(b, j);
        j += t.rows;
        int64_t i = 0;
        for (; i + 2 <= b->m; i += 2) (eight ? tile_2_8 : tile_2_4)(b, &t, i);
        if (i < b->m) (eight ? tile_1_8 : tile_1_4)(b, &t, i);
    }
}
