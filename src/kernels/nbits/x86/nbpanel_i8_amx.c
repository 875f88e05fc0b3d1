/*
 * nbdot row for AMX: panels by tiles of eight rows of A, where there are so many. A group of a
 * strip is 32 k of two tiles of weights, bytes where they lie, halves of bytes by way of L1, and
 * its sums leave by a buffer in L1: they are scaled and added to those in registers behind the
 * products of the next group. Everything else runs on the VNNI row's functions, which every CPU of
 * this level has.
 */
#include "kernels/nbits/x86/nbpanel_avx512_tmpl.h"
#include "kernels/simd/amx_tile.h"

enum { ROWS = 8, LINES = 8, LINE = 128, LANES = 16 }; /* lines of 128 B of a group of bytes */
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_amx, lmn_nbdot_i8_pack_avx512vnni;
lmn_nbdot_run_fn lmn_nbdot_i8_run_amx, lmn_nbdot_i8_run_avx512vnni;
lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_amx, lmn_nbpanel_i8_pack_avx512vnni;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_amx, lmn_nbpanel_i8_run_avx512vnni;
nbpanel_tile_fn lmn_nbpanel_i8_tile_avx512vnni;

/* Tiles 0 and 1: sums of either half of a strip; 4: A; 6 and 7: weights. */
static void configure(void)
{
    amx_cfg c = {0};
    amx_cfg_tile(&c, 0, ROWS, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 1, ROWS, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 4, ROWS, LMN_NBDOT_GROUP);
    amx_cfg_tile(&c, 6, LINES, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 7, LINES, AMX_ROW_BYTES);
    amx_enter(&c);
}

/* A group of 4-bit weights as bytes: q if there are zero points, else 16 (q - 8) with a sign. */
ALWAYS void widen(uint8_t *to, const uint8_t *q, const bool zps)
{
    const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(-16);
    const __m512i middle = _mm512_set1_epi8(-128);
    for (int i = 0; i < LINES; i++, q += 64, to += 64) {
        enum { AND_XOR = 0x6a };
        const __m512i x = _mm512_loadu_si512(q);
        const __m512i y = zps ? _mm512_srli_epi16(x, 4) : _mm512_slli_epi16(x, 4);
        const __m512i first =
            zps ? _mm512_and_si512(x, low) : _mm512_ternarylogic_epi32(y, high, middle, AND_XOR);
        const __m512i last =
            zps ? _mm512_and_si512(y, low) : _mm512_ternarylogic_epi32(x, high, middle, AND_XOR);
        _mm512_store_si512(to, first);
        _mm512_store_si512(to + LINES / 2 * LINE, last);
    }
}

