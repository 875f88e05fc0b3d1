/*
 * nbdot row for AMX: panels by tiles of eight rows of A, where there are so many. 4-bit weights are
 * met two groups at a time, as bytes by way of L1: rows 0 to 7 of the tile of A are those of the
 * first, 8 to 15 of the second, each beside zeros, so that a product of whole tiles is the sums of
 * both. Bytes are met where they lie, a group at a time, 32 k of two tiles. Sums leave by a buffer
 * in L1: they are scaled and added to those in registers behind the products of the next step.
 * Everything else runs on the VNNI row's functions, which every CPU of this level has.
 */
#include "kernels/nbits/x86/nbpanel_avx512_tmpl.h"
#include "kernels/simd/amx_tile.h"

enum { ROWS = 8, LINES = 8, LINE = 128, LANES = 16 }; /* lines of 128 B of a group of bytes */
enum { TILE = AMX_ROWS * AMX_ROW_BYTES };
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_amx, lmn_nbdot_i8_pack_avx512vnni;
lmn_nbdot_run_fn lmn_nbdot_i8_run_amx, lmn_nbdot_i8_run_avx512vnni;
lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_amx, lmn_nbpanel_i8_pack_avx512vnni;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_amx, lmn_nbpanel_i8_run_avx512vnni;
nbpanel_tile_fn lmn_nbpanel_i8_tile_avx512vnni;

/* Groups a step. */
ALWAYS int step_of(int bits)
{
    return bits == 4 ? 2 : 1;
}

/* Tiles 0 and 1: sums of either half of a strip; 4: A; 6 and 7: weights. */
static void configure(int bits)
{
    const int n = step_of(bits);
    amx_cfg c = {0};
    amx_cfg_tile(&c, 0, n * ROWS, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 1, n * ROWS, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 4, n * ROWS, n * LMN_NBDOT_GROUP);
    amx_cfg_tile(&c, 6, n * LINES, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 7, n * LINES, AMX_ROW_BYTES);
    amx_enter(&c);
}

/* A group of 4-bit weights as bytes, half a strip a tile: q if there are zero points, else q - 8.
   Either is a matrix of bits: of 8 less, bits 3 to 7 are bit 3 turned over. */
ALWAYS void widen(uint8_t *to, const uint8_t *q, const bool zps)
{
    const __m512i low = _mm512_set1_epi64(zps ? 0x0102040800000000 : 0x0102040808080808);
    const __m512i high = _mm512_set1_epi64(zps ? 0x1020408000000000 : 0x1020408080808080);
    enum { LESS_8 = 0xf8 };
    for (int i = 0; i < LINES; i++) {
        const __m512i x = _mm512_loadu_si512(q + 64 * i);
        uint8_t *at = to + i % 2 * TILE + i / 2 * 64;
        _mm512_store_si512(at, zps ? _mm512_gf2p8affine_epi64_epi8(x, low, 0)
                                   : _mm512_gf2p8affine_epi64_epi8(x, low, LESS_8));
        _mm512_store_si512(at + LINES / 2 * 64,
                           zps ? _mm512_gf2p8affine_epi64_epi8(x, high, 0)
                               : _mm512_gf2p8affine_epi64_epi8(x, high, LESS_8));
    }
}

/* Groups that are met together, from g on. a: the tile of A; s: s and sums of eight rows a group.
   Behind an odd number of 4-bit groups the last one comes twice, the second time by zeros. */
typedef struct step {
    const uint8_t *q0, *q1, *scales0, *scales1, *a, *s;
    bool two;
} step;

ALWAYS step step_from(const nbpanel_part *p, int64_t g, const int bits, const bool zps)
{
    const bool two = bits == 4 && g + 1 < p->end;
    const int64_t group = lmn_nbpanel_group_bytes(bits);
    const int64_t apart = p->w.shift > 0 ? 0 : group + lmn_nbpanel_scale_bytes(zps);
    const uint8_t *a = p->a + (bits == 4 ? (g - p->g) / 2 * LMN_NBPANEL_TWO
                                         : (g - p->g) * ROWS * LMN_NBPANEL_RECORD);
    step t = {.q0 = nbpanel_group(&p->w, g, bits, zps), .a = a, .two = two};
    t.scales0 = nbpanel_scales(&p->w, g, bits, zps), t.scales1 = t.scales0 + apart;
    t.q1 = t.q0 + (!two ? 0 : apart > 0 ? apart : group);
    t.s = a + (bits == 4 ? NBPANEL_TWO_S : NBPANEL_S);
    return t;
}

ALWAYS void widen_step(uint8_t *to, const step *t, const bool zps)
{
    widen(to, t->q0, zps);
    widen(to + LINES * 64, t->q1, zps);
}

/* The lines to fetch of a group; mostly as many as there are. */
ALWAYS void fetch_lines(const nbpanel_part *p, const uint8_t *q, const int bits)
{
    enum { ALL4 = 10, ALL8 = 18 };
    const int64_t all = bits == 4 ? ALL4 : ALL8;
    if (p->lines == all) {
#define FETCH(i) fetch(q, p->ahead + 64 * (i));
#define FETCHES(X, i) X(i) X(i + 1) X(i + 2) X(i + 3) X(i + 4) X(i + 5) X(i + 6) X(i + 7)
        FETCHES(FETCH, 0)
        FETCH(8)
        FETCH(9)
        if (bits == 8) {
            FETCHES(FETCH, 10)
        }
    } else {
        for (int64_t i = 0; i < p->lines; i++) fetch(q, p->ahead + 64 * i);
    }
}

