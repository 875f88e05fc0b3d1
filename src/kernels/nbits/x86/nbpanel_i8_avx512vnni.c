/*
 * nbpanel row for AVX-512 VNNI: a strip is two registers of sums. High halves of bytes are
 * multiplied where they lie, sixteen times too large, and their sum is shifted before the low
 * halves join it: 512 weights of 4 bits are 20 operations, 10 cycles of Zen 4, where a read of them
 * takes 12. Rows of A are loaded once for two registers of sums, since loads are what there is
 * least of. For one row of A nothing is fetched ahead: weights are one stream, which the hardware
 * foresees better (0.65 - 0.8 of a plain read with prefetches, 0.9 - 1.0 without).
 */
#include "kernels/nbits/x86/nbpanel_avx512_tmpl.h"

#define EACH_M(X, y) X(0, y) X(1, y) X(2, y) X(3, y)

lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_avx512vnni;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_avx512vnni;
nbpanel_tile_fn lmn_nbpanel_i8_tile_avx512vnni;

void lmn_nbpanel_i8_pack_avx512vnni(uint8_t *dst, int64_t step, const float *x, int64_t k, bool zps)
{
    nbpanel_pack(dst, step, x, k, zps);
}

ALWAYS __m512i line_at(const uint8_t *q, int i)
{
    __m512i v = _mm512_loadu_si512(q + 64 * i);
    __asm__ volatile("" : "+v"(v)); /* one load for both halves; lines in their order */
    return v;
}

/* A group: sums of row i of A in v0_i and v1_i, one a half of the strip, chains in c0_i and c1_i.
 */
#define OPEN(i, at)                                                       \
    const uint8_t *const r##i = a + (m > i ? i : 0) * LMN_NBPANEL_RECORD; \
    __m512i v0##i = zps ? _mm512_setzero_si512() : every(r##i + (at)), v1##i = v0##i;
#define DOT(i, at)                                 \
    if (m > i) {                                   \
        const __m512i r = every(r##i + (at));      \
        v0##i = _mm512_dpbusd_epi32(v0##i, q0, r); \
        v1##i = _mm512_dpbusd_epi32(v1##i, q1, r); \
    }
#define LINES(x0, x1, at)               \
    do {                                \
        const __m512i q0 = x0, q1 = x1; \
        EACH_M(DOT, at)                 \
    } while (0)
#define HIGH(c) LINES(_mm512_and_si512(x0##c, high), _mm512_and_si512(x1##c, high), 16 + 4 * (c))
#define LOW(c) LINES(_mm512_and_si512(x0##c, low), _mm512_and_si512(x1##c, low), 4 * (c))
#define BYTES(c) LINES(line_at(q, 2 * (c)), line_at(q, 2 * (c) + 1), 4 * (c))
#define SHIFT(i, n) v0##i = _mm512_srai_epi32(v0##i, n), v1##i = _mm512_srai_epi32(v1##i, n);
#define TAKE_OFF(i, at)                               \
    if (m > i) {                                      \
        const __m512i sum = every(r##i + (at));       \
        v0##i = _mm512_dpwssd_epi32(v0##i, zp0, sum); \
        v1##i = _mm512_dpwssd_epi32(v1##i, zp1, sum); \
    }
#define CHAIN(i, at)                                                                         \
    if (m > i) {                                                                             \
        const __m512 s = _mm512_castsi512_ps(every(r##i + (at)));                            \
        c0##i = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v0##i), _mm512_mul_ps(scale0, s), c0##i); \
        c1##i = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v1##i), _mm512_mul_ps(scale1, s), c1##i); \
    }

/* m, bits and whether there are zero points are constants of every instance. */
ALWAYS void tile(const nbpanel_part *p, const int m, const int bits, const bool zps)
{
    const lmn_nbpanels w = p->w;
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(-16);
    const uint8_t *a = p->a;
#define START(i, half)  \
    __m512 c##half##i = \
        m > i && p->g > 0 ? _mm512_loadu_ps(p->acc[i] + 16 * (half)) : _mm512_setzero_ps();
    EACH_M(START, 0)
    EACH_M(START, 1)
    for (int64_t g = p->g; g < p->end; g++, a += m * LMN_NBPANEL_RECORD) {
        const uint8_t *tail = nbpanel_tail(&w, g, bits, zps);
        const uint8_t *q = nbpanel_group(&w, g, bits, zps);
        EACH_M(OPEN, NBPANEL_SUM)
        for (int64_t i = 0; m > 1 && i < p->lines; i++) fetch(q, p->ahead + 64 * i);
        if (bits == 8) {
            BYTES(0);
            BYTES(1);
            BYTES(2);
            BYTES(3);
            BYTES(4);
            BYTES(5);
            BYTES(6);
            BYTES(7);
        } else {
            const __m512i x00 = line_at(q, 0), x10 = line_at(q, 1), x01 = line_at(q, 2);
            const __m512i x11 = line_at(q, 3), x02 = line_at(q, 4), x12 = line_at(q, 5);
            const __m512i x03 = line_at(q, 6), x13 = line_at(q, 7);
            HIGH(0);
            HIGH(1);
            HIGH(2);
            HIGH(3);
            EACH_M(SHIFT, 4)
            LOW(0);
            LOW(1);
            LOW(2);
            LOW(3);
        }
        if (zps) {
            const __m512i zp0 = zero_points(tail + NBPANEL_ZP);
            const __m512i zp1 = zero_points(tail + NBPANEL_ZP + 16);
            EACH_M(TAKE_OFF, NBPANEL_SUM)
        }
        const __m512 scale0 = _mm512_loadu_ps(tail), scale1 = _mm512_loadu_ps(tail + 64);
        EACH_M(CHAIN, NBPANEL_S)
    }
#define END(i, half) \
    if (m > i) _mm512_storeu_ps(p->acc[i] + 16 * (half), c##half##i);
    EACH_M(END, 0)
    EACH_M(END, 1)
}

#define INSTANCE(m, bits, zps)                                                             \
    static __attribute__((noinline)) void tile_##m##_##bits##_##zps(const nbpanel_part *p) \
    {                                                                                      \
        tile(p, m, bits, zps);                                                             \
    }
#define INSTANCES(bits, zps) \
    INSTANCE(1, bits, zps)   \
    INSTANCE(2, bits, zps)   \
    INSTANCE(4, bits, zps)
INSTANCES(4, 0)
INSTANCES(4, 1)
INSTANCES(8, 0)
INSTANCES(8, 1)

void lmn_nbpanel_i8_tile_avx512vnni(const nbpanel_part *p)
{
#define TILES(bits, zps)                                                    \
    {                                                                       \
        tile_1_##bits##_##zps, tile_2_##bits##_##zps, tile_4_##bits##_##zps \
    }
    static nbpanel_tile_fn *const tiles[2][2][3] = {{TILES(4, 0), TILES(4, 1)},
                                                    {TILES(8, 0), TILES(8, 1)}};
#undef TILES
    tiles[p->w.bits == 8][p->w.zps][p->m / 2](p);
}

void lmn_nbpanel_i8_run_avx512vnni(const lmn_nbpanel_block *b)
{
    nbpanel_run(b, lmn_nbpanel_i8_tile_avx512vnni, 4);
}
