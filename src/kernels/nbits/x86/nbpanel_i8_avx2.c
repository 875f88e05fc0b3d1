/*
 * nbpanel row for AVX2: a quarter of a strip is a register of sums. vpmaddubsw cannot saturate, and
 * neither can the sum of a group of 4-bit weights in 16 bits: 15 * 127 * 16 fits; weights of 8 bits
 * are split into the low seven bits and the highest.
 */
#include "kernels/nbits/nbpanel_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_avx2;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_avx2;

void lmn_nbpanel_i8_pack_avx2(uint8_t *dst, int64_t step, const float *x, int64_t k, bool zps)
{
    nbpanel_pack(dst, step, x, k, zps);
}

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}
/* The dword at p in every lane. */
ALWAYS __m256i every(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* Sums of r * q of eight rows, with q at the half of lines of a group. */
ALWAYS __m256i sums4(const uint8_t *q, const uint8_t *r)
{
    const __m256i low = _mm256_set1_epi8(15);
    __m256i v = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        const __m256i two = load(q + 128 * i), lo = _mm256_and_si256(two, low);
        const __m256i hi = _mm256_and_si256(_mm256_srli_epi16(two, 4), low);
        v = _mm256_add_epi16(v, _mm256_maddubs_epi16(lo, every(r + 4 * i)));
        v = _mm256_add_epi16(v, _mm256_maddubs_epi16(hi, every(r + 16 + 4 * i)));
    }
    return _mm256_madd_epi16(v, _mm256_set1_epi16(1));
}
ALWAYS __m256i sums8(const uint8_t *q, const uint8_t *r)
{
    const __m256i low = _mm256_set1_epi8(127), one = _mm256_set1_epi16(1);
    __m256i v = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) {
        const __m256i line = load(q + 128 * i), a = every(r + 4 * i);
        const __m256i lo = _mm256_maddubs_epi16(_mm256_and_si256(line, low), a);
        const __m256i hi = _mm256_maddubs_epi16(_mm256_andnot_si256(low, line), a);
        v = _mm256_add_epi32(v, _mm256_madd_epi16(lo, one));
        v = _mm256_add_epi32(v, _mm256_madd_epi16(hi, one));
    }
    return v;
}

/* Eight rows by a record; zp: one a row, or NULL. */
ALWAYS __m256 product(const uint8_t *q, __m256 scale, const uint8_t *zp, const uint8_t *r,
                      __m256 acc, const int bits)
{
    __m256i off = every(r + NBPANEL_SUM);
    if (zp)
        off = _mm256_madd_epi16(
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)zp)), off);
    else if (bits == 4)
        off = _mm256_srai_epi32(off, 4);
    const __m256i v = _mm256_add_epi32(off, bits == 4 ? sums4(q, r) : sums8(q, r));
    const __m256 s = _mm256_mul_ps(scale, _mm256_castsi256_ps(every(r + NBPANEL_S)));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(v), s, acc);
}

/* Half a strip, from row `from` on, by row i of the tile. */
ALWAYS void half(const nbpanel_part *p, int64_t i, int64_t from, const int bits)
{
    const lmn_nbpanels *w = &p->w;
    const uint8_t *a = p->a + i * LMN_NBPANEL_RECORD;
    float *acc = p->acc[i] + from;
    __m256 c0 = _mm256_setzero_ps(), c1 = c0;
    if (p->g > 0) c0 = _mm256_loadu_ps(acc), c1 = _mm256_loadu_ps(acc + 8);
    for (int64_t g = p->g; g < p->end; g++, a += p->m * LMN_NBPANEL_RECORD) {
        const uint8_t *q = nbpanel_group(w, g, bits, w->zps) + from * 4;
        const uint8_t *tail = nbpanel_tail(w, g, bits, w->zps);
        const uint8_t *zp = w->zps ? tail + NBPANEL_ZP + from : NULL;
        const float *scale = (const float *)(const void *)tail + from;
        c0 = product(q, _mm256_loadu_ps(scale), zp, a, c0, bits);
        c1 = product(q + 32, _mm256_loadu_ps(scale + 8), zp ? zp + 8 : NULL, a, c1, bits);
    }
    _mm256_storeu_ps(acc, c0), _mm256_storeu_ps(acc + 8, c1);
}

static void tile(const nbpanel_part *p)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t from = 0; from < LMN_NBPANEL_ROWS; from += 16) {
            if (p->w.bits == 8)
                half(p, i, from, 8);
            else
                half(p, i, from, 4);
        }
}

void lmn_nbpanel_i8_run_avx2(const lmn_nbpanel_block *b)
{
    nbpanel_run(b, tile);
}
