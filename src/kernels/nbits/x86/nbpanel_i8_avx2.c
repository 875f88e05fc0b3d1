/*
 * nbpanel row for AVX2: a strip is four registers of sums. vpmaddubsw cannot saturate, and
 * neither can the sum of a group of 4-bit weights in 16 bits: 15 * 127 * 16 fits; weights of 8 bits
 * are split into the low seven bits and the highest.
 */
#include "kernels/nbits/nbpanel_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_avx2;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_avx2;

void lmn_nbpanel_i8_pack_avx2(uint8_t *tile, int64_t rows, int64_t r, const float *x, int64_t k,
                              const lmn_nbpanels *w)
{
    nbpanel_pack(tile, rows, r, x, k, w);
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

#define EACH_QUARTER(X) X(0) X(1) X(2) X(3)

/* Sums of r * q of a strip, eight rows a register: of pairs of columns in 16 bits, or whole. Lines
   are read in their order. */
typedef struct sums {
    __m256i v0, v1, v2, v3;
} sums;

/* A sum is complete here: compilers would add up lines at last, and spill them until then. */
#define COMPLETE(v) __asm__("" : "+x"(v))

ALWAYS void line4(sums *s, const uint8_t *q, const uint8_t *r)
{
    const __m256i low = _mm256_set1_epi8(15), first = every(r), last = every(r + 16);
#define QUARTER(i)                                                               \
    {                                                                            \
        const __m256i two = load(q + 32 * (i)), lo = _mm256_and_si256(two, low); \
        const __m256i hi = _mm256_and_si256(_mm256_srli_epi16(two, 4), low);     \
        s->v##i = _mm256_add_epi16(s->v##i, _mm256_maddubs_epi16(lo, first));    \
        s->v##i = _mm256_add_epi16(s->v##i, _mm256_maddubs_epi16(hi, last));     \
        COMPLETE(s->v##i);                                                       \
    }
    EACH_QUARTER(QUARTER)
#undef QUARTER
}
ALWAYS void line8(sums *s, const uint8_t *q, const uint8_t *r)
{
    const __m256i low = _mm256_set1_epi8(127), one = _mm256_set1_epi16(1), a = every(r);
#define QUARTER(i)                                                                 \
    {                                                                              \
        const __m256i all = load(q + 32 * (i));                                    \
        const __m256i lo = _mm256_maddubs_epi16(_mm256_and_si256(all, low), a);    \
        const __m256i hi = _mm256_maddubs_epi16(_mm256_andnot_si256(low, all), a); \
        s->v##i = _mm256_add_epi32(s->v##i, _mm256_madd_epi16(lo, one));           \
        s->v##i = _mm256_add_epi32(s->v##i, _mm256_madd_epi16(hi, one));           \
        COMPLETE(s->v##i);                                                         \
    }
    EACH_QUARTER(QUARTER)
#undef QUARTER
}
ALWAYS sums group_sums(const uint8_t *q, const uint8_t *r, const int bits)
{
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi16(1);
    sums s = {zero, zero, zero, zero};
    for (int c = 0; c < bits; c++) (bits == 4 ? line4 : line8)(&s, q + 128 * c, r + 4 * c);
    if (bits == 8) return s;
#define QUARTER(i) s.v##i = _mm256_madd_epi16(s.v##i, one);
    EACH_QUARTER(QUARTER)
#undef QUARTER
    return s;
}

/* What zero points take off eight rows by a record, at the same place as their sums. */
ALWAYS __m256i taken_off(const uint8_t *r, const uint8_t *zp, const int bits)
{
    const __m256i sum = every(r + NBPANEL_SUM);
    if (!zp) return bits == 4 ? _mm256_srai_epi32(sum, 4) : sum;
    return _mm256_madd_epi16(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)zp)), sum);
}

/* A strip by row i of the tile. */
ALWAYS void row(const nbpanel_part *p, int64_t i, const int bits, const bool zps)
{
    const lmn_nbpanels *w = &p->w;
    const uint8_t *a = p->a + i * LMN_NBPANEL_RECORD;
    float *acc = p->acc[i];
#define START(i) __m256 c##i = p->g > 0 ? _mm256_loadu_ps(acc + 8 * (i)) : _mm256_setzero_ps();
    EACH_QUARTER(START)
#undef START
    for (int64_t g = p->g; g < p->end; g++, a += p->m * LMN_NBPANEL_RECORD) {
        const sums v = group_sums(nbpanel_group(w, g, bits, zps), a, bits);
        const uint8_t *scales = nbpanel_scales(w, g, bits, zps);
        const __m256 s = _mm256_castsi256_ps(every(a + NBPANEL_S));
#define CHAIN(i)                                                                             \
    {                                                                                        \
        const uint8_t *zp = zps ? scales + NBPANEL_ZP + 8 * (i) : NULL;                      \
        const __m256 scale = _mm256_loadu_ps((const float *)(const void *)scales + 8 * (i)); \
        const __m256i sum = _mm256_add_epi32(v.v##i, taken_off(a, zp, bits));                \
        c##i = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, s), c##i);      \
    }
        EACH_QUARTER(CHAIN)
#undef CHAIN
    }
#define END(i) _mm256_storeu_ps(acc + 8 * (i), c##i);
    EACH_QUARTER(END)
#undef END
}

/* There are no registers for several rows of A: one after the other. */
ALWAYS void tile(const nbpanel_part *p, const int bits, const bool zps)
{
    for (int64_t i = 0; i < p->m; i++) row(p, i, bits, zps);
}

#include "kernels/nbits/nbpanel_forms_tmpl.h"

void lmn_nbpanel_i8_run_avx2(const lmn_nbpanel_block *b)
{
    nbpanel_run(b, any_form, 4);
}