ALWAYS void multiply(const step *t, const uint8_t *bytes, const int bits, const bool zps)
{
    const uint8_t *from = bits == 4 ? bytes : t->q0;
    const int64_t line = bits == 4 ? AMX_ROW_BYTES : LINE, half = bits == 4 ? TILE : LINE / 2;
    AMX_LOAD(4, t->a, bits == 4 ? AMX_ROW_BYTES : LMN_NBPANEL_RECORD);
    AMX_LOAD(6, from, line);
    AMX_LOAD(7, from + half, line);
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

/* Sums of a group join row i of A's, c0_i and c1_i, one a half of the strip. */
#define CHAIN(i)                                                                             \
    {                                                                                        \
        __m512i v0 = _mm512_load_si512(sum + i * LANES);                                     \
        __m512i v1 = _mm512_load_si512(sum + half + i * LANES);                              \
        const __m512 each = _mm512_castsi512_ps(every(s + i * apart));                       \
        if (zps) {                                                                           \
            v0 = _mm512_dpwssd_epi32(v0, zp0, every(s + i * apart + 4));                     \
            v1 = _mm512_dpwssd_epi32(v1, zp1, every(s + i * apart + 4));                     \
        } else if (bits == 8) {                                                              \
            v0 = _mm512_add_epi32(v0, every(s + i * apart + 4));                             \
            v1 = _mm512_add_epi32(v1, every(s + i * apart + 4));                             \
        }                                                                                    \
        c0##i = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v0), _mm512_mul_ps(scale0, each), c0##i); \
        c1##i = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v1), _mm512_mul_ps(scale1, each), c1##i); \
    }
#define JOIN(scales, from, of)                                                                \
    {                                                                                         \
        const int32_t *sum = from;                                                            \
        const uint8_t *s = of;                                                                \
        const __m512 scale0 = _mm512_loadu_ps(scales), scale1 = _mm512_loadu_ps(scales + 64); \
        const __m512i zp0 = zps ? zero_points(scales + NBPANEL_ZP) : _mm512_setzero_si512();  \
        const __m512i zp1 = zps ? zero_points(scales + NBPANEL_ZP + 16) : zp0;                \
        EACH_ROW(CHAIN)                                                                       \
    }

/* bits and whether there are zero points are constants of every instance. */
ALWAYS void tile(const nbpanel_part *p, const int bits, const bool zps)
{
    int32_t sums[2][2 * TILE / 4] __attribute__((aligned(64)));
    uint8_t bytes[2][2 * TILE] __attribute__((aligned(64)));
    const int n = step_of(bits), half = n * ROWS * LANES, turned = 1;
    const int apart = bits == 4 ? 8 : LMN_NBPANEL_RECORD; /* bytes from s to s of a group */
    const int64_t begin = p->g, end = p->end;
    step next = step_from(p, begin, bits, zps), before = next;
    int64_t turn = 0;
#define START(i)                                                                 \
    __m512 c0##i = begin > 0 ? _mm512_loadu_ps(p->acc[i]) : _mm512_setzero_ps(), \
           c1##i = begin > 0 ? _mm512_loadu_ps(p->acc[i] + LANES) : _mm512_setzero_ps();
    EACH_ROW(START)
    if (bits == 4) widen_step(bytes[0], &next, zps);
    for (int64_t g = begin;; g += n, turn ^= turned) {
        const step now = next;
        if (g < end) {
            fetch_lines(p, now.q0, bits);
            if (bits == 4) fetch_lines(p, now.q1, bits);
            multiply(&now, bytes[turn], bits, zps);
        }
        if (g > begin) { /* what waits is of the step before */
            JOIN(before.scales0, sums[turn ^ turned], before.s)
            if (before.two)
                JOIN(before.scales1, sums[turn ^ turned] + ROWS * LANES, before.s + ROWS * 8)
        }
        if (g >= end) break;
        if (g + n < end) next = step_from(p, g + n, bits, zps);
        if (bits == 4 && g + n < end) widen_step(bytes[turn ^ turned], &next, zps);
        AMX_STORE(0, sums[turn], AMX_ROW_BYTES);
        AMX_STORE(1, sums[turn] + half, AMX_ROW_BYTES);
        before = now;
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
    configure(b->w.bits);
    nbpanel_run(b, any_tile, ROWS);
    amx_leave();
}

void lmn_nbpanel_i8_pack_amx(uint8_t *tile, int64_t rows, int64_t r, const float *x, int64_t k,
                             const lmn_nbpanels *w)
{
    lmn_nbpanel_i8_pack_avx512vnni(tile, rows, r, x, k, w);
}

void lmn_nbdot_i8_pack_amx(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    lmn_nbdot_i8_pack_avx512vnni(dst, x, k, bits, more);
}

void lmn_nbdot_i8_run_amx(const lmn_nbdot_block *b)
{
    lmn_nbdot_i8_run_avx512vnni(b);
}