/* bits and whether there are zero points are constants of every instance. */
ALWAYS void tile(const nbpanel_part *p, const int bits, const bool zps)
{
    int32_t sums[2][2 * ROWS * LANES] __attribute__((aligned(64)));
    uint8_t bytes[2][LINES * LINE] __attribute__((aligned(64)));
    const lmn_nbpanels w = p->w;
    const uint8_t *a = p->a;
#define START(i)                                                                \
    __m512 c0##i = p->g > 0 ? _mm512_loadu_ps(p->acc[i]) : _mm512_setzero_ps(), \
           c1##i = p->g > 0 ? _mm512_loadu_ps(p->acc[i] + LANES) : _mm512_setzero_ps();
    EACH_ROW(START)
    if (bits == 4) widen(bytes[p->g & 1], nbpanel_group(&w, p->g, bits, zps), zps);
    for (int64_t g = p->g;; g++, a += ROWS * LMN_NBPANEL_RECORD) {
        const uint8_t *q = nbpanel_group(&w, g, bits, zps), *from = bits == 4 ? bytes[g & 1] : q;
        if (g < p->end) {
            for (int64_t i = 0; i < p->lines; i++) fetch(q, p->ahead + 64 * i);
            AMX_LOAD(4, a, LMN_NBPANEL_RECORD);
            AMX_LOAD(6, from, LINE);
            AMX_LOAD(7, from + LINE / 2, LINE);
            AMX_ZERO(0);
            AMX_ZERO(1);
            if (bits == 4 && !zps) {
                AMX_S8S8(0, 4, 6);
                AMX_S8S8(1, 4, 7);
            } else {
                AMX_S8U8(0, 4, 6);
                AMX_S8U8(1, 4, 7);
            }
        }
        if (g > p->g) { /* what waits is of the group before */
            const uint8_t *before = a - ROWS * LMN_NBPANEL_RECORD;
            const uint8_t *scales = nbpanel_scales(&w, g - 1, bits, zps);
            const int32_t *sum = sums[(g - 1) & 1];
            const __m512 scale0 = _mm512_loadu_ps(scales), scale1 = _mm512_loadu_ps(scales + 64);
            const __m512i zp0 = zps ? zero_points(scales + NBPANEL_ZP) : _mm512_setzero_si512();
            const __m512i zp1 = zps ? zero_points(scales + NBPANEL_ZP + 16) : zp0;
#define CHAIN(i)                                                                          \
    {                                                                                     \
        const uint8_t *const r = before + i * LMN_NBPANEL_RECORD;                         \
        __m512i v0 = _mm512_load_si512(sum + i * LANES);                                  \
        __m512i v1 = _mm512_load_si512(sum + (ROWS + i) * LANES);                         \
        const __m512 s = _mm512_castsi512_ps(every(r + NBPANEL_S));                       \
        if (zps) {                                                                        \
            v0 = _mm512_dpwssd_epi32(v0, zp0, every(r + NBPANEL_SUM));                    \
            v1 = _mm512_dpwssd_epi32(v1, zp1, every(r + NBPANEL_SUM));                    \
        } else if (bits == 4) {                                                           \
            v0 = _mm512_srai_epi32(v0, 4), v1 = _mm512_srai_epi32(v1, 4);                 \
        } else {                                                                          \
            v0 = _mm512_add_epi32(v0, every(r + NBPANEL_SUM));                            \
            v1 = _mm512_add_epi32(v1, every(r + NBPANEL_SUM));                            \
        }                                                                                 \
        c0##i = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v0), _mm512_mul_ps(scale0, s), c0##i); \
        c1##i = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v1), _mm512_mul_ps(scale1, s), c1##i); \
    }
            EACH_ROW(CHAIN)
        }
        if (g == p->end) break;
        if (bits == 4 && g + 1 < p->end)
            widen(bytes[(g + 1) & 1], nbpanel_group(&w, g + 1, bits, zps), zps);
        int32_t *to = sums[g & 1];
        AMX_STORE(0, to, AMX_ROW_BYTES);
        AMX_STORE(1, to + ROWS * LANES, AMX_ROW_BYTES);
    }
#define END(i)                          \
    _mm512_storeu_ps(p->acc[i], c0##i); \
    _mm512_storeu_ps(p->acc[i] + LANES, c1##i);
    EACH_ROW(END)
}

#include "kernels/nbits/nbpanel_forms_tmpl.h"

static void any_tile(const nbpanel_part *p)
{
    if (p->m < ROWS)
        lmn_nbpanel_i8_tile_avx512vnni(p);
    else
        any_form(p);
}

void lmn_nbpanel_i8_run_amx(const lmn_nbpanel_block *b)
{
    if (b->m < ROWS) {
        lmn_nbpanel_i8_run_avx512vnni(b);
        return;
    }
    configure();
    nbpanel_run(b, any_tile, ROWS);
    amx_leave();
}

void lmn_nbpanel_i8_pack_amx(uint8_t *dst, int64_t step, const float *x, int64_t k, bool zps)
{
    lmn_nbpanel_i8_pack_avx512vnni(dst, step, x, k, zps);
}

void lmn_nbdot_i8_pack_amx(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    lmn_nbdot_i8_pack_avx512vnni(dst, x, k, bits, more);
}

void lmn_nbdot_i8_run_amx(const lmn_nbdot_block *b)
{
    lmn_nbdot_i8_run_avx512vnni(b);
}
